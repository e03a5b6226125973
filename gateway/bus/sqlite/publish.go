package sqlite

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// The states as the table holds them; see the migration.
const (
	ready  = 2
	leased = 3
	parked = 4
	dead   = 5
	done   = 6
)

// Publish appends the batch in one commit.
func (e *Engine) Publish(ctx context.Context, b bus.Batch) error {
	if err := rule.Check(b.Records, b.State); err != nil {
		return err
	}
	err := e.commit(ctx, func(w *writer) error {
		if err := w.stands(b.State); err != nil {
			return err
		}
		if err := w.room(b.Records); err != nil {
			return err
		}
		if err := w.append(b.Records, b.State); err != nil {
			return err
		}
		failpoint.Hit(failpoint.PublishBeforeCommit)
		return nil
	})
	if err == nil {
		failpoint.Hit(failpoint.PublishAfterCommit)
	}
	return err
}

// Write changes the state in one commit.
func (e *Engine) Write(ctx context.Context, writes ...bus.Write) error {
	return e.Publish(ctx, bus.Batch{State: writes})
}

// room reports ErrFull when a record of the batch is new and its channel at its
// limit. It writes nothing.
func (w *writer) room(records []bus.Record) error {
	if w.limit == 0 {
		return nil
	}
	if !w.fresh {
		if err := w.refresh(); err != nil {
			return err
		}
	}
	for i := range records {
		r := &records[i]
		l := w.lane(laneID{r.Queue, r.Channel})
		if l.waiting+l.pending < w.limit {
			continue
		}
		// Another process may have worked some off.
		if err := w.refresh(); err != nil {
			return err
		}
		if l.waiting+l.pending < w.limit {
			continue
		}
		known, err := w.knows(r)
		if err != nil {
			return err
		}
		if !known {
			return bus.ErrFull
		}
	}
	return nil
}

func (w *writer) knows(r *bus.Record) (bool, error) {
	hash := rule.Hash(r.Queue, r.Channel, r.Account, r.Key)
	_, known, err := w.One(`SELECT 1 FROM bus_record WHERE queue = ? AND channel = ? AND key = ? AND account = ?
		UNION ALL SELECT 1 FROM bus_key WHERE hash = ?`, r.Queue, r.Channel, r.Key, r.Account, hash[:])
	return known, err
}

// append publishes the records whose keys are new and writes the state, whose
// conditions have been checked.
func (w *writer) append(records []bus.Record, state []bus.Write) error {
	for i := range records {
		if err := w.publish(&records[i]); err != nil {
			return err
		}
	}
	for i := range state {
		if err := w.put(&state[i]); err != nil {
			return err
		}
	}
	return nil
}

// publish appends one record unless its key is known. The order's row changes
// only when nothing waited there before.
func (w *writer) publish(r *bus.Record) error {
	lane := laneID{r.Queue, r.Channel}
	o, err := w.order(lane, r.Order)
	if err != nil {
		return err
	}
	if o == nil {
		if o, err = w.newOrder(lane, r); err != nil || o == nil {
			return err
		}
	}
	due := max(micros(r.NotBefore), w.now)
	seq, err := w.insert(r, o.id, due)
	if err != nil || seq == 0 {
		return err
	}
	w.lane(lane).pending++
	w.arrives(o, r, seq, due)
	return nil
}

// newOrder makes the row of an order, unless the record's key is known; then it
// returns nil. Its first epoch is the highest position handed out: no order that
// was forgotten before can have had a higher one.
func (w *writer) newOrder(lane laneID, r *bus.Record) (*order, error) {
	known, err := w.knows(r)
	if err != nil || known {
		return nil, err
	}
	if _, _, err := w.Exec(`INSERT INTO bus_order (queue, channel, name, epoch)
		VALUES (?, ?, ?, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'bus_record'), 0))`,
		lane.queue, lane.channel, r.Order); err != nil {
		return nil, err
	}
	return w.order(lane, r.Order)
}

// insert returns the new record's position, or 0 when its key is known.
func (w *writer) insert(r *bus.Record, orderID, due int64) (int64, error) {
	hash := rule.Hash(r.Queue, r.Channel, r.Account, r.Key)
	n, seq, err := w.Exec(`INSERT INTO bus_record
		(order_id, state, attempt, due, at, published, queue, channel, account, key, workspace, body)
		SELECT ?1, 2, 0, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9
		WHERE NOT EXISTS (SELECT 1 FROM bus_key WHERE hash = ?10)
		ON CONFLICT (queue, channel, key, account) DO NOTHING`,
		orderID, due, w.now, r.Queue, r.Channel, r.Account, r.Key, r.Workspace, blob(r.Body), hash[:])
	if err != nil || n == 0 {
		return 0, err
	}
	return seq, nil
}

// blob keeps nil apart from empty.
func blob(b json.RawMessage) any {
	if b == nil {
		return nil
	}
	return []byte(b)
}

// stands reports ErrConflict unless every condition holds when the writes are
// applied one after the other. It writes nothing.
func (w *writer) stands(writes []bus.Write) error {
	if !slices.ContainsFunc(writes, func(x bus.Write) bool { return x.If != 0 }) {
		return nil
	}
	var touched map[[2]string]int64
	for i := range writes {
		x := &writes[i]
		k := [2]string{x.Space, x.Key}
		version, known := touched[k]
		if !known {
			var err error
			if version, err = w.version(x.Space, x.Key); err != nil {
				return err
			}
		}
		if (x.If == bus.Absent && version != 0) || (x.If > 0 && version != x.If) {
			return bus.ErrConflict
		}
		if len(writes) == 1 {
			return nil
		}
		if touched == nil {
			touched = make(map[[2]string]int64, len(writes))
		}
		touched[k] = version + 1
		if x.Value == nil {
			touched[k] = 0
		}
	}
	return nil
}

func (w *writer) version(space, key string) (int64, error) {
	row, found, err := w.One(`SELECT version FROM bus_state WHERE space = ? AND key = ?`, space, key)
	if err != nil || !found {
		return 0, err
	}
	return row.Int(0), nil
}

func (w *writer) put(x *bus.Write) error {
	var err error
	if x.Value == nil {
		_, _, err = w.Exec(`DELETE FROM bus_state WHERE space = ? AND key = ?`, x.Space, x.Key)
	} else {
		_, _, err = w.Exec(`INSERT INTO bus_state (space, key, version, value) VALUES (?, ?, 1, ?)
			ON CONFLICT (space, key) DO UPDATE SET version = version + 1, value = excluded.value`, x.Space, x.Key, x.Value)
	}
	if err == nil && w.watched {
		w.changes = append(w.changes, *x)
	}
	return err
}
