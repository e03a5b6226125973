package sandbox

import "context"

// Instance takes an instance as a call gets it, writes one byte into each of some
// pages, and gives it back: for the next call, or to be thrown away.
func (m *Module) Instance(ctx context.Context, pages int, again bool) error {
	if err := m.box.slots.enter(ctx, false); err != nil {
		return err
	}
	c := m.newCall(ctx, m.lim, nil)
	defer c.free()
	inst, err := m.take(c)
	if err != nil {
		return err
	}
	c.attach(inst)
	const page = 4096
	for i := range uint32(pages) { //nolint:gosec // a few
		inst.Memory().WriteByte(i*page, 1)
	}
	m.giveBack(c, inst, again)
	return nil
}

// Readable is readable, for a fuzz target.
var Readable = readable
