package bustest

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

// model says what an engine must do, for one channel, in the plainest way: one
// list of records that every question is answered from. It knows nothing of
// waiting, commits or concurrency.
type model struct {
	seq     int64
	records []*modelRecord // by publication
	gone    map[string]bool
	leases  map[string]*modelLease // by order, the latest
	state   map[string]modelValue
}

type modelRecord struct {
	key, queue, order string
	seq               int64
	state             bus.State
	due, at           time.Time
	published         time.Time
	attempt           int
	tag, reason       string
	progress          string
}

type modelLease struct {
	order  string
	number int // the fence
	open   bool
	until  time.Time
	length time.Duration
	keys   []string // what the worker knows of
}

type modelValue struct {
	version int64
	value   string
}

func newModel() *model {
	return &model{gone: map[string]bool{}, leases: map[string]*modelLease{}, state: map[string]modelValue{}}
}

// find returns the record under a key of the queue; all are of one account.
func (m *model) find(queue, key string) *modelRecord {
	for _, r := range m.records {
		if r.queue == queue && r.key == key {
			return r
		}
	}
	return nil
}

// waiting returns the records of an order that are ready or leased.
func (m *model) waiting(order string) []*modelRecord {
	var rs []*modelRecord
	for _, r := range m.records {
		if r.queue == bus.Inbox && r.order == order && (r.state == bus.Ready || r.state == bus.Leased) {
			rs = append(rs, r)
		}
	}
	return rs
}

func (m *model) publish(now time.Time, rs []bus.Record) {
	for _, r := range rs {
		if m.gone[r.Queue+"|"+r.Key] || m.find(r.Queue, r.Key) != nil {
			continue
		}
		m.seq++
		due := now
		if r.NotBefore.After(now) {
			due = r.NotBefore
		}
		m.records = append(m.records, &modelRecord{
			key: r.Key, queue: r.Queue, order: r.Order, seq: m.seq,
			state: bus.Ready, due: due, at: now, published: now,
		})
	}
}

// stands reports whether the conditions hold; write applies what they guard.
func (m *model) stands(ws []bus.Write) bool {
	for _, w := range ws {
		v := m.state[w.Key].version
		if (w.If == bus.Absent && v != 0) || (w.If > 0 && w.If != v) {
			return false
		}
	}
	return true
}

func (m *model) write(ws []bus.Write) {
	for _, w := range ws {
		if w.Value == nil {
			delete(m.state, w.Key)
			continue
		}
		m.state[w.Key] = modelValue{m.state[w.Key].version + 1, string(w.Value)}
	}
}

// lease returns the orders that an engine must hand out, in this sequence.
func (m *model) lease(now time.Time, n, most int, length time.Duration, number *int) []*modelLease {
	type candidate struct {
		order string
		due   time.Time
		head  int64
	}
	var due []candidate
	for _, o := range m.orders() {
		rs := m.waiting(o)
		if len(rs) == 0 {
			continue
		}
		c := candidate{o, rs[0].due, rs[0].seq}
		if l := m.leases[o]; l != nil && l.open {
			c.due = l.until
		}
		if !c.due.After(now) {
			due = append(due, c)
		}
	}
	slices.SortFunc(due, func(a, b candidate) int { return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.head, b.head)) })
	var ls []*modelLease
	for _, c := range due[:min(n, len(due))] {
		*number++
		l := &modelLease{order: c.order, number: *number, open: true, until: now.Add(length), length: length}
		for _, r := range m.waiting(c.order) {
			r.state = bus.Ready
		}
		m.join(l, now, most)
		m.leases[c.order] = l
		ls = append(ls, l)
	}
	return ls
}

func (m *model) orders() []string {
	var os []string
	for _, r := range m.records {
		if r.queue == bus.Inbox && !slices.Contains(os, r.order) {
			os = append(os, r.order)
		}
	}
	return os
}

// join hands out what is due to the lease and returns the keys.
func (m *model) join(l *modelLease, now time.Time, most int) []string {
	joined := []string{}
	for _, r := range m.waiting(l.order) {
		if r.state == bus.Leased {
			continue
		}
		if r.due.After(now) || (most > 0 && len(joined) == most) {
			break
		}
		r.state, r.at = bus.Leased, now
		r.attempt++
		joined = append(joined, r.key)
	}
	l.keys = append(l.keys, joined...)
	return joined
}

