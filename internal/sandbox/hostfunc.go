package sandbox

import (
	"context"

	"github.com/tetratelabs/wazero/api"
)

// hostFunc is a function that guests can import.
type hostFunc struct {
	name            string
	params, results []api.ValueType
	run             func(c *call, m memory, stack []uint64)
}

// hostCost is what a call of the host costs besides what it moves, requestCost
// what one of gw's call costs besides: some 0.1 and 0.5 µs.
const (
	hostCost    = 200
	requestCost = 1000
)

// native is the function as the runtime wants it.
func (f hostFunc) native() api.GoModuleFunc {
	return func(ctx context.Context, m api.Module, stack []uint64) {
		c := callOf(ctx)
		c.charge(hostCost)
		f.run(c, memory{m.Memory()}, stack)
	}
}

// hostModules are all modules that guests can import from.
func hostModules() map[string][]hostFunc {
	return map[string][]hostFunc{
		"gw":                     gatewayFuncs(),
		"wasi_snapshot_preview1": wasiFuncs(),
		"env":                    scriptFuncs(),
		extismModule:             extismFuncs(),
	}
}

// types writes a list of value types: i for i32, l for i64, d for f64.
func types(list string) []api.ValueType {
	var t []api.ValueType
	for _, c := range list {
		switch c {
		case 'i':
			t = append(t, api.ValueTypeI32)
		case 'l':
			t = append(t, api.ValueTypeI64)
		case 'd':
			t = append(t, api.ValueTypeF64)
		}
	}
	return t
}

// memory is the guest's memory as the host's functions see it. Addresses and
// lengths are the low halves of the stack's slots: a guest decides the rest.
type memory struct{ api.Memory }

// bytes refers to a part of the memory; it is the guest's fault if there is
// no such part.
func (m memory) bytes(ptr, n uint64) []byte {
	b, ok := m.Read(uint32(ptr), uint32(n)) //nolint:gosec // the low half
	if !ok {
		panic(stopf(KindRange, "gave the host %d bytes at %d, its memory has %d", uint32(n), uint32(ptr), m.Size())) //nolint:gosec // the low half
	}
	return b
}
