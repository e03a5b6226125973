package wasm

// Fuel is taken at the entry of a function, at the head of each loop, and where
// a br_table leads to, for all instructions that can run before the next such
// place: an upper bound, and cheap. Whether it is spent is asked at entries and
// heads alone. Operators that move a range of memory pay for its length besides.
// Around each call the caller's frame is added to the depth, which the entry of
// the called function looks at: a check at each call would multiply the branches
// of a function, and with them what the compiler needs for it.

// bulkUnit is the number of bytes, as a power of two, that cost one unit.
const bulkUnit = 4

// function writes one function with its meters.
func (e *encoder) function(i int) {
	b := e.bodies[i]
	params := len(e.types[e.funcs[i]].Params)
	entry, rest, bulk := charges(b.code)
	f := &meter{encoder: e, scratch: uint32(b.n) + uint32(params)} //nolint:gosec // bounded by Limits
	f.frame = 64 + 8*int64(f.scratch)
	e.sized(func() {
		groups := b.locals
		if bulk {
			groups = append(groups[:len(groups):len(groups)], localGroup{1, I32})
		}
		e.u32(uint32(len(groups))) //nolint:gosec // bounded by the size of the function
		for _, g := range groups {
			e.u32(g.n)
			e.byte(g.of)
		}
		f.atEntry(entry)
		r := &reader{b: b.code}
		for r.more() {
			from := r.at
			in := r.next()
			f.notePlace(b.at + from)
			f.instruction(in, b.code[from:r.at])
			if len(rest) > 0 && rest[0].after == r.at {
				f.charge(rest[0])
				rest = rest[1:]
			}
		}
	})
}

// moves tells whether an instruction works on a range, whose length it finds
// on top of the stack.
func moves(in instruction) bool {
	return in.op == opMisc && (in.sub == miscMemoryInit || in.sub == miscMemoryCopy || in.sub == miscMemoryFill)
}

// meter writes the instructions of one function.
type meter struct {
	*encoder
	scratch uint32 // an added i32 local, where ranges are moved
	frame   int64  // what a call of this function weighs
}

func (f *meter) instruction(in instruction, raw []byte) {
	switch {
	case in.op == opCall:
		weighed := in.index >= f.spentFunc() // the host's functions call nobody
		if weighed {
			f.enter()
		}
		f.byte(opCall)
		f.u32(f.moved(in.index))
		if weighed {
			f.leave()
		}
	case in.op == opCallIndirect:
		f.enter()
		f.byte(raw...)
		f.leave()
	case in.op == opRefFunc:
		f.byte(opRefFunc)
		f.u32(f.moved(in.index))
	case moves(in):
		f.takeRange()
		f.byte(raw...)
	default:
		f.byte(raw...)
	}
}

// atEntry pays for the function, and asks the host if that was too much or the
// calls are too deep.
func (f *meter) atEntry(n int64) {
	f.pay(n)
	f.isSpent()
	f.global(opGlobalGet, f.depthGlobal())
	f.byte(opI32Const)
	f.signed(int64(f.o.Stack))
	f.byte(opI32GtS, opI32Or)
	f.askIf()
}

// charge pays, and at the head of a loop asks the host if that was too much.
func (f *meter) charge(c charge) {
	f.pay(c.units)
	if c.loop {
		f.isSpent()
		f.askIf()
	}
}

func (f *meter) pay(n int64) {
	f.global(opGlobalGet, f.fuelGlobal())
	f.byte(opI64Const)
	f.signed(n)
	f.byte(opI64Sub)
	f.global(opGlobalSet, f.fuelGlobal())
}

// takeRange pays for the number that is on top of the stack, and leaves it.
func (f *meter) takeRange() {
	f.byte(opLocalTee)
	f.u32(f.scratch)
	f.global(opGlobalGet, f.fuelGlobal())
	f.byte(opLocalGet)
	f.u32(f.scratch)
	f.byte(opI64ExtendU, opI64Const, bulkUnit, opI64ShrU, opI64Sub)
	f.global(opGlobalSet, f.fuelGlobal())
	f.isSpent()
	f.askIf()
}

// isSpent pushes whether the fuel is used up.
func (f *meter) isSpent() {
	f.global(opGlobalGet, f.fuelGlobal())
	f.byte(opI64Const, 0, opI64LtS)
}

// askIf calls the host if the number on top of the stack is not zero.
func (f *meter) askIf() {
	f.byte(opIf, blockEmpty, opCall)
	f.u32(f.spentFunc())
	f.byte(opEnd)
}

func (f *meter) enter() { f.weigh(opI32Add) }

func (f *meter) leave() { f.weigh(opI32Sub) }

// weigh adds this function's frame to the depth, or takes it off.
func (f *meter) weigh(op byte) {
	f.global(opGlobalGet, f.depthGlobal())
	f.byte(opI32Const)
	f.signed(f.frame)
	f.byte(op)
	f.global(opGlobalSet, f.depthGlobal())
}

func (f *meter) global(op byte, index uint32) {
	f.byte(op)
	f.u32(index)
}
