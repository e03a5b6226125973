package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
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
	pending float64          // USD that turns have spent and not recorded yet, or set aside
	aside   float64          // the part of pending that is set aside
	freed   chan struct{}    // closed when something is given back
}

// Spent is what model calls took.
type Spent struct {
	USD     float64 `json:"usd"`
	Input   int     `json:"input"` // tokens
	Output  int     `json:"output"`
	Calls   int     `json:"calls"`
	Guessed bool    `json:"guessed"` // some of it is an estimate without a price or without figures
}

// spendRow is one turn's part.
type spendRow struct {
	Member string        `json:"member"`
	Usage  []agent.Usage `json:"usage"`
}

func newLedger(store bus.Store, now func() time.Time) *ledger {
	return &ledger{store: store, now: now, totals: map[string]Spent{}, freed: make(chan struct{})}
}

func dayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// load reads today's rows. What is recorded in memory and not committed yet, or
// never will be, is no longer counted.
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

// record notes a turn's usage, which its tab no longer has to, and makes the
// write to commit with it. A turn that fails to commit after this is counted
// until the next start: the cap errs on the careful side.
func (l *ledger) record(turn string, s scope.Scope, usage []agent.Usage, t *tab) []bus.Write {
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
	if t != nil {
		l.pending -= t.held
		t.held = 0
	}
	return []bus.Write{{Space: spendSpace, Key: l.day + "/" + turn, Value: v}}
}

// recordCalls puts the model calls of a turn into the audit log.
func (g *Gateway) recordCalls(turn string, s scope.Scope, usage []agent.Usage) {
	if g.audit == nil {
		return
	}
	for _, u := range usage {
		g.audit.Record(audit.Entry{
			At: u.At, Kind: audit.Model, Do: "called", By: s.Principal(), On: u.Model, To: u.Provider, Turn: turn,
			Facts: audit.Facts{
				"input": strconv.Itoa(u.Input), "output": strconv.Itoa(u.Output), "usd": strconv.FormatFloat(u.USD, 'f', 6, 64),
			},
		})
	}
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

// tab is what one turn spends until it is recorded. It is the turn's budget.
type tab struct {
	l     *ledger
	limit float64
	held  float64 // spent and not recorded; under the ledger's mutex
}

var _ agent.Budget = (*tab)(nil)

// open begins a tab under a cap.
func (l *ledger) open(limit float64) *tab { return &tab{l: l, limit: limit} }

// budget is the tab as the agent gets it: nil where there is no cap.
func (t *tab) budget() agent.Budget {
	if t.limit < 0 {
		return nil
	}
	return t
}

// Reserve implements agent.Budget. What calls have set aside counts as spent, so
// that calls at the same time cannot pass the cap together.
func (t *tab) Reserve(ctx context.Context, least, most float64) (float64, func(float64), error) {
	for {
		usd, freed, err := t.l.take(t.limit, least, most)
		if err != nil {
			return 0, nil, err
		}
		if freed == nil {
			return usd, t.spender(usd), nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return 0, nil, context.Cause(ctx)
		}
	}
}

// take sets something aside. A channel says to try again when it is closed.
func (l *ledger) take(limit, least, most float64) (usd float64, freed <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turnDayLocked()
	left := limit - l.totals[""].USD - l.pending
	switch {
	case left > 0 && left >= least:
		usd = min(most, left)
		l.pending, l.aside = l.pending+usd, l.aside+usd
		return usd, nil, nil
	case l.aside > 0 && left+l.aside >= least:
		return 0, l.freed, nil
	}
	return 0, nil, agent.ErrOverBudget
}

// spender gives back what a call did not cost.
func (t *tab) spender(usd float64) func(float64) {
	return func(cost float64) {
		t.l.mu.Lock()
		defer t.l.mu.Unlock()
		t.held += cost
		t.l.pending, t.l.aside = t.l.pending+cost-usd, t.l.aside-usd
		close(t.l.freed)
		t.l.freed = make(chan struct{})
	}
}

// close ends a tab. What was spent and could not be recorded, because the turn
// failed, counts until the next start.
func (t *tab) close() {
	t.l.mu.Lock()
	defer t.l.mu.Unlock()
	t.l.pending -= t.held
	all := t.l.totals[""]
	all.USD += t.held
	t.l.totals[""], t.held = all, 0
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
