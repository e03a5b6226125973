package sqlite

import (
	"encoding/json"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

// order is a row of bus_order, and what the writer knows beyond it.
type order struct {
	id         int64
	lane       laneID
	name       string
	epoch      int64
	held       bool
	due        int64
	idle       bool // nothing waits: due is NULL
	head, tail int64

	last    int64        // no record behind it waits; 0: unknown
	out     int          // records that the lease has handed out; 0: unknown
	fresh   []bus.Record // all that waits, when this transaction has published it
	changed bool         // the file does not have it yet
}

type orderName struct {
	laneID
	name string
}

// orders are the rows that the writer has in memory. Within a transaction a row
// is read once and written once, however many steps change it: a message that
// arrives and is handed out with the same commit changes it twice. Where nobody
// else writes to the file, the rows stay for later transactions.
type orders struct {
	byName  map[orderName]*order
	changed []*order
}

// maxOrders bounds the rows that stay in memory.
const maxOrders = 4096

// forget drops everything. What has not been stored is lost.
func (s *orders) forget() {
	clear(s.byName)
	clear(s.changed)
	s.changed = s.changed[:0]
}

// order returns an order, nil when there is none.
func (w *writer) order(lane laneID, name string) (*order, error) {
	key := orderName{lane, name}
	if o := w.orders.byName[key]; o != nil {
		return o, nil
	}
	row, found, err := w.One(`SELECT id, epoch, held, due, head, tail FROM bus_order
		WHERE queue = ? AND channel = ? AND name = ?`, lane.queue, lane.channel, name)
	if err != nil || !found {
		return nil, err
	}
	return w.keep(&order{
		id: row.Int(0), lane: lane, name: name, epoch: row.Int(1), held: row.Int(2) != 0,
		due: row.Int(3), idle: row.IsNull(3), head: row.Int(4), tail: row.Int(5),
	}), nil
}

// keep puts a row in memory that is not there yet, and returns the one that is.
func (w *writer) keep(o *order) *order {
	key := orderName{o.lane, o.name}
	if known := w.orders.byName[key]; known != nil {
		return known
	}
	w.orders.byName[key] = o
	return o
}

// change notes that an order differs from its row. The statements that read rows
// themselves do so after [writer.store].
func (w *writer) change(o *order) {
	if !o.changed {
		o.changed = true
		w.orders.changed = append(w.orders.changed, o)
	}
}

// store writes the rows that have changed.
func (w *writer) store() error {
	for _, o := range w.orders.changed {
		var due any
		if !o.idle {
			due = o.due
			w.due(o.lane, o.due)
		}
		held := 0
		if o.held {
			held = 1
		}
		if _, _, err := w.Exec(`UPDATE bus_order SET epoch = ?, held = ?, due = ?, head = ?, tail = ? WHERE id = ?`,
			o.epoch, held, due, o.head, o.tail, o.id); err != nil {
			return err
		}
		o.changed, o.fresh = false, nil
	}
	clear(w.orders.changed)
	w.orders.changed = w.orders.changed[:0]
	return nil
}

// release stores the rows and forgets them, for statements that change them by
// themselves.
func (w *writer) release() error {
	if err := w.store(); err != nil {
		return err
	}
	w.orders.forget()
	return nil
}

// settleOrders keeps what will still be true in the next transaction.
func (w *writer) settleOrders(committed bool) {
	if !committed || !w.alone || len(w.orders.byName) > maxOrders {
		w.orders.forget()
	}
}

// arrives notes a record that was inserted into an order.
func (w *writer) arrives(o *order, r *bus.Record, seq, due int64) {
	o.last = seq
	if !o.idle && o.fresh == nil {
		return // what else waits is not known
	}
	if o.idle {
		o.idle, o.due, o.head = false, due, seq
		w.change(o)
	}
	o.fresh = append(o.fresh, bus.Record{
		Workspace: r.Workspace, Queue: r.Queue, Channel: r.Channel, Account: r.Account, Key: r.Key, Order: r.Order,
		Seq: seq, Attempt: 1, Published: fromMicros(w.now), NotBefore: notBefore(due, w.now),
		Body: append(json.RawMessage(nil), r.Body...), // as it would be read: nil when empty
	})
}

// waiting returns the records of an order that nobody has and that are due, up
// to the first that is not, with the attempt that is about to be counted.
func (w *writer) waiting(o *order, most int) ([]bus.Record, error) {
	if o.fresh == nil {
		return w.records(o, most)
	}
	n := 0
	for n < len(o.fresh) && !o.fresh[n].NotBefore.After(fromMicros(w.now)) && (most == 0 || n < most) {
		n++
	}
	return o.fresh[:n:n], nil
}
