package wasm

// charge is a place in a function where fuel is taken, and how much.
type charge struct {
	after int // offset in the code, behind the instruction that the place follows
	units int64
	loop  bool // the head of a loop
}

// charges counts the instructions of a function: those that its entry pays for,
// and those that are paid for at later places, in the order of the code. The code
// was checked.
//
// The places are the heads of loops, and the ends of blocks that a br_table leads
// to. Without the latter a function that is one loop around one br_table, which is
// what Go's compiler makes of every function with a jump, would pay for all of its
// code in each round.
func charges(code []byte) (entry int64, rest []charge, bulk bool) {
	c := counter{regions: []charge{{}}}
	r := &reader{b: code}
	for r.more() {
		from := r.at
		in := r.next()
		bulk = bulk || moves(in)
		c.count(in, code[from:r.at], r.at)
	}
	for _, place := range c.regions[1:] {
		if place.units > 0 {
			rest = append(rest, place)
		}
	}
	return c.regions[0].units, rest, bulk
}

// counter divides a function into regions. Whoever runs an instruction of a
// region has passed its place just before.
type counter struct {
	regions []charge
	here    int // the region of the next instruction
	open    []opened
}

// opened is a block that has not ended yet.
type opened struct {
	outside int  // the region that it began in
	target  bool // of a br_table, at its end
}

func (c *counter) count(in instruction, raw []byte, after int) {
	inner := len(c.open) - 1
	if in.op == opEnd && inner >= 0 {
		// What follows can be reached without what the block did last: by a
		// branch, or because an if did not apply. Its beginning was passed.
		c.here = c.open[inner].outside
		if c.open[inner].target {
			c.begin(charge{after: after})
		}
		c.open = c.open[:inner]
		return // an end is no code
	}
	c.regions[c.here].units++
	switch in.op {
	case opBlock, opIf:
		c.open = append(c.open, opened{outside: c.here})
	case opLoop:
		c.open = append(c.open, opened{outside: c.here})
		c.begin(charge{after: after, units: 1, loop: true})
	case opElse:
		if inner >= 0 { // else the module is no good, which the compiler says
			c.here = c.open[inner].outside
		}
	case opBrTable:
		c.aim(raw)
	}
}

func (c *counter) begin(place charge) {
	c.regions = append(c.regions, place)
	c.here = len(c.regions) - 1
}

// aim marks the blocks that a br_table leads to the end of. A loop is led to its
// head; for it the mark costs a place more and changes nothing.
func (c *counter) aim(raw []byte) {
	r := &reader{b: raw[1:]}
	for n := uint64(r.u32()) + 1; n > 0; n-- {
		if up := int64(len(c.open)) - 1 - int64(r.u32()); up >= 0 { // below: the function's own end
			c.open[up].target = true
		}
	}
}
