package sandbox

import (
	"context"
	"errors"
	"log/slog"
)

// witness is the host while a module is loaded. It denies everything, and
// keeps what the module writes: if it dies, these are its last words.
type witness struct{ said []string }

var _ Host = (*witness)(nil)

// Do implements Host.
func (w *witness) Do(context.Context, HostOp, Payload) (Payload, error) { return Payload{}, Denied }

// Log implements Host.
func (w *witness) Log(_ context.Context, _ slog.Level, text string) {
	const most = 40
	if len(w.said) < most {
		w.said = append(w.said, text)
	}
}

// blame adds to a fault what the module wrote before it.
func (w *witness) blame(err error) error {
	var f *Fault
	if errors.As(err, &f) {
		f.Said = w.said
	}
	return err
}
