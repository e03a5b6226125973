package sqlite

import "context"

// The log is moved into the file beside the writes. SQLite would do it within
// the commit that makes the log too long, and whoever waits for that commit
// would wait for some hundred pages and for two further syncs.
const (
	// moveAfter is after how many statements that changed rows the log is moved;
	// each of them mostly adds a page or two. Pages that were written again and
	// again meanwhile are moved once.
	moveAfter = 3000
	// longLog is the length in pages at which SQLite moves the log by itself,
	// should large values have made it grow faster than that.
	longLog = "8000"
)

// relieve has the log moved when there is enough in it. Only the holder of the
// turn calls it.
func (d *DB) relieve() {
	if d.tx.writes-d.moved < moveAfter || !d.moving.CompareAndSwap(false, true) {
		return
	}
	d.moved = d.tx.writes
	d.movers.Go(d.move)
}

// move moves the log while writes go on, and then, in a pause that it makes, the
// little that they have added: SQLite begins the log anew only once all of it
// has been moved.
func (d *DB) move() {
	defer d.moving.Store(false)
	err := d.checkpoint()
	if err == nil {
		select {
		case d.turn <- struct{}{}:
			err = d.tx.checkpoint()
			<-d.turn
		case <-d.closing:
		}
	}
	if err != nil {
		d.log.Warn("the log could not be moved into the database; it will be tried again", "err", err)
	}
}

// passive moves what no reader and no writer is in the way of, and waits for
// nobody. A connection that may not write may do this.
const passive = "PRAGMA wal_checkpoint(PASSIVE)"

func (d *DB) checkpoint() error {
	var busy, all, moved int64 // all is what there was when it began
	return d.read.QueryRowContext(context.Background(), passive).Scan(&busy, &all, &moved)
}

// checkpoint is for the holder of the turn, who must not wait for a reader: that
// one may be waiting for the turn.
func (t *Tx) checkpoint() error {
	return t.conn.Raw(func(dc any) error {
		t.raw = dc.(rawConn) //nolint:forcetypeassert // as in run
		return t.query(func(Row) error { return nil }, passive, nil)
	})
}
