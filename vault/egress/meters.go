package egress

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Ledger keeps a day's usage for longer than the process lives, and for all
// gateways that share it. It may forget every day but the last.
type Ledger interface {
	// Add adds to what was used on a day ("2006-01-02") and returns the day's
	// totals of all that were ever added. An empty map only asks.
	Add(ctx context.Context, day string, used map[string]Usage) (map[string]Usage, error)
}

// The rhythm of Run.
const (
	saveEvery   = 5 * time.Second
	reportEvery = time.Minute
	lastSave    = 3 * time.Second // for what is left when the gateway stops
)

// meters are all that a gate has given out.
type meters struct {
	mu    sync.Mutex
	all   map[string]*meter // by key
	today map[string]Usage  // what the ledger said last
	day   string            // of today
	sum   map[string]Total  // by policy, of this process
}

// Total is what one policy did since the process began.
type Total struct {
	Usage
	Limited int64 // requests that a limit refused
	Refused int64 // requests and connections that were refused for another reason
}

func key(policy string, by scope.Principal) string {
	if by.Member == "" {
		return policy
	}
	return policy + "/" + by.Workspace + "/" + by.Member
}

// get returns the one meter that a policy has for a member.
func (x *meters) get(policy string, by scope.Principal, l Limits) *meter {
	x.mu.Lock()
	defer x.mu.Unlock()
	k := key(policy, by)
	m := x.all[k]
	if m == nil {
		m = &meter{policy: policy, by: by, limits: l, passed: map[string]int{}, day: x.day, inDay: x.today[k]}
		x.all[k] = m
	}
	return m
}

// count adds to a policy's totals.
func (x *meters) count(policy string, t Total) {
	x.mu.Lock()
	defer x.mu.Unlock()
	have := x.sum[policy]
	have.Usage = have.plus(t.Usage)
	have.Limited += t.Limited
	have.Refused += t.Refused
	x.sum[policy] = have
}

func (x *meters) each() map[string]*meter {
	x.mu.Lock()
	defer x.mu.Unlock()
	return maps.Clone(x.all)
}

// Totals returns what each policy did since the process began, by name.
func (g *Gate) Totals() map[string]Total {
	g.meters.mu.Lock()
	defer g.meters.mu.Unlock()
	return maps.Clone(g.meters.sum)
}

// Run keeps the days' usage in the ledger, and reports what was let out, until
// ctx ends and then once more. Up to five seconds of usage are forgotten when
// the process is killed.
func (g *Gate) Run(ctx context.Context, l Ledger) error {
	saves, reports := time.NewTicker(saveEvery), time.NewTicker(reportEvery)
	defer saves.Stop()
	defer reports.Stop()
	g.save(ctx, l, true)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-saves.C:
			g.save(ctx, l, false)
		case <-reports.C:
			g.reportPassed(ctx)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSave)
	defer cancel()
	g.save(ctx, l, false)
	g.reportPassed(ctx)
	return nil
}

// save brings the ledger and the meters up to date with each other. Nothing is
// written when nothing was used, unless the ledger is only to be asked.
func (g *Gate) save(ctx context.Context, l Ledger, ask bool) {
	day, used := dayOf(g.o.Now()), map[string]Usage{}
	all := g.meters.each()
	for k, m := range all {
		if u := m.take(day); u != (Usage{}) {
			used[k] = u
		}
	}
	if len(used) == 0 && !ask {
		return
	}
	totals, err := l.Add(ctx, day, used)
	if err != nil {
		for k, u := range used {
			all[k].giveBack(day, u)
		}
		g.o.Log.WarnContext(ctx, "the use of the egress is not kept; it is tried again", "err", err)
		return
	}
	g.meters.mu.Lock()
	g.meters.day, g.meters.today = day, totals
	all = maps.Clone(g.meters.all)
	g.meters.mu.Unlock()
	for k, m := range all {
		if m.limits.daily() {
			m.learn(day, totals[k])
		}
	}
}

// reportPassed reports the requests that were let out, those to one host
// together, and forgets meters that were not used for a day.
func (g *Gate) reportPassed(ctx context.Context) {
	day := dayOf(g.o.Now())
	for k, m := range g.meters.each() {
		passed := m.report()
		if g.o.Report != nil {
			for _, host := range slices.Sorted(maps.Keys(passed)) {
				g.o.Report(ctx, Decision{Policy: m.policy, By: m.by, Host: host, Count: passed[host]})
			}
		}
		g.meters.drop(k, m, day)
	}
}

// drop forgets a meter that nothing was counted on since the day began.
func (x *meters) drop(k string, m *meter, day string) {
	if m.by.Member == "" || !m.stale(day) {
		return // there are as many as the configuration names
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.all, k)
}

// metered counts what goes over a connection.
type metered struct {
	net.Conn
	rules *rules
	meter *meter
}

// Read implements net.Conn.
func (c metered) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.carry(n)
	return n, err
}

// Write implements net.Conn.
func (c metered) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.carry(n)
	return n, err
}

func (c metered) carry(n int) {
	if n > 0 {
		c.meter.carried(c.rules.gate.o.Now(), n)
		c.rules.gate.meters.count(c.rules.Name, Total{Usage: Usage{Bytes: int64(n)}})
	}
}

// meter is looked up each time: those of members are forgotten when a day has
// gone by.
func (r *rules) meter() *meter { return r.gate.meters.get(r.Name, r.By, r.limits) }

// admit counts a request or a connection, or refuses it for a limit.
func (r *rules) admit(host string) error {
	if err := r.meter().admit(r.gate.o.Now(), host); err != nil {
		return err
	}
	r.gate.meters.count(r.Name, Total{Usage: Usage{Requests: 1}})
	return nil
}
