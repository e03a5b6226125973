package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

const spendSpace = "spend"

// ledger knows what was spent today. Each turn has a row of its own, committed
// with it, so that no two turns ever write the same one; the sum is kept in
// memory and read anew at the start of a day and of the process.
type ledger struct {
	store bus.Store
	now   func() time.Time

	mu      sync.Mutex
	day     string
	totals  map[string]Spent // by member; "" holds the sum
	running int              // turns that have an allowance and have not been recorded
}

// Spent is what model calls took.
type Spent struct {
	USD     float64
	Input   int // tokens
	Output  int
	Calls   int
	Guessed bool // some of it is an estimate without a price or without figures
}

// spendRow is one turn's part.
type spendRow struct {
	Member string        `json:"member"`
	Usage  []agent.Usage `json:"usage"`
}

func newLedger(store bus.Store, now func() time.Time) *ledger {
	return &ledger{store: store, now: now, totals: map[string]Spent{}}
}

func dayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// load reads today's rows.
func (l *ledger) load(ctx context.Context) error {
	day := dayOf(l.now())
	totals := map[string]Spent{}
	after := ""
	for {
		rows, err := l.store.List(ctx, spendSpace, day+"/", after, 0)
		if err != nil {
			return err
		}
		for _, r := range rows {
			var row spendRow
			if err := json.Unmarshal(r.Value, &row); err != nil {
				return fmt.Errorf("spend row %s: %w", r.Key, err)
			}
			add(totals, row.Member, row.Usage)
			after = r.Key
		}
		if len(rows) == 0 {
			break
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.day, l.totals = day, totals
	return nil
}

func add(totals map[string]Spent, member string, usage []agent.Usage) {
	for _, key := range []string{"", member} {
		t := totals[key]
		for _, u := range usage {
			t.USD += u.USD
			t.Input += u.Input
			t.Output += u.Output
			t.Calls++
			t.Guessed = t.Guessed || u.Guessed
		}
		totals[key] = t
	}
}

// record notes a turn's usage and makes the write to commit with it. A turn
// that fails to commit after this is counted until the next start: the cap errs
// on the careful side.
func (l *ledger) record(turn string, s scope.Scope, usage []agent.Usage) []bus.Write {
	if len(usage) == 0 {
		return nil
	}
	v, err := json.Marshal(spendRow{Member: s.Member(), Usage: usage})
	if err != nil {
		return nil // numbers and strings always encode
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turnDayLocked()
	add(l.totals, s.Member(), usage)
	return []bus.Write{{Space: spendSpace, Key: l.day + "/" + turn, Value: v}}
}

func (l *ledger) turnDayLocked() {
	if day := dayOf(l.now()); day != l.day {
		l.day, l.totals = day, map[string]Spent{}
	}
}

// today returns what a member spent, or everybody for "".
func (l *ledger) today(member string) Spent {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turnDayLocked()
	return l.totals[member]
}

// allow gives a turn what it may spend under a cap: what is left, less what the
// turns that run already will probably take, which is a usual call's price for
// each. So turns at the same time cannot each spend the whole remainder. give
// ends it.
func (l *ledger) allow(limit float64) (usd float64, give func()) {
	left := l.left(limit)
	l.mu.Lock()
	defer l.mu.Unlock()
	if all := l.totals[""]; left > 0 && all.Calls > 0 {
		left = max(0, left-all.USD/float64(all.Calls)*float64(l.running))
	}
	l.running++
	return left, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.running--
	}
}

// left is what may still be spent today under a cap; negative without one.
func (l *ledger) left(limit float64) float64 {
	if limit < 0 {
		return -1
	}
	return max(0, limit-l.today("").USD)
}

// forget makes the writes that remove rows of days before the given one.
func (l *ledger) forget(ctx context.Context, before string) ([]bus.Write, error) {
	rows, err := l.store.List(ctx, spendSpace, "", "", 0)
	if err != nil {
		return nil, err
	}
	var writes []bus.Write
	for _, r := range rows {
		if day, _, _ := strings.Cut(r.Key, "/"); day < before {
			writes = append(writes, bus.Write{Space: spendSpace, Key: r.Key})
		}
	}
	return writes, nil
}
