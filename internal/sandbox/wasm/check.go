package wasm

import (
	"errors"
	"fmt"
	"strings"
)

// Reserved starts the names that Rewrite adds; a guest cannot use it.
const Reserved = "\x00"

// check holds together what the sections say, then walks through the code.
func (m *Module) check(lim Limits) error {
	if len(m.funcs) != len(m.bodies) {
		return fmt.Errorf("%d functions are declared and %d defined", len(m.funcs), len(m.bodies))
	}
	for _, check := range []func(Limits) error{
		m.checkImports, m.checkTypes, m.checkMemory, m.checkGlobals, m.checkExports, m.checkElements, m.checkData, m.checkStart,
	} {
		if err := check(lim); err != nil {
			return err
		}
	}
	declared := m.declared()
	var work uint64
	for i := range m.bodies {
		blocks, err := m.checkBody(i, declared, lim)
		if err != nil {
			return fmt.Errorf("%s: %w", m.describe(uint32(len(m.imports)+i)), err) //nolint:gosec // bounded by Limits
		}
		work += blocks * blocks
	}
	if work > lim.Work {
		return fmt.Errorf("too many large functions: the squares of their blocks and branches add up to %s, at most %s", thousands(work), thousands(lim.Work))
	}
	return nil
}

// describe names a function for people.
func (m *Module) describe(fn uint32) string {
	if name := m.names[fn]; name != "" {
		return fmt.Sprintf("function %d (%s)", fn, name)
	}
	for _, e := range m.exports {
		if e.kind == kindFunc && e.index == fn {
			return fmt.Sprintf("function %d (%s)", fn, e.name)
		}
	}
	return fmt.Sprintf("function %d", fn)
}

func (m *Module) checkImports(lim Limits) error {
	for _, i := range m.imports {
		if int(i.sig) >= len(m.types) {
			return fmt.Errorf("import %s: type %d does not exist", i.name, i.sig)
		}
		want, ok := lim.Known[i.name]
		if !ok {
			return fmt.Errorf("import %s: the host offers no such function", i.name)
		}
		if got := m.types[i.sig]; !got.Equal(want) {
			return fmt.Errorf("import %s: the host's is %s, the module wants %s", i.name, want, got)
		}
	}
	return nil
}

func (m *Module) checkTypes(Limits) error {
	for i, t := range m.funcs {
		if int(t) >= len(m.types) {
			return fmt.Errorf("function %d: type %d does not exist", len(m.imports)+i, t)
		}
	}
	return nil
}

func (m *Module) checkMemory(lim Limits) error {
	if !m.memory.defined {
		return errors.New("the module defines no memory")
	}
	if m.memory.min > lim.MemoryPages {
		return fmt.Errorf("a memory of %d pages of 64 KiB, at most %d", m.memory.min, lim.MemoryPages)
	}
	const most = 1 << 16
	if m.memory.hasMax && m.memory.max > most {
		return fmt.Errorf("a memory of up to %d pages, an address reaches %d", m.memory.max, most)
	}
	return nil
}

func (m *Module) checkGlobals(Limits) error {
	for i, g := range m.globals {
		if err := m.checkReference(g.init); err != nil {
			return fmt.Errorf("global %d: %w", i, err)
		}
	}
	return nil
}

func (m *Module) checkReference(c constant) error {
	if c.op == opRefFunc && c.value >= m.functions() {
		return fmt.Errorf("function %d does not exist", c.value)
	}
	return nil
}

func (m *Module) checkExports(Limits) error {
	memory := false
	for _, e := range m.exports {
		if strings.HasPrefix(e.name, Reserved) {
			return errors.New("an export's name begins with a NUL character")
		}
		var n uint64
		switch e.kind {
		case kindFunc:
			n = uint64(m.functions())
		case kindTable:
			n = size(m.tables)
		case kindMemory:
			n = 1
		case kindGlobal:
			n = size(m.globals)
		default:
			return fmt.Errorf("export %q is of no known kind", e.name)
		}
		if uint64(e.index) >= n {
			return fmt.Errorf("export %q: there is no number %d", e.name, e.index)
		}
		memory = memory || e.kind == kindMemory && e.name == "memory"
	}
	if !memory {
		return errors.New(`the memory is not exported under the name "memory"`)
	}
	return nil
}