func (m *model) stale(l *modelLease) bool { return !l.open || m.leases[l.order] != l }

func (m *model) settle(now time.Time, l *modelLease, o bus.Outcome) {
	for _, r := range m.waiting(l.order) {
		if r.state != bus.Leased {
			continue
		}
		v, named := o.Verdicts[r.key]
		if !named {
			v.Fate = bus.Release
		}
		r.meet(now, v)
	}
	l.open = false
	m.publish(now, o.Emit)
	m.write(o.State)
}

func (r *modelRecord) meet(now time.Time, v bus.Verdict) {
	r.at, r.reason = now, v.Reason
	if v.Progress != nil {
		r.progress = string(v.Progress)
	}
	switch v.Fate {
	case bus.Ack:
		r.state = bus.Done
	case bus.Dead:
		r.state = bus.Died
	case bus.Park:
		r.state, r.tag, r.due = bus.Parked, v.Tag, v.At
	case bus.Retry:
		r.state, r.due = bus.Ready, now
		if v.At.After(now) {
			r.due = v.At
		}
	case bus.Release:
		r.state = bus.Ready
		r.attempt--
	}
}

func (r *modelRecord) expired(now time.Time) bool {
	return r.state == bus.Parked && !r.due.IsZero() && !r.due.After(now)
}

func (m *model) unpark(now time.Time, tag string, to bus.State) int {
	n := 0
	for _, r := range m.records {
		if r.state == bus.Parked && r.tag == tag && !r.expired(now) {
			r.state, r.due, r.at = to, now, now
			n++
		}
	}
	return n
}

func (m *model) replay(now time.Time, key string) int {
	r := m.find(bus.Inbox, key)
	if r == nil || r.state != bus.Died {
		return 0
	}
	r.state, r.due, r.at, r.attempt, r.reason = bus.Ready, now, now, 0, ""
	return 1
}

func (m *model) remove(chosen func(*modelRecord) bool) {
	m.records = slices.DeleteFunc(m.records, func(r *modelRecord) bool {
		if !chosen(r) {
			return false
		}
		m.gone[r.queue+"|"+r.key] = true
		return true
	})
}

func (m *model) sweep(now time.Time, keep bus.Retention) {
	m.remove(func(r *modelRecord) bool {
		return (r.state == bus.Done && !r.at.Add(keep.Bodies).After(now)) ||
			(r.state == bus.Died && !r.at.Add(keep.Dead).After(now))
	})
	for _, r := range m.records {
		if r.expired(now) {
			r.state, r.at, r.reason = bus.Died, now, "expired"
		}
	}
}

// shown is a record as the desk shows it.
type shown struct {
	Key, Order, Reason, Progress string
	State                        bus.State
	Attempt                      int
}

// show lists the records that the desk lists under the given choice.
func (m *model) show(now time.Time, chosen func(*modelRecord) bool) []shown {
	all := []shown{}
	for _, r := range m.records {
		if chosen(r) {
			all = append(all, shown{r.key, r.order, r.reason, r.progress, m.stateOf(r, now), r.attempt})
		}
	}
	return all
}

func (m *model) stateOf(r *modelRecord, now time.Time) bus.State {
	if l := m.leases[r.order]; r.state == bus.Leased && !l.until.After(now) {
		return bus.Ready
	}
	return r.state
}

func (m *model) depths(now time.Time) map[string]int {
	all := map[string]int{}
	for _, r := range m.records {
		if s := m.stateOf(r, now); s != bus.Done {
			all[r.queue+" "+string(s)]++
		}
	}
	return all
}

func showLetters(ls []bus.Letter) []shown {
	all := []shown{}
	for _, l := range ls {
		all = append(all, shown{l.Key, l.Order, l.Reason, string(l.Progress), l.State, l.Attempt})
	}
	return all
}

func raw(s string) json.RawMessage { return json.RawMessage(s) }
