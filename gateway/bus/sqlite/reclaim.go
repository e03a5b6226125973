package sqlite

import "context"

// reclaim ends every lease: whoever held one is dead. It is called before the
// engine leases anything itself.
func (e *Engine) reclaim(ctx context.Context) error {
	return e.commit(ctx, func(w *writer) error {
		_, _, err := w.Exec(`UPDATE bus_order SET due = ? WHERE held = 1 AND due > ?`, w.now, w.now)
		return err
	})
}
