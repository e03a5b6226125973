package sqlite

import "context"

// Reclaim ends every lease, so that what a dead process was working on is taken
// up at once instead of when its leases run out. Only the one owner of the file
// may call it, before it leases anything itself.
func (e *Engine) Reclaim(ctx context.Context) error {
	return e.commit(ctx, func(w *writer) error {
		_, _, err := w.Exec(`UPDATE bus_order SET due = ? WHERE held = 1 AND due > ?`, w.now, w.now)
		return err
	})
}
