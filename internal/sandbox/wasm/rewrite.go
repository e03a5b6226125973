package wasm

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// What Rewrite adds, by name. The host module Meter has the one function
// Spent, without parameters or results. Guest code calls it when FuelGlobal,
// an i64, has fallen below zero, and when DepthGlobal, an i32, is above the
// stack's limit; the host refills the fuel, or panics to end the guest.
const (
	Meter       = Reserved + "gatehouse"
	Spent       = "spent"
	FuelGlobal  = Reserved + "fuel"
	DepthGlobal = Reserved + "depth"
	StartExport = Reserved + "start"
	// WholeExport is a function that returns Whole, unless its code was left out
	// (see Rewritten.WithoutCode): then it traps.
	WholeExport = Reserved + "whole"
)

// Whole is what WholeExport returns.
const Whole = 1

// Options are the bounds that Rewrite builds into a module.
type Options struct {
	MemoryPages uint32 // the most that the memory may grow to
	TableSize   uint32 // the most that a table may grow to
	Stack       uint32 // bytes that frames may take, by an estimate of 64 and 8 for each local
	Places      bool   // the runtime's traces say where in the code each frame was; see Origins
}

// Rewritten is a module with meters, and what the host has to do for it.
type Rewritten struct {
	Binary []byte
	// State names the exports of the guest's own variables. Together with the
	// memory they are all that a guest can remember: modules that change
	// tables or drop segments are refused.
	State []string
	// Data has to be written into the memory of the first instance. The module
	// itself holds no data, so that a new instance takes a snapshot instead.
	Data []Data
	// Start tells that StartExport has to be called, after Data is written.
	Start bool
	// Hollow tells that the code was left out of Binary.
	Hollow bool
}

// Data is what the memory holds at Offset in the beginning. It lies within
// the memory.
type Data struct {
	Offset uint32
	Bytes  []byte
}

// Rewrite puts meters into the code and takes out what runs or is copied at
// instantiation. The module itself is not changed; the result is a valid
// module if, and only if, the original was one.
func (m *Module) Rewrite(o Options) Rewritten {
	e := &encoder{Module: m, o: o, out: append(make([]byte, 0, 2*m.size), magic...)}
	e.typeSection()
	e.importSection()
	funcs := slices.Concat(m.funcs, []uint32{e.wholeType()})
	e.list(secFunction, len(funcs), func(i int) { e.u32(funcs[i]) })
	e.list(secTable, len(m.tables), func(i int) { e.tableType(m.tables[i]) })
	e.list(secMemory, 1, func(int) { e.bounds(m.memory, o.MemoryPages) })
	e.globalSection()
	state := e.exportSection()
	e.list(secElement, len(m.elems), func(i int) { e.element(m.elems[i]) })
	if m.counted != nil {
		e.section(secDataCount, func() { e.u32(*m.counted) })
	}
	e.codeSection()
	if m.counted != nil { // nothing else can name a segment
		e.list(secData, len(m.data), func(i int) { e.segment(m.data[i]) })
	}
	e.nameSection()
	if o.Places {
		e.placeSections()
	}
	r := Rewritten{Binary: e.out, State: state, Start: m.start != nil}
	for _, s := range m.data {
		if !s.passive && len(s.bytes) > 0 {
			r.Data = append(r.Data, Data{s.offset, s.bytes})
		}
	}
	return r
}

// codeSection writes the functions, and the one that tells that they are there.
func (e *encoder) codeSection() {
	e.list(secCode, len(e.bodies)+1, func(i int) {
		if i < len(e.bodies) {
			e.function(i)
		} else {
			e.byte(4, 0, opI32Const, Whole, opEnd)
		}
	})
}

// encoder writes the new module.
type encoder struct {
	*Module
	o      Options
	out    []byte
	places []place // of instructions, if they are wanted
}

func (e *encoder) byte(b ...byte) { e.out = append(e.out, b...) }

func (e *encoder) u32(v uint32) { e.out = binary.AppendUvarint(e.out, uint64(v)) }

func (e *encoder) name(s string) {
	e.u32(uint32(len(s))) //nolint:gosec // it is a part of a module
	e.out = append(e.out, s...)
}

func (e *encoder) signed(v int64) {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			e.byte(c)
			return
		}
		e.byte(c | 0x80)
	}
}

// sized writes what write writes, after its length. The length is padded to five
// bytes, as linkers do it, so that nothing has to be moved.
func (e *encoder) sized(write func()) {
	const width = 5
	at := len(e.out)
	e.byte(0, 0, 0, 0, 0)
	write()
	n := len(e.out) - at - width
	for i := range width - 1 {
		e.out[at+i] = byte(n>>(7*i)) | 0x80 //nolint:gosec // seven bits at a time
	}
	e.out[at+width-1] = byte(n >> 28) //nolint:gosec // what is left of 32 bits
}

func (e *encoder) section(id byte, write func()) {
	e.byte(id)
	e.sized(write)
}

// list writes a section of n entries, if there are any.
func (e *encoder) list(id byte, n int, entry func(i int)) {
	if n == 0 {
		return
	}
	e.section(id, func() {
		e.u32(uint32(n)) //nolint:gosec // bounded by Limits
		for i := range n {
			entry(i)
		}
	})
}

