package sqlite

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
	db "github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// Lease takes orders that have due records, or waits for some.
func (e *Engine) Lease(ctx context.Context, want bus.Want) ([]*bus.Lease, error) {
	if err := rule.CheckWant(want); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	x := &waiter{want: rule.Filled(want), served: make(chan struct{})}
	if err := e.join(x); err != nil {
		return nil, err
	}
	if want.NoWait || e.mayServe(x) {
		// An empty write: the rider serves x, with whatever else is under way.
		err := e.commit(ctx, func(w *writer) error { return w.refresh() })
		if err != nil || want.NoWait {
			return e.leave(x, err)
		}
	}
	e.arm()
	select {
	case <-x.served:
		return x.leases, x.err
	case <-ctx.Done():
		return e.leave(x, ctx.Err())
	}
}

// waiter is a call of Lease that has not returned.
type waiter struct {
	want   bus.Want
	served chan struct{} // closed when leases or err stand
	leases []*bus.Lease
	err    error
	// taken holds leases of a transaction that has not been committed. While it
	// is set, the waiter cannot leave.
	taken []*bus.Lease
	gone  bool // it wants to leave
}

func (x *waiter) takes(id laneID) bool {
	return x.want.Queue == id.queue && (x.want.Channels == nil || slices.Contains(x.want.Channels, id.channel))
}

// serve ends the wait. The caller holds e.mu.
func (x *waiter) serve(leases []*bus.Lease, err error) {
	x.leases, x.err = leases, err
	close(x.served)
}

// join puts x at the end of the line.
func (e *Engine) join(x *waiter) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return bus.ErrClosed
	}
	e.waiters = append(e.waiters, x)
	return nil
}

// leave takes x out of the line and returns err, or what it was served with:
// leases that are being committed belong to it, however long it wanted to wait.
func (e *Engine) leave(x *waiter, err error) ([]*bus.Lease, error) {
	e.mu.Lock()
	select {
	case <-x.served:
		e.mu.Unlock()
		return x.leases, x.err
	default:
	}
	if x.taken == nil {
		e.drop(x)
		e.mu.Unlock()
		return nil, err
	}
	x.gone = true
	e.mu.Unlock()
	<-x.served
	if x.leases == nil && x.err == nil {
		return nil, err
	}
	return x.leases, x.err
}

func (e *Engine) drop(x *waiter) {
	e.waiters = slices.DeleteFunc(e.waiters, func(y *waiter) bool { return y == x })
}

// dismiss ends every wait that has not been served.
func (e *Engine) dismiss(err error) {
	for _, x := range slices.Clone(e.waiters) {
		if x.taken == nil {
			e.drop(x)
			x.serve(nil, err)
		}
	}
}

// rider is the engine as the database's rider.
type rider Engine

// Ride leases to the waiters what is due, in the order of their arrival.
func (r *rider) Ride(tx *db.Tx) error {
	e := (*Engine)(r)
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.begin(tx)
	if err := e.serveWaiters(w); err != nil {
		return err
	}
	return w.store()
}

// serveWaiters leases to the waiters. The caller holds e.mu.
func (e *Engine) serveWaiters(w *writer) error {
	if len(e.waiters) == 0 {
		return nil
	}
	e.rode = true
	if !w.fresh {
		if err := w.refresh(); err != nil {
			return err
		}
	}
	for _, x := range e.waiters {
		leases, err := w.lease(x)
		if err != nil {
			return err
		}
		if len(leases) > 0 {
			x.taken = leases
			failpoint.Hit(failpoint.LeaseBeforeCommit)
		}
	}
	return nil
}

// Arrive hands out what Ride took, once it is durable. When the ride failed, the
// waiters get the error, unless it is tried again at once.
func (r *rider) Arrive(err error, again bool) {
	e := (*Engine)(r)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tell(err == nil)
	failed := err != nil && e.rode && !again
	e.rode = false
	e.write.settleLanes(err == nil)
	e.write.settleOrders(err == nil)
	if err != nil {
		e.write.fresh = false
	}
	if failed {
		e.retry = e.now().Add(sweepEvery)
	}
	kept := e.waiters[:0]
	for _, x := range e.waiters {
		leases := x.taken
		x.taken = nil
		switch {
		case leases != nil && err == nil:
			failpoint.Hit(failpoint.LeaseAfterCommit)
			x.serve(leases, nil)
		case failed:
			x.serve(nil, err)
		case x.gone:
			x.serve(nil, nil)
		case e.closed:
			x.serve(nil, bus.ErrClosed)
		default:
			kept = append(kept, x)
		}
	}
	clear(e.waiters[len(kept):])
	e.waiters = kept
	e.next = e.write.nextFor(kept)
	e.ahead, e.asked = e.write.ahead(e.ahead), e.write.fresh
	e.rearm()
}

// tell lets the watchers know what the transaction changed, if it stands.
func (e *Engine) tell(committed bool) {
	w := &e.write
	if committed && len(w.changes) > 0 {
		for _, f := range e.watch {
			f(w.changes)
		}
	}
	clear(w.changes)
	w.changes = w.changes[:0]
}

// lease takes up to N orders for x.
func (w *writer) lease(x *waiter) ([]*bus.Lease, error) {
	due, err := w.dueFor(x)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(due, func(a, b *order) int {
		return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.head, b.head))
	})
	var leases []*bus.Lease
	for _, o := range due {
		if len(leases) == x.want.N {
			w.due(o.lane, o.due) // left for the next
			continue
		}
		l, err := w.take(o, x.want)
		if err != nil {
			return nil, err
		}
		if l != nil {
			leases = append(leases, l)
		}
	}
	return leases, nil
}

