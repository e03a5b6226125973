package gateway

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

// ChannelStatus is how a channel is, for people.
type ChannelStatus struct {
	ID      channels.ID    `json:"id"`
	Adapter string         `json:"adapter"`
	Phase   channels.Phase `json:"phase"`
	As      string         `json:"as,omitempty"`
	Error   string         `json:"error,omitempty"`
	Fix     string         `json:"fix,omitempty"`
	Since   time.Time      `json:"since"`
	Heard   time.Time      `json:"heard,omitzero"` // last sign of life of the platform
	Sent    time.Time      `json:"sent,omitzero"`  // last successful send
}

// Status is how the gateway is.
type Status struct {
	Version  string          `json:"version"`
	Started  time.Time       `json:"started"`
	Channels []ChannelStatus `json:"channels"`
	Depths   []bus.Depth     `json:"depths"`
	Turns    int             `json:"turns"`
	Model    string          `json:"model"`
	Spent    Spent           `json:"spent"`
	Cap      float64         `json:"cap"` // USD a day; negative: none
}

// Status looks at everything that runs.
func (g *Gateway) Status(ctx context.Context) (Status, error) {
	settings := g.settings()
	depths, err := g.bus.Depths(ctx)
	if err == nil && !g.runs() { // Run has not read it
		err = g.spend.load(ctx)
	}
	return Status{
		Version: g.version, Started: g.started, Channels: g.Channels(), Depths: depths, Turns: g.running.count(),
		Model: describe(settings, settings.Model), Spent: g.spend.today(""), Cap: settings.DailySpend,
	}, err
}

func (g *Gateway) runs() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ctx != nil
}

// Channels lists the running channels by id.
func (g *Gateway) Channels() []ChannelStatus {
	lines := g.allLines()
	all := make([]ChannelStatus, 0, len(lines))
	for _, l := range lines {
		h := l.host.Health()
		c := ChannelStatus{
			ID: l.id, Adapter: l.config().Driver.Name(), Phase: h.Phase, As: h.As, Fix: h.Fix, Since: h.Since,
			Heard: l.host.lastHeard(), Sent: l.courier.LastSent(),
		}
		if h.Err != nil {
			c.Error = h.Err.Error()
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b ChannelStatus) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// readyGrace is how long a channel may be reconnecting before the gateway
// counts as not ready.
const readyGrace = 2 * time.Minute

// Ready reports whether every channel receives, or is being retried within its
// grace, and names those that do not. A channel that changes between connecting
// and retrying is not connected all the while.
func (g *Gateway) Ready() (bool, []channels.ID) {
	var late []channels.ID
	for _, l := range g.allLines() {
		if l.host.Health().Phase == channels.Broken || l.host.away() >= readyGrace {
			late = append(late, l.id)
		}
	}
	slices.Sort(late)
	return len(late) == 0, late
}

// Log is where the gateway's own parts write.
func (g *Gateway) Log() *slog.Logger { return g.log }