// What is added has these numbers: the types stand behind all of the guest's, the
// imported function before all that the guest defines, the other one behind.
func (e *encoder) spentType() uint32   { return uint32(len(e.types)) } //nolint:gosec // bounded by Limits
func (e *encoder) wholeType() uint32   { return e.spentType() + 1 }
func (e *encoder) spentFunc() uint32   { return uint32(len(e.imports)) } //nolint:gosec // bounded by Limits
func (e *encoder) fuelGlobal() uint32  { return uint32(len(e.globals)) } //nolint:gosec // bounded by Limits
func (e *encoder) depthGlobal() uint32 { return e.fuelGlobal() + 1 }

// moved is the new number of a function.
func (e *encoder) moved(fn uint32) uint32 {
	if fn >= e.spentFunc() {
		return fn + 1
	}
	return fn
}

func (e *encoder) typeSection() {
	e.list(secType, len(e.types)+2, func(i int) {
		var t FuncType
		switch {
		case i < len(e.types):
			t = e.types[i]
		case i == len(e.types)+1:
			t.Results = []ValueType{I32}
		}
		e.byte(0x60)
		e.name(string(t.Params))
		e.name(string(t.Results))
	})
}

func (e *encoder) importSection() {
	e.list(secImport, len(e.imports)+1, func(i int) {
		add := funcImport{Name{Meter, Spent}, e.spentType()}
		if i < len(e.imports) {
			add = e.imports[i]
		}
		e.name(add.name.Module)
		e.name(add.name.Field)
		e.byte(kindFunc)
		e.u32(add.sig)
	})
}

func (e *encoder) tableType(t table) {
	e.byte(t.of)
	e.bounds(t.size, e.o.TableSize)
}

// bounds writes limits, with most as the highest maximum.
func (e *encoder) bounds(b bounds, most uint32) {
	if !b.hasMax || b.max > most {
		b.max = most
	}
	e.byte(1)
	e.u32(b.min)
	e.u32(b.max)
}

func (e *encoder) constant(c constant) {
	if c.op == opRefFunc {
		e.byte(opRefFunc)
		e.u32(e.moved(c.value))
	} else {
		e.byte(c.raw...)
	}
	e.byte(opEnd)
}

func (e *encoder) globalSection() {
	const variable = 1
	e.list(secGlobal, len(e.globals)+2, func(i int) {
		switch i {
		case len(e.globals):
			e.byte(I64, variable, opI64Const, 0, opEnd)
		case len(e.globals) + 1:
			e.byte(I32, variable, opI32Const, 0, opEnd)
		default:
			g := e.globals[i]
			e.byte(g.of, 0)
			if g.mutable {
				e.out[len(e.out)-1] = variable
			}
			e.constant(g.init)
		}
	})
}

func (e *encoder) exportSection() (state []string) {
	all := append([]export(nil), e.exports...)
	for i, g := range e.globals {
		if g.mutable {
			name := fmt.Sprintf("%s%d", Reserved, i)
			state = append(state, name)
			all = append(all, export{name, kindGlobal, uint32(i)})
		}
	}
	all = append(all, export{FuelGlobal, kindGlobal, e.fuelGlobal()}, export{DepthGlobal, kindGlobal, e.depthGlobal()})
	if e.start != nil {
		all = append(all, export{StartExport, kindFunc, *e.start})
	}
	e.list(secExport, len(all)+1, func(i int) {
		x := export{WholeExport, kindFunc, e.functions()}
		if i < len(all) {
			x = all[i]
		}
		e.name(x.name)
		e.byte(x.kind)
		if x.kind == kindFunc {
			x.index = e.moved(x.index)
		}
		e.u32(x.index)
	})
	return state
}

func (e *encoder) element(el elem) {
	e.u32(el.flags)
	active, explicit := el.flags&1 == 0, el.flags&2 != 0
	if active && explicit {
		e.u32(el.table)
	}
	if active {
		e.constant(el.offset)
	}
	if el.flags&3 != 0 {
		e.byte(el.kind)
	}
	e.u32(uint32(len(el.funcs) + len(el.exprs))) //nolint:gosec // bounded by Limits
	for _, fn := range el.funcs {
		e.u32(e.moved(fn))
	}
	for _, c := range el.exprs {
		e.constant(c)
	}
}

// segment writes a passive segment as it is. An active one is empty once it
// was copied, as the host has done.
func (e *encoder) segment(s segment) {
	e.u32(1)
	if s.passive {
		e.name(string(s.bytes))
	} else {
		e.u32(0)
	}
}

// nameSection keeps the names of functions, for the trace of a trap.
func (e *encoder) nameSection() {
	var known []uint32
	for fn := range e.functions() {
		if e.names[fn] != "" {
			known = append(known, fn)
		}
	}
	if len(known) == 0 {
		return
	}
	e.section(secCustom, func() {
		e.name("name")
		e.byte(1)
		e.sized(func() {
			e.u32(uint32(len(known))) //nolint:gosec // bounded by Limits
			for _, fn := range known {
				e.u32(e.moved(fn))
				e.name(e.names[fn])
			}
		})
	})
}
