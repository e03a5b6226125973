package wasm

import (
	"errors"
	"maps"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// Starts is how a package fared when its channels began to run.
type Starts struct {
	Succeeded bool
	Faults    int   // of the module itself, in a row: what a platform did is none
	Err       error // the last of them
}

// Starts are those of all packages since the process began, by their sums.
func (d *Driver) Starts() map[string]Starts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.starts)
}

// started notes the outcome of a start. What a guest says itself, such as that the
// platform is down, is neither a success nor a fault.
func (d *Driver) started(sum string, err error) {
	var fault *sandbox.Fault
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.starts[sum]
	switch {
	case err == nil:
		s = Starts{Succeeded: true}
	case errors.As(err, &fault):
		s.Faults++
		s.Err = fault
	}
	d.starts[sum] = s
}
