// Package gateway joins the stations of a message's way: intake, identity,
// turns and delivery. It is the sole owner of long-lived goroutines.
//
// A message makes two durable stops. Intake publishes it to the inbox before
// the platform is told that it arrived; a sitting works off one conversation
// at a time and commits its verdicts, the replies and the history together;
// delivery takes the replies from the outbox to the platform.
package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/session"
)

// ChannelConfig is one configured channel, its core keys taken off.
type ChannelConfig struct {
	ID        channels.ID
	Driver    channels.Driver
	Policy    identity.Policy
	Section   json.RawMessage // the adapter's own keys
	Unlimited bool            // send_rate: unlimited
	Stream    bool            // show answers while they grow
	Public    string          // where the platform reaches the channel's webhook; may be empty
}

// Outside is how one channel reaches the world: through the egress, with
// secrets put in at the boundary.
type Outside interface {
	Client(a channels.AccountID) *http.Client
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
	Secret(ctx context.Context, ref string) (channels.Secret, error)
	Rotate(ctx context.Context, ref string, f func([]byte) ([]byte, error)) error
	Derive(purpose string) channels.Secret
}

// QueueMode says what happens to messages that come while a turn runs.
type QueueMode string

// The queue modes.
const (
	Steer     QueueMode = "steer"     // they join the running turn at its next model call
	Followup  QueueMode = "followup"  // each gets a turn of its own afterwards
	Collect   QueueMode = "collect"   // they get one turn together afterwards
	Interrupt QueueMode = "interrupt" // the turn is ended and starts over with them
)

// AgentSettings may change while the gateway runs.
type AgentSettings struct {
	Runner       agent.Runner
	Model        string // the configured name that sessions start with
	Models       []string
	Describe     func(model string) string // "gpt-5-mini (OpenAI)", or what is missing
	Instructions string
	Queue        QueueMode
	MaxTurns     int     // at a time; read once, at the start
	DailySpend   float64 // USD; negative: no cap
}

// Options make a Gateway.
type Options struct {
	Bus       bus.Engine
	Directory *identity.Directory
	Outside   func(c ChannelConfig) Outside
	Agent     AgentSettings
	Retention bus.Retention
	Version   string
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger
	Metrics   *Metrics // nil: none are kept
}

// Gateway runs the stations. Make it with New, then call Run once.
type Gateway struct {
	bus     bus.Engine
	dir     *identity.Directory
	book    *session.Book
	outside func(c ChannelConfig) Outside
	keep    bus.Retention
	version string
	now     func() time.Time
	log     *slog.Logger
	metrics *Metrics
	spend   *ledger
	running *running
	settled *bell
	started time.Time

	mu       sync.Mutex
	agent    AgentSettings
	lines    map[channels.ID]*line
	ctx      context.Context // of Run; nil before: lines start only while it runs
	draining sync.WaitGroup
}

// New makes a gateway that does nothing yet.
func New(o Options) *Gateway {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Agent.MaxTurns <= 0 {
		o.Agent.MaxTurns = 64
	}
	return &Gateway{
		bus: o.Bus, dir: o.Directory, book: session.NewBook(o.Bus), outside: o.Outside, keep: o.Retention,
		version: o.Version, now: o.Now, log: o.Log, metrics: o.Metrics, spend: newLedger(o.Bus, o.Now),
		running: newRunning(), settled: newBell(), agent: o.Agent, lines: map[channels.ID]*line{}, started: o.Now(),
	}
}

// urgentParallel is how many presses, stops and decisions are worked on at a time.
const urgentParallel = 16

// Run works until ctx ends, lets what is under way come to a sound end, and
// returns nil.
func (g *Gateway) Run(ctx context.Context) error {
	if err := g.complete(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	g.open(ctx)
	group.Go(func() error { return g.work(bus.Inbox, g.settings().MaxTurns).Run(ctx, g.bus) })
	group.Go(func() error { return g.work(bus.Urgent, urgentParallel).Run(ctx, g.bus) })
	group.Go(func() error { return g.housekeep(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		g.draining.Wait()
		return nil
	})
	return group.Wait()
}

// complete reads and completes what an earlier process left.
func (g *Gateway) complete(ctx context.Context) error {
	if err := g.spend.load(ctx); err != nil {
		return fmt.Errorf("read today's spending: %w", err)
	}
	if err := g.finishPairings(ctx); err != nil {
		return fmt.Errorf("finish pairings: %w", err)
	}
	return nil
}

// open starts the channels that were applied before Run.
func (g *Gateway) open(ctx context.Context) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ctx = ctx
	for _, l := range g.lines {
		g.startLocked(l)
	}
}

// Apply makes the running channels those of the list: new ones start, missing
// ones end, changed ones take the change or start anew, and the others are not
// touched. It may be called before and while the gateway runs.
func (g *Gateway) Apply(ctx context.Context, list []ChannelConfig) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	wanted := map[channels.ID]ChannelConfig{}
	for _, c := range list {
		wanted[c.ID] = c
	}
	for _, id := range slices.Sorted(maps.Keys(g.lines)) {
		if _, ok := wanted[id]; !ok {
			g.lines[id].stop()
			delete(g.lines, id)
		}
	}
	for _, c := range list {
		old := g.lines[c.ID]
		if old != nil && old.take(ctx, c) {
			continue
		}
		if old != nil {
			old.stop()
		}
		l, err := g.newLine(ctx, c)
		if err != nil {
			delete(g.lines, c.ID)
			return fmt.Errorf("channel %s: %w", c.ID, err)
		}
		g.lines[c.ID] = l
		if g.ctx != nil && g.ctx.Err() == nil {
			g.startLocked(l)
		}
	}
	return nil
}

// SetAgent replaces the settings; turns that run keep theirs.
func (g *Gateway) SetAgent(s AgentSettings) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.agent = s
}

func (g *Gateway) settings() AgentSettings {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.agent
}

func (g *Gateway) line(id channels.ID) *line {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lines[id]
}

// Channel returns a running channel, or nil.
func (g *Gateway) Channel(id channels.ID) channels.Channel {
	if l := g.line(id); l != nil {
		return l.ch
	}
	return nil
}

// Sink is where a channel's events go; for receivers of webhooks.
func (g *Gateway) Sink(id channels.ID) channels.Sink {
	if l := g.line(id); l != nil {
		return l.sink
	}
	return nil
}