// dueFor returns the orders that x may take, in no order. When the file holds
// nothing that is due, it is what this transaction has made due.
func (w *writer) dueFor(x *waiter) (due []*order, err error) {
	if !w.dueBefore(x) {
		for _, o := range w.orders.changed {
			if !o.idle && o.due <= w.now && x.takes(o.lane) {
				due = append(due, o)
			}
		}
		return due, nil
	}
	if err := w.store(); err != nil {
		return nil, err
	}
	for id, l := range w.lanes {
		if l.next > w.now || !x.takes(id) {
			continue
		}
		found, err := w.dueOrders(id, l, x.want.N)
		if err != nil {
			return nil, err
		}
		due = append(due, found...)
	}
	return due, nil
}

// dueBefore reports whether rows that are stored may hold something due for x.
func (w *writer) dueBefore(x *waiter) bool {
	for id, l := range w.lanes {
		if l.next <= w.now && x.takes(id) {
			return true
		}
	}
	return false
}

// dueOrders returns the oldest due orders of a lane, at most n, and brings the
// lane's next up to what lies behind them. It stops by itself: SQLite prepares a
// statement anew for every value that is bound to a LIMIT.
func (w *writer) dueOrders(id laneID, l *lane, n int) ([]*order, error) {
	var due []*order
	next := int64(never)
	err := w.Query(func(r db.Row) error {
		o := order{
			id: r.Int(0), lane: id, name: r.Text(1), epoch: r.Int(2), held: r.Int(3) != 0,
			due: r.Int(4), head: r.Int(5), tail: r.Int(6),
		}
		if o.due > w.now || len(due) == n {
			next = o.due
			return db.ErrStop
		}
		due = append(due, w.keep(&o))
		return nil
	}, `SELECT id, name, epoch, held, due, head, tail FROM bus_order
		WHERE queue = ? AND channel = ? AND due IS NOT NULL ORDER BY due, head`, id.queue, id.channel)
	if err != nil {
		return nil, err
	}
	l.next = next
	return due, nil
}

// take leases one order.
func (w *writer) take(o *order, want bus.Want) (*bus.Lease, error) {
	if o.held { // the lease before ran out and left its records marked
		if _, _, err := w.Exec(`UPDATE bus_record SET state = 2
			WHERE order_id = ? AND seq BETWEEN ? AND ? AND state = 3`, o.id, o.head, o.tail); err != nil {
			return nil, err
		}
	}
	records, err := w.waiting(o, want.Max)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, w.free(o) // its row was out of step with its records
	}
	o.head, o.tail = records[0].Seq, records[len(records)-1].Seq
	if err := w.mark(o.id, o.head, o.tail); err != nil {
		return nil, err
	}
	o.epoch, o.held, o.due = o.epoch+1, true, w.now+want.For.Microseconds()
	o.out, o.fresh = len(records), nil
	w.change(o)
	return &bus.Lease{
		Queue: o.lane.queue, Order: o.name, Channel: o.lane.channel, Epoch: o.epoch,
		Until: fromMicros(o.due), For: want.For, Records: records,
	}, nil
}

// mark counts the records as handed out: those in the range that are ready,
// which are exactly the ones that were read.
func (w *writer) mark(orderID, first, last int64) error {
	_, _, err := w.Exec(`UPDATE bus_record SET state = 3, attempt = attempt + 1, at = ?
		WHERE order_id = ? AND seq BETWEEN ? AND ? AND state = 2`, w.now, orderID, first, last)
	return err
}

// records reads the due records of an order that nobody has, up to the first
// that is not due, with the attempt that is about to be counted.
func (w *writer) records(o *order, most int) ([]bus.Record, error) {
	var out []bus.Record
	err := w.Query(func(r db.Row) error {
		if r.Int(1) > w.now || (most > 0 && len(out) == most) {
			return db.ErrStop
		}
		rec := bus.Record{
			Queue: o.lane.queue, Channel: o.lane.channel, Order: o.name,
			Seq: r.Int(0), Attempt: int(r.Int(2)) + 1, Published: fromMicros(r.Int(3)),
			Account: r.Text(4), Key: r.Text(5), Workspace: r.Text(6), Progress: r.Blob(7), Body: r.Blob(8),
		}
		rec.NotBefore = notBefore(r.Int(1), r.Int(3))
		out = append(out, rec)
		return nil
	}, `SELECT seq, due, attempt, published, account, key, workspace, progress, body FROM bus_record
		WHERE order_id = ? AND seq >= ? AND state = 2 ORDER BY seq`, o.id, o.head)
	return out, err
}

// notBefore undoes that a record without a time of its own is due when published.
func notBefore(due, published int64) time.Time {
	if due <= published {
		return time.Time{}
	}
	return fromMicros(due)
}

// free ends the order's lease, if any, and finds its first waiting record.
func (w *writer) free(o *order) error {
	row, found, err := w.One(`SELECT seq, due FROM bus_record
		WHERE order_id = ? AND seq >= ? AND state <= 3 ORDER BY seq LIMIT 1`, o.id, o.head)
	if err != nil {
		return err
	}
	o.idle = !found
	if found {
		o.head, o.due = row.Int(0), row.Int(1)
	}
	w.end(o)
	return nil
}

// end ends the order's lease, whose next record is known.
func (w *writer) end(o *order) {
	o.held, o.out, o.fresh = false, 0, nil
	w.change(o)
}
