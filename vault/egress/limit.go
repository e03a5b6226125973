package egress

import (
	"fmt"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Limits bound what one policy sends and receives, or, for policies that act on
// behalf of members, what each of them does through it. 0: no limit. A minute is
// one of the clock and a day one of UTC. Bytes are those on the wire in both
// directions, with everything that belongs to a connection; what a response has
// beyond the limit is still received, and the next request refused. A message
// to a WebSocket counts as a request.
type Limits struct {
	RequestsPerMinute, RequestsPerDay int64
	BytesPerMinute, BytesPerDay       int64
}

// daily reports whether anything has to be remembered for a day.
func (l Limits) daily() bool { return l.RequestsPerDay > 0 || l.BytesPerDay > 0 }

// Usage is what has been sent and received.
type Usage struct {
	Requests int64 `json:"requests,omitempty"`
	Bytes    int64 `json:"bytes,omitempty"`
}

func (u Usage) plus(v Usage) Usage {
	return Usage{Requests: u.Requests + v.Requests, Bytes: u.Bytes + v.Bytes}
}

// Limited is the refusal of a request because its policy's limit is reached. It
// matches ErrDenied as every refusal does.
type Limited struct {
	What  string        // "100 requests per minute"
	After time.Duration // when it may be tried again; more than 0
}

// Error implements error.
func (l *Limited) Error() string {
	return fmt.Sprintf("the limit of %s is reached; again in %s", l.What, l.After.Round(time.Second))
}

// meter counts what one policy does on behalf of one member. It may be used
// concurrently.
type meter struct {
	policy string
	by     scope.Principal
	limits Limits

	mu       sync.Mutex
	minute   int64 // since 1970
	inMinute Usage
	day      string // as dayOf gives it
	inDay    Usage
	unsaved  Usage          // part of inDay that the ledger has not heard of
	passed   map[string]int // requests that were let out since the last report, by host
}

const maxHosts = 64 // told apart in the report of one meter

// elsewhere stands for the hosts beyond maxHosts.
const elsewhere = "other hosts"

func dayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// turnLocked begins a new minute and a new day when it is time. It is called for
// each read and write, so that it looks at the day with a new minute only.
func (m *meter) turnLocked(now time.Time) {
	minute := now.Unix() / 60
	if minute == m.minute && m.day != "" {
		return
	}
	m.minute, m.inMinute = minute, Usage{}
	if day := dayOf(now); day != m.day {
		m.day, m.inDay, m.unsaved = day, Usage{}, Usage{}
	}
}

// admit counts a request to host, or says which limit is in its way.
func (m *meter) admit(now time.Time, host string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turnLocked(now)
	if err := m.exceededLocked(now, false); err != nil {
		return err
	}
	m.countLocked(Usage{Requests: 1})
	if _, is := m.passed[host]; !is && len(m.passed) >= maxHosts {
		host = elsewhere
	}
	m.passed[host]++
	return nil
}

// full says which limit of bytes is reached.
func (m *meter) full(now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turnLocked(now)
	return m.exceededLocked(now, true)
}

func (m *meter) exceededLocked(now time.Time, bytesOnly bool) error {
	minute := time.Unix((m.minute+1)*60, 0).Sub(now)
	day := now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now)
	for _, x := range []struct {
		used, limit int64
		what        string
		after       time.Duration
		bytes       bool
	}{
		{m.inDay.Requests, m.limits.RequestsPerDay, "requests per day", day, false},
		{m.inDay.Bytes, m.limits.BytesPerDay, "bytes per day", day, true},
		{m.inMinute.Requests, m.limits.RequestsPerMinute, "requests per minute", minute, false},
		{m.inMinute.Bytes, m.limits.BytesPerMinute, "bytes per minute", minute, true},
	} {
		if x.limit > 0 && x.used >= x.limit && (!bytesOnly || x.bytes) {
			return &Limited{What: fmt.Sprintf("%d %s", x.limit, x.what), After: max(x.after, time.Second)}
		}
	}
	return nil
}

func (m *meter) countLocked(u Usage) {
	m.inMinute, m.inDay, m.unsaved = m.inMinute.plus(u), m.inDay.plus(u), m.unsaved.plus(u)
}

// carried counts bytes that went over a connection.
func (m *meter) carried(now time.Time, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turnLocked(now)
	m.countLocked(Usage{Bytes: int64(n)})
}

// take returns what the ledger has not heard of, for the day.
func (m *meter) take(day string) Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.day != day || !m.limits.daily() {
		return Usage{}
	}
	u := m.unsaved
	m.unsaved = Usage{}
	return u
}

// giveBack takes what did not reach the ledger.
func (m *meter) giveBack(day string, u Usage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.day == day {
		m.unsaved = m.unsaved.plus(u)
	}
}

// learn sets the day's usage to what the ledger says, and what came to it since.
func (m *meter) learn(day string, total Usage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.day == "" {
		m.day = day
	}
	if m.day == day {
		m.inDay = total.plus(m.unsaved)
	}
}

// report returns the requests that were let out since the last time, by host.
func (m *meter) report() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	passed := m.passed
	m.passed = map[string]int{}
	return passed
}

// stale reports whether nothing happened on the day and nothing waits.
func (m *meter) stale(day string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.day < day && len(m.passed) == 0
}
