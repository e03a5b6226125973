package wasm

import (
	"encoding/binary"
	"slices"
)

// place says that an instruction of the rewritten module comes from one of the
// module's own. Both are offsets in the code section.
type place struct{ at, from uint32 }

// Origins says for offsets in the code section of what Rewrite writes with these
// options from where in the module's own code section they come. Code that was
// added belongs to the instruction before it.
func (m *Module) Origins(o Options, offsets []uint32) []uint32 {
	o.Places = true
	e := &encoder{Module: m, o: o, out: make([]byte, 0, 2*m.size)}
	e.codeSection()
	const head = 6 // of a section: its number, and its length as sized writes it
	all := make([]uint32, 0, len(offsets))
	for _, at := range offsets {
		i, found := slices.BinarySearchFunc(e.places, at+head, func(p place, at uint32) int { return int(p.at) - int(at) })
		if !found && i > 0 {
			i--
		}
		if i < len(e.places) {
			all = append(all, e.places[i].from)
		}
	}
	return all
}

// notePlace remembers where an instruction goes.
func (e *encoder) notePlace(from int) {
	if e.o.Places {
		e.places = append(e.places, place{uint32(len(e.out)), uint32(from)}) //nolint:gosec // bounded by the size of a module
	}
}

// placeSections make the runtime say in its traces where in the code section each
// frame was, which it does for modules with debug information alone. They say
// that there is one unit, as large as any module, of one line.
func (e *encoder) placeSections() {
	const first, length = 1, 1 << 30 // 0 stands for code that was thrown away
	u32 := func(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }
	after := func(b []byte) []byte { return append(u32(nil, uint32(len(b))), b...) } //nolint:gosec // some bytes

	// One kind of entry: a unit without children, with its lines, low and high address.
	abbrev := []byte{1, 0x11, 0, 0x10, 0x17, 0x11, 0x01, 0x12, 0x06, 0, 0, 0}
	info := append(u32([]byte{4, 0}, 0), 4, 1) // version 4, addresses of four bytes, the entry
	info = u32(u32(u32(info, 0), first), length)
	// Instructions of one byte, the usual operators, no folders, one file.
	table := []byte{1, 1, 0xfb, 14, 10, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, '-', 0, 0, 0, 0, 0}
	program := append(u32([]byte{0, 5, 2}, first), 1, 2) // from the first address on; then advance
	program = binary.AppendUvarint(program, length)
	program = append(program, 0, 1, 1) // the end
	line := append(append([]byte{2, 0}, after(table)...), program...)

	for _, s := range []struct {
		name    string
		content []byte
	}{{".debug_abbrev", abbrev}, {".debug_info", after(info)}, {".debug_line", after(line)}} {
		e.section(secCustom, func() {
			e.name(s.name)
			e.byte(s.content...)
		})
	}
}