func (m *Module) checkElements(Limits) error {
	for i, e := range m.elems {
		if e.flags&1 == 0 && e.offset.op != opI32Const {
			return fmt.Errorf("element segment %d: the offset is not an i32.const", i)
		}
		if err := m.checkFits(e); err != nil {
			return fmt.Errorf("element segment %d: %w", i, err)
		}
		for _, fn := range e.funcs {
			if fn >= m.functions() {
				return fmt.Errorf("element segment %d: function %d does not exist", i, fn)
			}
		}
		for _, c := range e.exprs {
			if err := m.checkReference(c); err != nil {
				return fmt.Errorf("element segment %d: %w", i, err)
			}
		}
	}
	return nil
}

// checkFits refuses an active segment that does not fit into its table: the
// runtime would leave it out without a word.
func (m *Module) checkFits(e elem) error {
	if e.flags&1 != 0 {
		return nil
	}
	if int(e.table) >= len(m.tables) {
		return fmt.Errorf("table %d does not exist", e.table)
	}
	end, size := uint64(e.offset.value)+size(e.funcs)+size(e.exprs), uint64(m.tables[e.table].size.min)
	if end > size {
		return fmt.Errorf("it ends at %s, its table at %s", thousands(end), thousands(size))
	}
	return nil
}

func (m *Module) checkData(Limits) error {
	if m.counted != nil && int64(*m.counted) != int64(len(m.data)) {
		return fmt.Errorf("%d data segments are declared and %d defined", *m.counted, len(m.data))
	}
	for i, s := range m.data {
		if end := uint64(s.offset) + uint64(len(s.bytes)); !s.passive && end > uint64(m.memory.min)*PageSize {
			return fmt.Errorf("data segment %d ends at %s, the memory at %s", i, thousands(end), thousands(uint64(m.memory.min)*PageSize))
		}
	}
	return nil
}

func (m *Module) checkStart(Limits) error {
	if m.start == nil {
		return nil
	}
	if *m.start >= m.functions() {
		return fmt.Errorf("the start function, %d, does not exist", *m.start)
	}
	if t := m.types[m.typeOf(*m.start)]; len(t.Params)+len(t.Results) > 0 {
		return fmt.Errorf("the start function is %s, want ()", t)
	}
	return nil
}

// declared are the functions that code may take references of.
func (m *Module) declared() map[uint32]bool {
	found := map[uint32]bool{}
	add := func(c constant) {
		if c.op == opRefFunc {
			found[c.value] = true
		}
	}
	for _, e := range m.exports {
		if e.kind == kindFunc {
			found[e.index] = true
		}
	}
	for _, g := range m.globals {
		add(g.init)
	}
	for _, e := range m.elems {
		for _, fn := range e.funcs {
			found[fn] = true
		}
		for _, c := range e.exprs {
			add(c)
		}
	}
	return found
}

// walk is what is known at one place of a function's code.
type walk struct {
	*Module
	lim      Limits
	declared map[uint32]bool
	locals   uint64
	depth    uint64 // of blocks, the function itself being one
	blocks   uint64
	targets  uint64
}

// The weights of what makes blocks, measured by what the compiler needs for them.
// The compiler's work grows with the square of a function's blocks.
const (
	weighBranch = 1
	weighLoop   = 3
	weighRange  = 3 // an operator that moves a range becomes a loop
)

