package wasm

import (
	"bytes"
	"errors"
	"fmt"
)

var magic = []byte("\x00asm\x01\x00\x00\x00")

// Sections, by their numbers.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
)

// order is the rank of each section: the data count stands before the code.
func order(id byte) int {
	switch id {
	case secDataCount:
		return 2*secElement + 1
	default:
		return 2 * int(id)
	}
}

var sectionNames = [...]string{
	"custom", "type", "import", "function", "table", "memory", "global", "export", "start", "element", "code", "data", "data count",
}

// Parse reads a module and holds it to the limits. Its error says in words what
// is wrong and where; such a module must not reach the runtime.
func Parse(b []byte, lim Limits) (*Module, error) {
	if size(b) > lim.Module {
		return nil, fmt.Errorf("the module has %s bytes, at most %s", thousands(size(b)), thousands(lim.Module))
	}
	if !bytes.HasPrefix(b, magic) {
		return nil, errors.New("not a WebAssembly core module of version 1 (a component has to be built as a core module)")
	}
	m := &Module{size: len(b)}
	r := &reader{b: b, at: len(magic)}
	last := 0
	for r.more() {
		id := r.byte()
		s := &reader{b: r.bytes(r.u32())}
		if r.err != nil {
			return nil, r.err
		}
		if int(id) >= len(sectionNames) {
			return nil, fmt.Errorf("section %d is of no known kind: only WebAssembly 2.0 is supported, without threads, exceptions or tail calls", id)
		}
		if id != secCustom {
			if order(id) <= last {
				return nil, fmt.Errorf("%s section: out of order or twice", sectionNames[id])
			}
			last = order(id)
		}
		if err := m.section(id, s, lim); err != nil {
			return nil, fmt.Errorf("%s section: %w", sectionNames[id], err)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, m.check(lim)
}

func (m *Module) section(id byte, r *reader, lim Limits) error {
	switch id {
	case secCustom:
		if name := r.name(); r.err == nil && name == "name" {
			m.readNames(&reader{b: r.b[r.at:]}, lim)
		}
		return r.err
	case secType:
		m.readTypes(r, lim)
	case secImport:
		m.readImports(r, lim)
	case secFunction:
		for n := r.count(lim.Functions, "functions"); n > 0 && r.err == nil; n-- {
			m.funcs = append(m.funcs, r.u32())
		}
	case secTable:
		m.readTables(r, lim)
	case secMemory:
		m.readMemory(r)
	case secGlobal:
		m.readGlobals(r, lim)
	case secExport:
		for n := r.count(lim.Exports, "exports"); n > 0 && r.err == nil; n-- {
			m.exports = append(m.exports, export{name: r.name(), kind: r.byte(), index: r.u32()})
		}
	case secStart:
		fn := r.u32()
		m.start = &fn
	case secElement:
		m.readElements(r, lim)
	case secDataCount:
		n := r.u32()
		m.counted = &n
	case secCode:
		m.readCode(r, lim)
	case secData:
		m.readData(r, lim)
	}
	if r.err == nil && r.at != len(r.b) {
		r.fail("%d bytes too many", len(r.b)-r.at)
	}
	return r.err
}

func (m *Module) readTypes(r *reader, lim Limits) {
	for n := r.count(lim.Types, "types"); n > 0 && r.err == nil; n-- {
		if form := r.byte(); form != 0x60 {
			r.fail("type %d is not a function's", len(m.types))
		}
		t := FuncType{Params: readValueTypes(r, lim), Results: readValueTypes(r, lim)}
		m.types = append(m.types, t)
	}
}

func readValueTypes(r *reader, lim Limits) []ValueType {
	list := r.bytes(uint32(r.count(lim.Signature, "parameters or results of one function"))) //nolint:gosec // bounded by the limit
	for _, v := range list {
		if !isValueType(v) {
			r.fail("%s is none of WebAssembly 2.0", typeName(v))
		}
	}
	return list
}

func (m *Module) readImports(r *reader, lim Limits) {
	for n := r.count(lim.Imports, "imports"); n > 0 && r.err == nil; n-- {
		name := Name{r.name(), r.name()}
		if kind := r.byte(); r.err == nil && kind != kindFunc {
			r.fail("%q: only functions can be imported; the module has to define its own memory, tables and globals", name)
			return
		}
		m.imports = append(m.imports, funcImport{name, r.u32()})
	}
}

// readBounds reads the limits of a memory or a table.
func readBounds(r *reader) bounds {
	var l bounds
	switch flags := r.byte(); flags {
	case 0:
	case 1:
		l.hasMax = true
	default:
		r.fail("memories and tables that are shared or have 64-bit addresses are not supported")
	}
	l.min = r.u32()
	if l.hasMax {
		if l.max = r.u32(); l.max < l.min {
			r.fail("a maximum of %d is less than the minimum of %d", l.max, l.min)
		}
	}
	return l
}

func (m *Module) readTables(r *reader, lim Limits) {
	var all uint64
	for n := r.count(lim.Tables, "tables"); n > 0 && r.err == nil; n-- {
		t := table{of: r.byte(), size: readBounds(r)}
		if !isReference(t.of) {
			r.fail("a table of %s", typeName(t.of))
		}
		m.tables = append(m.tables, t)
		all += uint64(t.size.min)
	}
	if all > lim.TableSize {
		r.fail("tables of %s elements, at most %s", thousands(all), thousands(lim.TableSize))
	}
}

func (m *Module) readMemory(r *reader) {
	if n := r.u32(); r.err == nil && n != 1 {
		r.fail("%d memories, want exactly one", n)
		return
	}
	m.memory = readBounds(r)
	m.memory.defined = true
}

func (m *Module) readGlobals(r *reader, lim Limits) {
	for n := r.count(lim.Globals, "globals"); n > 0 && r.err == nil; n-- {
		g := global{of: r.byte()}
		switch r.byte() {
		case 0:
		case 1:
			g.mutable = true
		default:
			r.fail("global %d is neither constant nor variable", len(m.globals))
		}
		if !isValueType(g.of) {
			r.fail("a global of %s", typeName(g.of))
		}
		if g.mutable && (g.of == V128 || isReference(g.of)) {
			r.fail("global %d is a variable of %s, which a snapshot cannot hold", len(m.globals), typeName(g.of))
		}
		g.init = readConstant(r)
		m.globals = append(m.globals, g)
	}
}

// readConstant reads an expression of one operator. WebAssembly 2.0 knows one
// more, global.get of an imported global; guests import none.
func readConstant(r *reader) constant {
	from := r.at
	c := constant{op: r.byte()}
	switch c.op {
	case opI32Const:
		c.value = uint32(r.signed(32)) //nolint:gosec // an offset is the bits of the number
	case opI64Const:
		r.signed(64)
	case opF32Const:
		r.bytes(4)
	case opF64Const:
		r.bytes(8)
	case opRefNull:
		if t := r.byte(); r.err == nil && !isReference(t) {
			r.fail("a null of %s", typeName(t))
		}
	case opRefFunc:
		c.value = r.u32()
	case opVector:
		if sub := r.u32(); sub != simdConst {
			r.fail("a constant expression that is not a constant")
		}
		r.bytes(16)
	default:
		r.fail("a constant expression that is not a constant (operator %#x)", c.op)
	}
	if r.err == nil {
		c.raw = r.b[from:r.at]
	}
	if end := r.byte(); r.err == nil && end != opEnd {
		r.fail("a constant expression of more than one operator")
	}
	return c
}

func (m *Module) readElements(r *reader, lim Limits) {
	left := lim.TableSize
	for n := r.count(lim.TableSize, "element segments"); n > 0 && r.err == nil; n-- {
		e := elem{flags: r.u32()}
		if e.flags > 7 {
			r.fail("segment %d is of no known kind", len(m.elems))
			return
		}
		active, explicit, exprs := e.flags&1 == 0, e.flags&2 != 0, e.flags&4 != 0
		if active && explicit {
			e.table = r.u32()
		}
		if active {
			e.offset = readConstant(r)
		}
		if e.flags&3 != 0 {
			e.kind = r.byte()
			if valid := exprs && isReference(e.kind) || !exprs && e.kind == 0; r.err == nil && !valid {
				r.fail("segment %d has elements of no known kind", len(m.elems))
			}
		}
		k := r.count(left, "more elements of segments")
		left -= uint64(k) //nolint:gosec // a count
		for ; k > 0 && r.err == nil; k-- {
			if exprs {
				e.exprs = append(e.exprs, readConstant(r))
			} else {
				e.funcs = append(e.funcs, r.u32())
			}
		}
		m.elems = append(m.elems, e)
	}
}

func (m *Module) readCode(r *reader, lim Limits) {
	for n := r.count(lim.Functions, "functions"); n > 0 && r.err == nil; n-- {
		b := &reader{b: r.bytes(r.u32())}
		if r.err != nil {
			return
		}
		f := body{size: size(b.b)}
		for k := b.u32(); k > 0 && b.err == nil; k-- {
			g := localGroup{n: b.u32(), of: b.byte()}
			if b.err == nil && !isValueType(g.of) {
				b.fail("function %d: a local of %s", len(m.bodies), typeName(g.of))
			}
			f.n += uint64(g.n)
			f.locals = append(f.locals, g)
		}
		r.err = b.err
		f.code = b.b[b.at:]
		f.at = r.at - len(f.code)
		m.bodies = append(m.bodies, f)
	}
}

func (m *Module) readData(r *reader, lim Limits) {
	for n := r.count(lim.Data, "data segments"); n > 0 && r.err == nil; n-- {
		var s segment
		switch flags := r.u32(); flags {
		case 0:
		case 1:
			s.passive = true
		case 2:
			if memory := r.u32(); r.err == nil && memory != 0 {
				r.fail("segment %d is for memory %d, there is one", len(m.data), memory)
			}
		default:
			r.fail("segment %d is of no known kind", len(m.data))
		}
		if !s.passive {
			offset := readConstant(r)
			if r.err == nil && offset.op != opI32Const {
				r.fail("segment %d: the offset is not an i32.const", len(m.data))
			}
			s.offset = offset.value
		}
		s.bytes = r.bytes(r.u32())
		m.data = append(m.data, s)
	}
}

// readNames takes the names of functions. They decide nothing, so a section
// that breaks off is none.
func (m *Module) readNames(r *reader, lim Limits) {
	for r.more() {
		id := r.byte()
		sub := &reader{b: r.bytes(r.u32())}
		if id != 1 || r.err != nil {
			continue
		}
		m.names = map[uint32]string{}
		for n := sub.count(lim.Functions+lim.Imports, "names"); n > 0 && sub.err == nil; n-- {
			index, name := sub.u32(), sub.name()
			if sub.err == nil {
				m.names[index] = shorten(name)
			}
		}
	}
}

// shorten bounds a name that is shown to people, at a character's border.
func shorten(name string) string {
	const most = 400
	if len(name) <= most {
		return name
	}
	cut := most
	for cut > 0 && name[cut]&0xc0 == 0x80 {
		cut--
	}
	return name[:cut]
}
