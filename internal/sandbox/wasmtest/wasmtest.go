// Package wasmtest assembles small WebAssembly modules, for the tests of the
// sandbox: hostile ones, broken ones and those that show one thing.
package wasmtest

import (
	"encoding/binary"
	"math"
)

// Value types.
const (
	I32 = byte(0x7f)
	I64 = byte(0x7e)
	F32 = byte(0x7d)
	F64 = byte(0x7c)
)

// Types is a list of value types.
type Types = []byte

// Module is a module under construction. Imports come before functions.
type Module struct {
	types, imports, funcs, globals, exports, elems, code, data [][]byte
	Tables                                                     []Table
	Memories                                                   []Memory
	Start                                                      int    // a function, counted from 1; 0: none
	Count                                                      bool   // write the section that counts the data
	Tail                                                       []byte // sections behind all others
}

// Memory is a memory's size in pages.
type Memory struct {
	Min, Max uint32 // a Max of 0 is none
}

// Table is a table of function references.
type Table struct{ Min, Max uint32 }

// New returns a module with one exported memory of the given pages.
func New(pages uint32) *Module {
	m := &Module{Memories: []Memory{{Min: pages}}}
	m.Export("memory", 2, 0)
	return m
}

// Type adds a signature.
func (m *Module) Type(params, results Types) uint32 {
	m.types = append(m.types, join([]byte{0x60}, vector(params), vector(results)))
	return uint32(len(m.types) - 1)
}

// Import adds a function of the host and returns its number.
func (m *Module) Import(module, field string, params, results Types) uint32 {
	t := m.Type(params, results)
	m.imports = append(m.imports, join(vector([]byte(module)), vector([]byte(field)), []byte{0}, U32(t)))
	return uint32(len(m.imports) - 1)
}

// Next is the number that the next function gets.
func (m *Module) Next() uint32 { return uint32(len(m.imports) + len(m.funcs)) }

// Func adds a function and returns its number. The final end is added.
func (m *Module) Func(params, results, locals Types, code ...[]byte) uint32 {
	groups := make([][]byte, len(locals))
	for i, l := range locals {
		groups[i] = []byte{1, l}
	}
	return m.RawFunc(params, results, list(groups), code...)
}

// RawFunc adds a function whose locals are encoded already.
func (m *Module) RawFunc(params, results Types, locals []byte, code ...[]byte) uint32 {
	m.funcs = append(m.funcs, U32(m.Type(params, results)))
	m.code = append(m.code, vector(join(locals, join(code...), []byte{0x0b})))
	return m.Next() - 1
}

// Global adds a variable of I32 or I64 and returns its number.
func (m *Module) Global(of byte, value int64) uint32 {
	op := byte(0x41)
	if of == I64 {
		op = 0x42
	}
	m.globals = append(m.globals, join([]byte{of, 1, op}, S64(value), []byte{0x0b}))
	return uint32(len(m.globals) - 1)
}

// Export names something; kinds are 0 function, 1 table, 2 memory, 3 global.
func (m *Module) Export(name string, kind byte, index uint32) {
	m.exports = append(m.exports, join(vector([]byte(name)), []byte{kind}, U32(index)))
}

// Handle adds and exports the function that the gw1 interface calls.
func (m *Module) Handle(locals Types, code ...[]byte) uint32 {
	fn := m.Func(Types{I32, I32}, Types{I32}, locals, code...)
	m.Export("gw1_handle", 0, fn)
	return fn
}

// Elem fills table 0 with functions, from its start.
func (m *Module) Elem(funcs ...uint32) {
	entries := make([][]byte, len(funcs))
	for i, f := range funcs {
		entries[i] = U32(f)
	}
	m.elems = append(m.elems, join([]byte{0}, I32Const(0), []byte{0x0b}, list(entries)))
}

// Data adds a segment that is copied into the memory.
func (m *Module) Data(offset int32, bytes []byte) {
	m.data = append(m.data, join([]byte{0}, I32Const(offset), []byte{0x0b}, vector(bytes)))
}

// Passive adds a segment that memory.init copies.
func (m *Module) Passive(bytes []byte) { m.data = append(m.data, join([]byte{1}, vector(bytes))) }

