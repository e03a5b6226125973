package egress

import (
	"cmp"
	"slices"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Use is what one policy, or what one member through it, has used today of what
// it may use.
type Use struct {
	Policy string
	By     scope.Principal // zero where a policy has one count for all
	Today  Usage
	Limits Limits
	Full   *Limited // the limit that refuses its requests now, or nil
}

// Uses lists those that have a limit and have used something today, by policy
// and member. What other gateways on the same database used counts as of the
// last time that the ledger was asked.
func (g *Gate) Uses() []Use {
	now := g.o.Now()
	var all []Use
	for _, m := range g.meters.each() {
		if u, ok := m.use(now); ok {
			all = append(all, u)
		}
	}
	slices.SortFunc(all, func(a, b Use) int {
		return cmp.Or(cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.By.Workspace, b.By.Workspace), cmp.Compare(a.By.Member, b.By.Member))
	})
	return all
}

func (m *meter) use(now time.Time) (Use, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turnLocked(now)
	u := Use{Policy: m.policy, By: m.by, Today: m.inDay, Limits: m.limits}
	u.Full, _ = m.exceededLocked(now, false).(*Limited) //nolint:errorlint // it returns nothing else
	return u, m.limits != (Limits{}) && m.inDay != (Usage{})
}
