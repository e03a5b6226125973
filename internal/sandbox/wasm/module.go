// Package wasm checks and rewrites WebAssembly modules before the runtime sees
// them. It knows the binary format and nothing of the runtime.
//
// [Parse] refuses what would make compilation or instantiation expensive, what
// a guest of ours has no use for, and every index that points nowhere.
// [Module.Rewrite] then puts meters into the code and lays open the state that
// a snapshot has to hold. The checks of Parse are what keeps Rewrite honest: it
// adds a type, a function and two globals, and a guest that named them before
// they existed must stay invalid.
//
// What is left to the runtime is the typing of the code, which Rewrite does not
// change.
package wasm

// ValueType is the type of a parameter, result, local or global.
type ValueType = byte

// The value types of WebAssembly 2.0.
const (
	I32       ValueType = 0x7f
	I64       ValueType = 0x7e
	F32       ValueType = 0x7d
	F64       ValueType = 0x7c
	V128      ValueType = 0x7b
	FuncRef   ValueType = 0x70
	ExternRef ValueType = 0x6f
)

// Kinds of imports and exports.
const (
	kindFunc   = 0
	kindTable  = 1
	kindMemory = 2
	kindGlobal = 3
)

// PageSize is the unit of a memory's size, in bytes.
const PageSize = 64 << 10

// Name is what an import asks for.
type Name struct{ Module, Field string }

func (n Name) String() string { return n.Module + "." + n.Field }

// Module is a module that passed the checks. It refers to the bytes it was
// parsed from.
type Module struct {
	size    int // bytes
	types   []FuncType
	imports []funcImport
	funcs   []uint32 // the type of each function that the module defines
	tables  []table
	memory  bounds
	globals []global
	exports []export
	start   *uint32
	elems   []elem
	counted *uint32 // the data count section
	bodies  []body
	data    []segment
	names   map[uint32]string // of functions, for people
}

// FuncType is the signature of a function.
type FuncType struct{ Params, Results []ValueType }

type funcImport struct {
	name Name
	sig  uint32
}

type bounds struct {
	min, max uint32
	hasMax   bool
	defined  bool // of the memory: the module has one
}

type table struct {
	of   ValueType
	size bounds
}

type global struct {
	of      ValueType
	mutable bool
	init    constant
}

type export struct {
	name  string
	kind  byte
	index uint32
}

// constant is an expression that gives an initial value or an offset.
type constant struct {
	op    byte
	raw   []byte // the operator and its operand
	value uint32 // of i32.const, or the index of ref.func
}

// elem is a list of function references.
type elem struct {
	flags  uint32
	table  uint32
	offset constant
	kind   byte // element kind or reference type, where the flags have one
	funcs  []uint32
	exprs  []constant
}

type segment struct {
	passive bool
	offset  uint32
	bytes   []byte
}

type localGroup struct {
	n  uint32
	of ValueType
}

type body struct {
	size   uint64
	locals []localGroup
	n      uint64 // of locals, parameters not included
	code   []byte
	at     int // where code begins in its section
}

// ExportedFunc tells the signature of an exported function.
func (m *Module) ExportedFunc(name string) (FuncType, bool) {
	for _, e := range m.exports {
		if e.name == name && e.kind == kindFunc {
			return m.types[m.typeOf(e.index)], true
		}
	}
	return FuncType{}, false
}

// functions is how many there are, imported ones included.
func (m *Module) functions() uint32 { return uint32(len(m.imports) + len(m.funcs)) } //nolint:gosec // both are bounded by Limits

// typeOf is the index of a function's type.
func (m *Module) typeOf(fn uint32) uint32 {
	if int(fn) < len(m.imports) {
		return m.imports[fn].sig
	}
	return m.funcs[int(fn)-len(m.imports)]
}
