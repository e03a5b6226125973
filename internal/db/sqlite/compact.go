package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// How often and how long Compact waits for readers that still use the log.
const (
	truncateTries = 100
	truncatePause = 50 * time.Millisecond
)

// Compact writes the file anew, so that nothing is left in it, or in the log
// beside it, of what was deleted or replaced before. Writes wait meanwhile, some
// seconds for each gigabyte, and the disk must have room for another file of the
// size.
func (d *DB) Compact(ctx context.Context) error {
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-d.turn }()
	d.mu.Lock()
	closed := d.closed
	d.mu.Unlock()
	if closed {
		return ErrClosed
	}
	err := d.tx.conn.Raw(func(dc any) error {
		d.tx.raw = dc.(rawConn) //nolint:forcetypeassert // as in run
		if err := d.tx.control("VACUUM"); err != nil {
			return err
		}
		return d.tx.truncate(ctx)
	})
	if err != nil {
		return fmt.Errorf("sqlite: write the file anew: %w", err)
	}
	return nil
}

// truncate moves the log into the file and empties it.
func (t *Tx) truncate(ctx context.Context) error {
	for range truncateTries {
		busy := true
		err := t.query(func(r Row) error {
			busy = r.Int(0) != 0
			return nil
		}, "PRAGMA wal_checkpoint(TRUNCATE)", nil)
		if err != nil || !busy {
			return err
		}
		select {
		case <-time.After(truncatePause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errors.New("the log is in use all the time")
}
