// Package inprocess is the bus in memory: the reference that says what the
// durable engines must do, and the engine of tests. It is written to be
// obviously right, not to be fast: one mutex, and every waiting lease looks
// again whenever anything changed. What it holds dies with the process.
package inprocess

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/rule"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

var (
	_ bus.Engine = (*Engine)(nil)
	_ kv.Watcher = (*Engine)(nil)
)

// Options of an engine. The zero value is ready to use.
type Options struct {
	Now   func() time.Time // nil: time.Now
	Limit int              // waiting records of a channel and queue at which Publish answers ErrFull; 0: none
}

// Engine is a bus in memory. Its methods may be called concurrently.
type Engine struct {
	now   func() time.Time
	limit int

	mu      sync.Mutex
	closed  bool
	changed chan struct{} // closed and replaced when something changed
	seq     int64
	records map[id]*record // every record whose body still stands
	orders  map[orderID]*order
	seen    map[id]time.Time // keys without a body, and when they were published
	state   map[stateID]bus.Entry
	watch   []func([]kv.Write)
}

type (
	id      struct{ queue, channel, account, key string }
	orderID struct{ queue, channel, name string }
	stateID struct{ space, key string }
)

type record struct {
	bus.Record
	order  *order
	state  bus.State
	due    time.Time // Ready: when; Parked: when it expires, zero for never
	at     time.Time // when it got into its state
	reason string
	tag    string
}

// waits reports whether the record takes part in its order's sequence.
func (r *record) waits() bool { return r.state == bus.Ready || r.state == bus.Leased }

// order is a conversation: its waiting records and the lease on it.
type order struct {
	orderID
	epoch int64
	held  bool
	until time.Time
	queue []*record // those that wait, by Seq
}

// New returns an empty engine.
func New(o Options) *Engine {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Engine{
		now: o.Now, limit: o.Limit,
		changed: make(chan struct{}),
		records: map[id]*record{},
		orders:  map[orderID]*order{},
		seen:    map[id]time.Time{},
		state:   map[stateID]bus.Entry{},
	}
}

// Close ends waiting leases. Calls after it return [bus.ErrClosed].
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.closed = true
		close(e.changed)
	}
	return nil
}

// enter locks the engine for one call, or says why the call cannot be made.
func (e *Engine) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil, bus.ErrClosed
	}
	return e.mu.Unlock, nil
}

// wake lets every waiting lease look again.
func (e *Engine) wake() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// Publish appends the batch.
func (e *Engine) Publish(ctx context.Context, b bus.Batch) error {
	if err := rule.Check(b.Records, b.State); err != nil {
		return err
	}
	leave, err := e.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if !e.stands(b.State) {
		return bus.ErrConflict
	}
	if e.full(b.Records) {
		return bus.ErrFull
	}
	e.append(b.Records)
	e.write(b.State)
	return nil
}

// full reports whether a record of the batch is new and its channel at its limit.
func (e *Engine) full(records []bus.Record) bool {
	if e.limit == 0 {
		return false
	}
	for _, r := range records {
		if !e.knows(idOf(r)) && e.waiting(r.Queue, r.Channel) >= e.limit {
			return true
		}
	}
	return false
}

func (e *Engine) waiting(queue, channel string) int {
	n := 0
	for _, o := range e.orders {
		if o.orderID.queue == queue && o.channel == channel {
			n += len(o.queue)
		}
	}
	return n
}

func idOf(r bus.Record) id { return id{r.Queue, r.Channel, r.Account, r.Key} }

func (e *Engine) knows(k id) bool {
	if _, stands := e.records[k]; stands {
		return true
	}
	_, known := e.seen[k]
	return known
}

// append publishes the records whose keys are new.
func (e *Engine) append(records []bus.Record) {
	now := e.now()
	for _, in := range records {
		if e.knows(idOf(in)) {
			continue
		}
		e.seq++
		r := &record{Record: in, order: e.order(in), state: bus.Ready, due: later(in.NotBefore, now), at: now}
		r.Body = slices.Clone(in.Body)
		r.Seq, r.Attempt, r.Published, r.Progress = e.seq, 0, now, nil
		e.records[idOf(in)] = r
		r.order.queue = append(r.order.queue, r)
	}
	if len(records) > 0 {
		e.wake()
	}
}

func (e *Engine) order(r bus.Record) *order {
	k := orderID{r.Queue, r.Channel, r.Order}
	o := e.orders[k]
	if o == nil {
		o = &order{orderID: k}
		e.orders[k] = o
	}
	return o
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// stands reports whether every condition holds when the writes are applied one
// after the other.
func (e *Engine) stands(writes []bus.Write) bool {
	version := map[stateID]int64{}
	for _, w := range writes {
		k := stateID{w.Space, w.Key}
		v, touched := version[k]
		if !touched {
			v = e.state[k].Version
		}
		if (w.If == bus.Absent && v != 0) || (w.If > 0 && v != w.If) {
			return false
		}
		version[k] = v + 1
		if w.Value == nil {
			version[k] = 0
		}
	}
	return true
}

// Write changes the state.
func (e *Engine) Write(ctx context.Context, w ...bus.Write) error {
	return e.Publish(ctx, bus.Batch{State: w})
}

// Watch implements [kv.Watcher].
func (e *Engine) Watch(f func([]kv.Write)) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.watch = append(e.watch, f)
	return true
}

func (e *Engine) write(writes []bus.Write) {
	if len(writes) > 0 {
		defer func() {
			for _, f := range e.watch {
				f(writes)
			}
		}()
	}
	for _, w := range writes {
		k := stateID{w.Space, w.Key}
		if w.Value == nil {
			delete(e.state, k)
			continue
		}
		e.state[k] = bus.Entry{Key: w.Key, Version: e.state[k].Version + 1, Value: slices.Clone(w.Value)}
	}
}

// Get returns one value of the state.
func (e *Engine) Get(ctx context.Context, space, key string) (bus.Entry, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return bus.Entry{}, err
	}
	defer leave()
	return copied(e.state[stateID{space, key}]), nil
}

// List returns the entries under prefix that follow after.
func (e *Engine) List(ctx context.Context, space, prefix, after string, limit int) ([]bus.Entry, error) {
	all, err := e.entries(ctx, space, prefix)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(x bus.Entry) bool { return x.Key <= after })
	return all[:min(len(all), rule.Limit(limit))], nil
}

// Latest returns the last n entries under prefix.
func (e *Engine) Latest(ctx context.Context, space, prefix string, n int) ([]bus.Entry, error) {
	all, err := e.entries(ctx, space, prefix)
	if err != nil {
		return nil, err
	}
	return all[max(0, len(all)-max(0, n)):], nil
}

func (e *Engine) entries(ctx context.Context, space, prefix string) ([]bus.Entry, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var all []bus.Entry
	for k, v := range e.state {
		if k.space == space && strings.HasPrefix(k.key, prefix) {
			all = append(all, copied(v))
		}
	}
	slices.SortFunc(all, func(a, b bus.Entry) int { return strings.Compare(a.Key, b.Key) })
	return all, nil
}

func copied(x bus.Entry) bus.Entry {
	x.Value = slices.Clone(x.Value)
	return x
}
