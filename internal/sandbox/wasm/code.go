package wasm

// Operators that are looked at. Every other one is known by its immediates only.
const (
	opUnreachable  = 0x00
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opCall         = 0x10
	opCallIndirect = 0x11
	opSelectTyped  = 0x1c
	opLocalGet     = 0x20
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableSet     = 0x26
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI32GtS       = 0x4a
	opI64LtS       = 0x53
	opI32Add       = 0x6a
	opI32Sub       = 0x6b
	opI32Or        = 0x72
	opI64Sub       = 0x7d
	opI64ShrU      = 0x88
	opI64ExtendU   = 0xad
	opRefNull      = 0xd0
	opRefFunc      = 0xd2
	opMisc         = 0xfc
	opVector       = 0xfd

	blockEmpty = 0x40
	simdConst  = 12
)

// Operators behind opMisc.
const (
	miscMemoryInit = 8
	miscDataDrop   = 9
	miscMemoryCopy = 10
	miscMemoryFill = 11
	miscTableInit  = 12
	miscElemDrop   = 13
	miscTableCopy  = 14
	miscTableGrow  = 15
	miscTableSize  = 16
	miscTableFill  = 17
)

// instruction is one operator with its immediates.
type instruction struct {
	op    byte
	sub   uint32 // of opMisc and opVector
	index uint32 // the first immediate, where it is an index
	block int64  // of a block: a value type, negative, or a type's index
	size  uint64 // bytes
	exits int    // of opBrTable
}

// next reads one instruction. An operator that is not in WebAssembly 2.0 is an
// error, since the length of its immediates is not known.
func (r *reader) next() instruction {
	from := r.at
	i := instruction{op: r.byte()}
	switch op := i.op; {
	case op <= 0x01, op == opElse, op == opEnd, op == 0x0f, op == 0x1a, op == 0x1b, op >= 0x45 && op <= 0xc4, op == 0xd1:
	case op >= opBlock && op <= opIf:
		i.block = r.signed(33)
	case op == opBr, op == opBrIf, op == opCall, op >= opLocalGet && op <= opTableSet, op == opRefFunc:
		i.index = r.u32()
	case op == opBrTable:
		i.exits = r.count(size(r.b), "targets of a br_table") + 1
		for k := i.exits; k > 0 && r.err == nil; k-- {
			r.u32()
		}
	case op == opCallIndirect, op >= 0x28 && op <= 0x3e: // a type and a table; an alignment and an offset
		i.index = r.u32()
		r.u32()
	case op == opSelectTyped:
		r.bytes(r.u32())
	case op == opMemorySize, op == opMemoryGrow, op == opRefNull:
		r.byte()
	case op == opI32Const:
		r.signed(32)
	case op == opI64Const:
		r.signed(64)
	case op == opF32Const:
		r.bytes(4)
	case op == opF64Const:
		r.bytes(8)
	case op == opMisc:
		r.misc(&i)
	case op == opVector:
		r.vector(&i)
	default:
		r.fail("operator %#x is not in WebAssembly 2.0 (threads, exceptions, tail calls and garbage collection are not supported)", op)
	}
	i.size = size(r.b[from:r.at])
	return i
}

func (r *reader) misc(i *instruction) {
	i.sub = r.u32()
	switch i.sub {
	case 0, 1, 2, 3, 4, 5, 6, 7: // conversions
	case miscMemoryInit, miscMemoryCopy, miscTableInit, miscTableCopy:
		i.index = r.u32()
		r.u32()
	case miscDataDrop, miscMemoryFill, miscElemDrop, miscTableGrow, miscTableSize, miscTableFill:
		i.index = r.u32()
	default:
		r.fail("operator %#x %d is not in WebAssembly 2.0", i.op, i.sub)
	}
}

func (r *reader) vector(i *instruction) {
	i.sub = r.u32()
	switch sub := i.sub; {
	case sub <= 11, sub == 92, sub == 93: // loads and stores
		r.u32()
		r.u32()
	case sub == simdConst, sub == 13: // 13 is a shuffle
		r.bytes(16)
	case sub >= 21 && sub <= 34: // lanes
		r.byte()
	case sub >= 84 && sub <= 91: // loads and stores of lanes
		r.u32()
		r.u32()
		r.byte()
	case sub > 0xff:
		r.fail("operator %#x %d is not in WebAssembly 2.0", i.op, sub)
	}
}
