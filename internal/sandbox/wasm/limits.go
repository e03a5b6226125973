package wasm

import "fmt"

// Limits bound what a module may be. Compilation cannot be interrupted inside
// one function, so whatever makes it slow has to be refused before.
type Limits struct {
	Module        uint64 // bytes, of the module and so of its code
	Function      uint64 // bytes of one function
	Functions     uint64 // that the module defines
	Types         uint64
	Signature     uint64 // parameters and results of one function
	Locals        uint64 // of one function, parameters included
	Nesting       uint64 // blocks within blocks
	Blocks        uint64 // of one function: places to which or from which control can jump, by their weight
	Work          uint64 // the squares of all functions' blocks together, which the compiler's work grows with
	Targets       uint64 // of all br_table of one function together
	LocalsXBlocks uint64 // locals times blocks and targets, which the compiler's work grows with as well
	BranchTable   uint64 // bytes of one br_table
	Imports       uint64
	Exports       uint64
	Globals       uint64
	Data          uint64 // segments
	Tables        uint64
	TableSize     uint64 // elements of all tables together, and of all element segments
	MemoryPages   uint32 // 64 KiB each
	Known         map[Name]FuncType
}

// DefaultLimits are those of a guest. Known is left to the caller: without it
// every import is refused.
func DefaultLimits() Limits {
	return Limits{
		Module:        8 << 20,
		Function:      512 << 10,
		Functions:     30_000,
		Types:         10_000,
		Signature:     1_000,
		Locals:        2_000,
		Nesting:       600,
		Blocks:        8_000,
		Work:          200_000_000,
		Targets:       60_000,
		LocalsXBlocks: 512 << 10,
		BranchTable:   20_000,
		Imports:       200,
		Exports:       200,
		Globals:       1_000,
		Data:          100_000,
		Tables:        4,
		TableSize:     65_536,
		MemoryPages:   512,
	}
}

// String writes a signature as a person reads it: (i32, i32) -> i64.
func (t FuncType) String() string {
	list := func(of []ValueType) string {
		var s string
		for i, v := range of {
			if i > 0 {
				s += ", "
			}
			s += typeName(v)
		}
		return s
	}
	switch len(t.Results) {
	case 0:
		return "(" + list(t.Params) + ")"
	case 1:
		return "(" + list(t.Params) + ") -> " + list(t.Results)
	default:
		return "(" + list(t.Params) + ") -> (" + list(t.Results) + ")"
	}
}

// Equal tells whether two signatures are the same.
func (t FuncType) Equal(u FuncType) bool {
	return string(t.Params) == string(u.Params) && string(t.Results) == string(u.Results)
}

func typeName(v ValueType) string {
	switch v {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	default:
		return fmt.Sprintf("type %#x", v)
	}
}

func isReference(v ValueType) bool { return v == FuncRef || v == ExternRef }

func isValueType(v ValueType) bool { return v >= V128 && v <= I32 || isReference(v) }