// Bytes is the module.
func (m *Module) Bytes() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, entries [][]byte) {
		if len(entries) > 0 {
			out = append(out, Section(id, list(entries))...)
		}
	}
	var tables, memories [][]byte
	for _, t := range m.Tables {
		tables = append(tables, join([]byte{0x70}, bounds(t.Min, t.Max)))
	}
	for _, mem := range m.Memories {
		memories = append(memories, bounds(mem.Min, mem.Max))
	}
	section(1, m.types)
	section(2, m.imports)
	section(3, m.funcs)
	section(4, tables)
	section(5, memories)
	section(6, m.globals)
	section(7, m.exports)
	if m.Start > 0 {
		out = append(out, Section(8, U32(uint32(m.Start-1)))...)
	}
	section(9, m.elems)
	if m.Count {
		out = append(out, Section(12, U32(uint32(len(m.data))))...)
	}
	section(10, m.code)
	section(11, m.data)
	return append(out, m.Tail...)
}

// Section encodes a section.
func Section(id byte, body []byte) []byte { return join([]byte{id}, vector(body)) }

// Names encodes the custom section that names functions.
func Names(names map[uint32]string) []byte {
	var entries [][]byte
	for fn, name := range names {
		entries = append(entries, join(U32(fn), vector([]byte(name))))
	}
	return Section(0, join(vector([]byte("name")), []byte{1}, vector(list(entries))))
}

func bounds(minimum, maximum uint32) []byte {
	if maximum == 0 {
		return join([]byte{0}, U32(minimum))
	}
	return join([]byte{1}, U32(minimum), U32(maximum))
}

func join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func vector(b []byte) []byte { return join(U32(uint32(len(b))), b) }

func list(entries [][]byte) []byte { return join(U32(uint32(len(entries))), join(entries...)) }

// U32 encodes an unsigned number.
func U32(v uint32) []byte { return binary.AppendUvarint(nil, uint64(v)) }

// S64 encodes a signed number.
func S64(v int64) []byte {
	var b []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// I32Const, I64Const and F64Const push a number.
func I32Const(v int32) []byte { return join([]byte{0x41}, S64(int64(v))) }

// I64Const pushes a number.
func I64Const(v int64) []byte { return join([]byte{0x42}, S64(v)) }

// F64Const pushes a number.
func F64Const(v float64) []byte {
	return binary.LittleEndian.AppendUint64([]byte{0x44}, math.Float64bits(v))
}

// LocalGet pushes a local.
func LocalGet(i uint32) []byte { return join([]byte{0x20}, U32(i)) }

// LocalSet pops into a local.
func LocalSet(i uint32) []byte { return join([]byte{0x21}, U32(i)) }

// LocalTee copies into a local.
func LocalTee(i uint32) []byte { return join([]byte{0x22}, U32(i)) }

// GlobalGet pushes a global.
func GlobalGet(i uint32) []byte { return join([]byte{0x23}, U32(i)) }

// GlobalSet pops into a global.
func GlobalSet(i uint32) []byte { return join([]byte{0x24}, U32(i)) }

// Call calls a function.
func Call(fn uint32) []byte { return join([]byte{0x10}, U32(fn)) }

// CallIndirect calls through table 0.
func CallIndirect(sig uint32) []byte { return join([]byte{0x11}, U32(sig), []byte{0}) }

// Op is any operator that has no immediates, or one whose immediates follow.
func Op(b ...byte) []byte { return b }

// Load and Store use 32 bits, aligned, without an offset.
func Load() []byte { return []byte{0x28, 2, 0} }

// Store uses 32 bits, aligned, without an offset.
func Store() []byte { return []byte{0x36, 2, 0} }

// Block opens a block without a result.
func Block() []byte { return []byte{0x02, 0x40} }

// Loop opens a loop without a result.
func Loop() []byte { return []byte{0x03, 0x40} }

// If opens a condition without a result.
func If() []byte { return []byte{0x04, 0x40} }

// End closes the innermost block.
func End() []byte { return []byte{0x0b} }

// Br jumps out of, or to the head of, the block that many levels up.
func Br(up uint32) []byte { return join([]byte{0x0c}, U32(up)) }

// BrIf jumps if the number on the stack is not 0.
func BrIf(up uint32) []byte { return join([]byte{0x0d}, U32(up)) }

// Single operators.
var (
	Drop        = []byte{0x1a}
	Unreachable = []byte{0x00}
	I32Add      = []byte{0x6a}
	I32Sub      = []byte{0x6b}
	I64Add      = []byte{0x7c}
	I64Sub      = []byte{0x7d}
	I64Ne       = []byte{0x52}
	I32Eq       = []byte{0x46}
	MemoryGrow  = []byte{0x40, 0}
	MemoryFill  = []byte{0xfc, 11, 0}
	MemoryInit0 = []byte{0xfc, 8, 0, 0}
	I64Extend   = []byte{0xad}
	I32Wrap     = []byte{0xa7}
)
