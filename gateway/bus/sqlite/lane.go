package sqlite

import (
	"math"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	db "github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
)

// laneID is one channel's part of a queue.
type laneID struct{ queue, channel string }

// lane is what the writer remembers of a channel's part of a queue, so that a
// lease need not ask the database about channels that have nothing due.
type lane struct {
	next    int64 // no order falls due before this; never never
	waiting int   // records ready or leased; kept only when there is a limit
	pending int   // change of waiting by the transaction under way
}

const never = math.MaxInt64

// writer is the engine's side of a transaction, used by one goroutine at a
// time. Its lanes are hints: a next that is too early costs a query, so it is
// lowered at once and raised only by what the database says.
type writer struct {
	*db.Tx
	now     int64
	limit   int
	lanes   map[laneID]*lane
	watched bool       // somebody wants to know the changes
	changes []kv.Write // of the state, by the transaction under way
	fresh   bool       // lanes holds every channel that has waiting records
	foreign int64      // SQLite's data_version when the lanes were loaded
	alone   bool       // no other engine writes to the file
	orders  orders
}

func (w *writer) lane(id laneID) *lane {
	l := w.lanes[id]
	if l == nil {
		l = &lane{next: never}
		w.lanes[id] = l
	}
	return l
}

// due notes that an order of the lane falls due at a time.
func (w *writer) due(id laneID, at int64) {
	l := w.lane(id)
	l.next = min(l.next, at)
}

// settleLanes makes the pending counts stand, or forgets what the lanes say.
func (w *writer) settleLanes(committed bool) {
	for _, l := range w.lanes {
		if committed {
			l.waiting += l.pending
		} else {
			l.next = 0
		}
		l.pending = 0
	}
}

// refresh reads the lanes when this process has not done so since another one
// wrote to the file.
func (w *writer) refresh() error {
	row, _, err := w.One(`PRAGMA data_version`)
	if err != nil {
		return err
	}
	if w.fresh && row.Int(0) == w.foreign {
		return nil
	}
	if err := w.loadLanes(); err != nil {
		return err
	}
	w.fresh, w.foreign = true, row.Int(0)
	return nil
}

func (w *writer) loadLanes() error {
	if err := w.store(); err != nil {
		return err
	}
	err := w.Query(func(r db.Row) error {
		w.due(laneID{r.Text(0), r.Text(1)}, r.Int(2))
		return nil
	}, `SELECT queue, channel, min(due) FROM bus_order WHERE due IS NOT NULL GROUP BY queue, channel`)
	if err != nil || w.limit == 0 {
		return err
	}
	for _, l := range w.lanes {
		l.waiting = -l.pending
	}
	return w.Query(func(r db.Row) error {
		w.lane(laneID{r.Text(0), r.Text(1)}).waiting += int(r.Int(2))
		return nil
	}, `SELECT o.queue, o.channel, count(*) FROM bus_order o
		JOIN bus_record r ON r.order_id = o.id AND r.seq >= o.head AND r.state <= 3
		WHERE o.due IS NOT NULL GROUP BY o.queue, o.channel`)
}