// checkBody checks one function and returns its blocks.
func (m *Module) checkBody(i int, declared map[uint32]bool, lim Limits) (uint64, error) {
	b := m.bodies[i]
	if b.size > lim.Function {
		return 0, fmt.Errorf("%s bytes, at most %s", thousands(b.size), thousands(lim.Function))
	}
	w := &walk{Module: m, lim: lim, declared: declared, depth: 1}
	w.locals = b.n + size(m.types[m.funcs[i]].Params)
	if w.locals > lim.Locals {
		return 0, fmt.Errorf("%s locals, at most %s", thousands(w.locals), thousands(lim.Locals))
	}
	r := &reader{b: b.code}
	for r.more() && w.depth > 0 {
		in := r.next()
		if r.err == nil {
			r.err = w.step(in)
		}
	}
	switch {
	case r.err != nil:
		return 0, r.err
	case w.depth != 0:
		return 0, errors.New("the code does not end")
	case r.at != len(b.code):
		return 0, errors.New("code after the end")
	case w.blocks > lim.Blocks:
		return 0, fmt.Errorf("%s blocks and branches, at most %s", thousands(w.blocks), thousands(lim.Blocks))
	case w.targets > lim.Targets:
		return 0, fmt.Errorf("%s targets of br_table, at most %s", thousands(w.targets), thousands(lim.Targets))
	case (w.blocks+w.targets)*w.locals > lim.LocalsXBlocks:
		return 0, fmt.Errorf("%s locals times %s blocks and branches is more than %s: split the function",
			thousands(w.locals), thousands(w.blocks+w.targets), thousands(lim.LocalsXBlocks))
	}
	return w.blocks, nil
}

// step checks one instruction.
func (w *walk) step(in instruction) error {
	switch in.op {
	case opBlock, opLoop, opIf:
		w.blocks += weighBranch
		if in.op == opLoop {
			w.blocks += weighLoop - weighBranch
		}
		if w.depth++; w.depth-1 > w.lim.Nesting {
			return fmt.Errorf("blocks are nested deeper than %d", w.lim.Nesting)
		}
		return w.blockType(in.block)
	case opEnd:
		w.depth--
	case opElse, opBrIf:
		w.blocks += weighBranch
	case opBrTable:
		w.blocks += weighBranch
		w.targets += uint64(in.exits) //nolint:gosec // not negative
		if in.size > w.lim.BranchTable {
			return fmt.Errorf("a br_table of %s bytes, at most %s", thousands(in.size), thousands(w.lim.BranchTable))
		}
	case opMisc:
		if moves(in) {
			w.blocks += weighRange
		}
		return w.bulk(in)
	case opTableSet:
		return errTableState
	}
	return w.indexes(in)
}

// indexes refuses what points at nothing, and at what Rewrite adds.
func (w *walk) indexes(in instruction) error {
	switch in.op {
	case opLocalGet, opLocalGet + 1, opLocalTee:
		if uint64(in.index) >= w.locals {
			return fmt.Errorf("local %d does not exist", in.index)
		}
	case opGlobalGet, opGlobalSet:
		if int(in.index) >= len(w.globals) {
			return fmt.Errorf("global %d does not exist", in.index)
		}
	case opCall:
		if in.index >= w.functions() {
			return fmt.Errorf("function %d does not exist", in.index)
		}
	case opCallIndirect:
		if int(in.index) >= len(w.types) {
			return fmt.Errorf("type %d does not exist", in.index)
		}
	case opRefFunc:
		if in.index >= w.functions() || !w.declared[in.index] {
			return fmt.Errorf("a reference of function %d, which is not declared", in.index)
		}
	}
	return nil
}

func (w *walk) blockType(t int64) error {
	if t >= 0 {
		if t >= int64(len(w.types)) {
			return fmt.Errorf("type %d does not exist", t)
		}
		return nil
	}
	if v := byte(t & 0x7f); t < -64 || v != blockEmpty && !isValueType(v) {
		return fmt.Errorf("a block of no known type (%d)", t)
	}
	return nil
}

var (
	errTableState = errors.New("the code changes a table, which a snapshot cannot hold")
	errDrop       = errors.New("the code drops a segment, which a snapshot cannot hold")
)

func (w *walk) bulk(in instruction) error {
	switch in.sub {
	case miscTableInit, miscTableCopy, miscTableGrow, miscTableFill:
		return errTableState
	case miscDataDrop, miscElemDrop:
		return errDrop
	case miscMemoryInit:
		if w.counted == nil || in.index >= *w.counted {
			return fmt.Errorf("data segment %d is not declared", in.index)
		}
	}
	return nil
}
