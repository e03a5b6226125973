package wasmtest

import "math/rand/v2"

// Random makes a valid module of random code: arithmetic, locals, variables,
// memory, blocks, loops, direct and indirect calls, moved ranges. Its gw1_handle
// mixes all it computed into its result's memory, and always ends. It may trap.
// Floating point stays away from places where the bits of a NaN would show.
func Random(r *rand.Rand) *Module {
	m := New(1)
	g := &generator{Rand: r, m: m}
	for range 3 {
		m.Global(I32, int64(r.Int32()))
		m.Global(I64, r.Int64())
	}
	m.Passive([]byte("a passive segment"))
	m.Data(64, []byte("an active segment"))
	m.Count = true
	output := m.Import("gw", "output", Types{I32, I32}, nil)
	g.sig = m.Type(Types{I32, I64}, Types{I64})
	for range 1 + r.IntN(5) {
		g.callable = append(g.callable, m.Func(Types{I32, I64}, Types{I64}, g.locals(), g.function()...))
	}
	m.Tables = []Table{{Min: 8}}
	m.Elem(g.callable...)
	code := [][]byte{I32Const(56), LocalGet(1), LocalGet(0), I64Extend, Call(g.callable[len(g.callable)-1]), {0x37, 3, 0}}
	for i := range uint32(3) {
		code = append(code, I32Const(int32(8+16*i)), GlobalGet(2*i), Store(), I32Const(int32(16+16*i)), GlobalGet(2*i+1), Op(0x37, 3, 0))
	}
	code = append(code, I32Const(0), I32Const(0), Store()) // a payload without a header
	m.Handle(nil, append(code, I32Const(0), I32Const(60_000), Call(output), I32Const(0))...)
	return m
}

// generator's functions have the parameters i32, i64 and five locals: i32, i64,
// i32, i64, and the counter of loops.
type generator struct {
	*rand.Rand
	m        *Module
	sig      uint32
	callable []uint32
	looping  bool
}

func (g *generator) locals() Types { return Types{I32, I64, I32, I64, I32} }

const loopCounter = 6

func (g *generator) function() [][]byte {
	var code [][]byte
	for range 1 + g.IntN(6) {
		code = append(code, g.statement(3)...)
	}
	return append(code, g.long(3)...)
}

func (g *generator) int32Local() uint32 { return []uint32{0, 2, 4}[g.IntN(3)] }

func (g *generator) int64Local() uint32 { return []uint32{1, 3, 5}[g.IntN(3)] }

func (g *generator) statement(depth int) [][]byte {
	if depth == 0 {
		return append(g.int(1), LocalSet(g.int32Local()))
	}
	switch g.IntN(9) {
	case 0:
		return append(g.int(depth), LocalSet(g.int32Local()))
	case 1:
		return append(g.long(depth), LocalSet(g.int64Local()))
	case 2:
		return append(g.int(depth), GlobalSet(uint32(2*g.IntN(3))))
	case 3:
		return append(g.long(depth), GlobalSet(uint32(2*g.IntN(3)+1)))
	case 4: // store
		return append(append(g.address(depth), g.long(depth)...), Op(0x37, 3, 0))
	case 5:
		code := append(g.int(depth), If())
		code = append(code, g.statement(depth-1)...)
		code = append(code, Op(0x05))
		return append(append(code, g.statement(depth-1)...), End())
	case 6:
		return g.loop(depth)
	case 7: // leave a block early
		code := append([][]byte{Block()}, g.int(depth)...)
		code = append(code, BrIf(0))
		return append(append(code, g.statement(depth-1)...), End())
	default: // fill or copy or init a range
		code := append(g.address(depth), I32Const(int32(g.IntN(4))), I32Const(int32(g.IntN(15))))
		return append(code, [][]byte{MemoryFill, {0xfc, 10, 0, 0}, MemoryInit0}[g.IntN(3)])
	}
}

// loop runs a few rounds. Loops share a counter, so they do not nest.
func (g *generator) loop(depth int) [][]byte {
	if g.looping {
		return g.statement(0)
	}
	g.looping = true
	defer func() { g.looping = false }()
	code := [][]byte{I32Const(int32(1 + g.IntN(20))), LocalSet(loopCounter), Loop()}
	code = append(code, g.statement(depth-1)...)
	return append(code, LocalGet(loopCounter), I32Const(1), I32Sub, LocalTee(loopCounter), BrIf(0), End())
}

// address is an aligned address of the first page.
func (g *generator) address(depth int) [][]byte {
	return append(g.int(depth-1), I32Const(0x7ff8), Op(0x71))
}

func (g *generator) int(depth int) [][]byte {
	if depth <= 0 {
		switch g.IntN(3) {
		case 0:
			return [][]byte{I32Const(g.Int32() >> g.IntN(31))}
		case 1:
			return [][]byte{LocalGet(g.int32Local())}
		default:
			return [][]byte{GlobalGet(uint32(2 * g.IntN(3)))}
		}
	}
	switch g.IntN(8) {
	case 0:
		return append(g.long(depth-1), I32Wrap)
	case 1:
		return append(g.address(depth), Load())
	case 2: // compare
		return append(append(g.long(depth-1), g.long(depth-1)...), Op(byte(0x51+g.IntN(10))))
	case 3: // count bits, extend
		return append(g.int(depth-1), Op([]byte{0x67, 0x68, 0x69, 0xc0, 0xc1, 0x45}[g.IntN(6)]))
	case 4: // by way of a float
		return append(g.int(depth-1), Op(0xb7), F64Const(1.5), Op(0xa2), Op(0xfc, 2))
	default: // arithmetic; a division may trap
		return append(append(g.int(depth-1), g.int(depth-1)...), g.arithmetic(0x6a))
	}
}

// arithmetic is one of the fifteen operators of a type. Divisions are rare,
// since most of them divide by zero.
func (g *generator) arithmetic(first byte) []byte {
	n := g.IntN(15)
	if division := n >= 3 && n <= 6; division && g.IntN(30) > 0 {
		n = 0
	}
	return Op(first + byte(n))
}

func (g *generator) long(depth int) [][]byte {
	if depth <= 0 {
		switch g.IntN(3) {
		case 0:
			return [][]byte{I64Const(g.Int64() >> g.IntN(63))}
		case 1:
			return [][]byte{LocalGet(g.int64Local())}
		default:
			return [][]byte{GlobalGet(uint32(2*g.IntN(3) + 1))}
		}
	}
	switch g.IntN(8) {
	case 0:
		return append(g.int(depth-1), I64Extend)
	case 1:
		return append(g.address(depth), Op(0x29, 3, 0))
	case 2, 3:
		return g.call(depth)
	default:
		return append(append(g.long(depth-1), g.long(depth-1)...), g.arithmetic(0x7c))
	}
}

// call calls an earlier function, so that there is no recursion, or the table
// at a place that may be empty or hold a function that is called already: a
// table is used by the last function only.
func (g *generator) call(depth int) [][]byte {
	if len(g.callable) == 0 {
		return g.long(0)
	}
	args := append(g.int(depth-1), g.long(depth-1)...)
	i := g.IntN(len(g.callable))
	if g.IntN(2) == 0 {
		return append(args, Call(g.callable[i]))
	}
	return append(args, I32Const(int32(i)), CallIndirect(g.sig))
}
