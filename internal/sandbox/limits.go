package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox/wasm"
)

// Limits bound one call. A field that is 0 has its default.
type Limits struct {
	MemoryPages uint32        // 64 KiB each; default and maximum 512
	Fuel        int64         // about one unit an instruction; default 1e9, maximum 1e10
	Wall        time.Duration // host calls included; default 2 s
	HostCalls   int           // default 64
	HTTP        int           // of the host calls; default 16
	Emits       int           // default 100
	Output      int           // bytes; default 1 MiB
	Response    int           // bytes that one host call gives, and that a call's effects hold together; default 4 MiB
	Log         int           // bytes; default 64 KiB
}

// What no module is given more of.
const (
	maxPages = 512
	maxFuel  = 1e10
	slice    = 100_000 // fuel between two looks at the clock; some 50 µs
	maxStack = 1 << 20
	// commonStack is how deep calls may be before the guest asks its host, which
	// allows maxStack: an instance whose call stayed below keeps its stack for
	// the next.
	commonStack = 128 << 10
	maxTable    = 65_536
)

// DefaultLimits are what a webhook's call gets.
func DefaultLimits() Limits {
	return Limits{
		MemoryPages: maxPages,
		Fuel:        1e9,
		Wall:        2 * time.Second,
		HostCalls:   64,
		HTTP:        16,
		Emits:       100,
		Output:      1 << 20,
		Response:    4 << 20,
		Log:         64 << 10,
	}
}

// complete fills in the defaults and refuses what is too much.
func (l Limits) complete() (Limits, error) {
	d := DefaultLimits()
	l = Limits{
		MemoryPages: cmp.Or(l.MemoryPages, d.MemoryPages),
		Fuel:        cmp.Or(l.Fuel, d.Fuel),
		Wall:        cmp.Or(l.Wall, d.Wall),
		HostCalls:   cmp.Or(l.HostCalls, d.HostCalls),
		HTTP:        cmp.Or(l.HTTP, d.HTTP),
		Emits:       cmp.Or(l.Emits, d.Emits),
		Output:      cmp.Or(l.Output, d.Output),
		Response:    cmp.Or(l.Response, d.Response),
		Log:         cmp.Or(l.Log, d.Log),
	}
	var faults []error
	if l.MemoryPages > maxPages {
		faults = append(faults, fmt.Errorf("memory of %d pages, at most %d", l.MemoryPages, maxPages))
	}
	if l.Fuel < 0 || l.Fuel > maxFuel {
		faults = append(faults, fmt.Errorf("fuel of %d, at most %d", l.Fuel, int64(maxFuel)))
	}
	if l.Wall < 0 {
		faults = append(faults, fmt.Errorf("a wall clock of %s", l.Wall))
	}
	return l, errors.Join(faults...)
}

// static are the limits of the module itself.
func (l Limits) static(known map[wasm.Name]wasm.FuncType) wasm.Limits {
	s := wasm.DefaultLimits()
	s.MemoryPages = l.MemoryPages
	s.Known = known
	return s
}
