package gateway

import (
	"cmp"
	"context"
	"errors"
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
	Phase   channels.Phase `json:"phase,omitempty"` // empty: it does not run
	As      string         `json:"as,omitempty"`
	Error   string         `json:"error,omitempty"`
	Fix     string         `json:"fix,omitempty"`
	Since   time.Time      `json:"since,omitzero"`
	Heard   time.Time      `json:"heard,omitzero"` // last sign of life of the platform
	// Received and Sent are when the last event came in and the last send was
	// taken; zero for none since the start.
	Received time.Time `json:"received,omitzero"`
	Sent     time.Time `json:"sent,omitzero"`
	Paused   time.Time `json:"paused,omitzero"` // by itself or with the workspace
}

// Status is how the gateway is.
type Status struct {
	Version  string          `json:"version"`
	Started  time.Time       `json:"started,omitzero"`
	Channels []ChannelStatus `json:"channels"`
	Depths   []bus.Depth     `json:"depths"`
	Turns    int             `json:"turns"`
	Model    string          `json:"model"`
	Spent    Spent           `json:"spent"`
	Cap      float64         `json:"cap"`                // USD a day; negative: none
	Unpriced []string        `json:"unpriced,omitempty"` // models whose price is not known and guessed on the high side
	Paused   time.Time       `json:"paused,omitzero"`    // the whole workspace
}

// Status looks at everything that runs.
func (g *Gateway) Status(ctx context.Context) (Status, error) {
	settings := g.settings()
	depths, err := g.bus.Depths(ctx)
	if err == nil && !g.runs() { // Run has not read it
		err = g.spend.load(ctx)
	}
	p, perr := g.Pauses(ctx)
	err = errors.Join(err, perr)
	all := g.Channels()
	for i := range all {
		all[i].Paused = p.Since(all[i].ID)
	}
	return Status{
		Paused:  p.Workspace,
		Version: g.version, Started: g.started, Channels: all, Depths: depths, Turns: g.running.count(),
		Model: describe(settings, settings.Model), Spent: g.spend.today(""), Cap: settings.DailySpend, Unpriced: settings.Unpriced,
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
			Heard: l.host.lastHeard(), Received: l.host.lastReceived(), Sent: l.courier.LastSent(),
		}
		if h.Err != nil {
			c.Error = h.Err.Error()
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b ChannelStatus) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// readyGrace is how long a channel may be connecting, for the first time too,
// before the gateway counts as not ready.
const readyGrace = 2 * time.Minute

// Readiness says whether every channel receives, or is being retried within
// its grace, and what each waits for.
type Readiness struct {
	Ready    bool           `json:"ready"`
	Channels []ChannelReady `json:"channels"`
}

// ChannelReady is one channel's part. ID, Error and Fix name names: they are
// for those who may see the status.
type ChannelReady struct {
	ID    channels.ID    `json:"channel,omitempty"`
	Ready bool           `json:"ready"`
	Phase channels.Phase `json:"phase"`
	Waits string         `json:"waits_for,omitempty"` // nothing when it is connected
	Away  float64        `json:"away_seconds,omitempty"`
	Grace float64        `json:"grace_seconds,omitempty"` // left until it counts as not ready
	Error string         `json:"error,omitempty"`
	Fix   string         `json:"fix,omitempty"`
}

// Ready looks at every channel. One that changes between connecting and
// retrying is not connected all the while.
func (g *Gateway) Ready() Readiness {
	r := Readiness{Ready: true, Channels: []ChannelReady{}}
	for _, l := range g.allLines() {
		c := l.ready()
		r.Ready = r.Ready && c.Ready
		r.Channels = append(r.Channels, c)
	}
	slices.SortFunc(r.Channels, func(a, b ChannelReady) int { return cmp.Compare(a.ID, b.ID) })
	return r
}

func (l *line) ready() ChannelReady {
	h, away := l.host.Health(), l.host.away()
	c := ChannelReady{ID: l.id, Phase: h.Phase, Away: away.Truncate(time.Second).Seconds(), Fix: h.Fix}
	if h.Err != nil {
		c.Error = h.Err.Error()
	}
	switch h.Phase {
	case channels.Connected, channels.Standby:
		c.Ready = true
		return c
	case channels.Broken:
		c.Waits = "a person: it cannot work as it is configured"
		return c
	case channels.Connecting:
		c.Waits = "a connection to its platform"
	case channels.Retrying:
		c.Waits = "its platform: the last attempt failed"
	}
	c.Ready = away < readyGrace
	c.Grace = max(0, readyGrace-away).Truncate(time.Second).Seconds()
	return c
}

// Unnamed is what anybody may see of it.
func (r Readiness) Unnamed() Readiness {
	out := Readiness{Ready: r.Ready, Channels: slices.Clone(r.Channels)}
	for i := range out.Channels {
		c := &out.Channels[i]
		c.ID, c.Error, c.Fix = "", "", ""
	}
	return out
}

// Log is where the gateway's own parts write.
func (g *Gateway) Log() *slog.Logger { return g.log }
