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
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/proof"
	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/blob"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/session"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory/store"
	"github.com/gatehouse-chat/gatehouse/vault/leak"
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
	// ReplyTo is the place of another channel of the same workspace where answers
	// go; nil: to where the question came from.
	ReplyTo *channels.Address
	Edition string // of the adapter's code, where that can change while the gateway runs
}

// Outside is how one channel reaches the world: through the egress, with
// secrets put in at the boundary.
type Outside interface {
	Client(a channels.AccountID) *http.Client
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
	Secret(ctx context.Context, ref string) (channels.Secret, error)
	Rotate(ctx context.Context, ref string, f func([]byte) ([]byte, error)) error
	Derive(purpose string) channels.Secret
	channels.Socketer
	channels.Keyring
	proof.Verifier
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
	MaxTurns     int      // at a time; read once, at the start
	DailySpend   float64  // USD; negative: no cap
	Unpriced     []string // configured models whose price is a guess
	Digests      bool     // what a conversation came to is remembered, when its history is summarised
	// Gate rules on the tools and calls of whoever speaks; nil: [agent.NeedsPerson]
	// alone does. Rules names the version of what it says: an approval is void
	// for others.
	Gate  func(s scope.Scope) agent.Gate
	Rules string
}

// Retention says how long things are kept. A zero field keeps for ever.
type Retention struct {
	bus.Retention
	Turns    time.Duration // records of turns
	Sessions session.Keep
	Spending time.Duration // figures of each turn's spending
}

// Options make a Gateway.
type Options struct {
	Bus       bus.Engine
	Directory *identity.Directory
	Outside   func(c ChannelConfig) Outside
	Seals     delivery.Seals // nil: reply paths that come with events are not kept
	Agent     AgentSettings
	Blobs     blob.Shelf // nil: files are kept in the state
	Retention Retention
	Replicas  bool           // other processes may work on the same bus
	Offboard  []Offboarder   // in this order, for each member who is removed
	Shred     []Shredder     // in this order, for each workspace that is deleted
	Erase     []Eraser       // in this order, for each person who is erased
	Audit     audit.Recorder // nil: nothing is recorded
	Version   string
	Now       func() time.Time // nil: time.Now
	Zone      *time.Location   // of the days and times that members name; nil: the machine's
	Log       *slog.Logger
	Metrics   *Metrics     // nil: none are kept
	Leaks     *leak.Guard  // hides secrets in replies and drafts; nil: nothing is hidden
	Memory    *store.Store // nil: nothing is remembered
}

// Gateway runs the stations. Make it with New, then call Run once.
type Gateway struct {
	bus       bus.Engine
	dir       *identity.Directory
	book      *session.Book
	outside   func(c ChannelConfig) Outside
	seals     delivery.Seals
	blobs     blob.Shelf
	sweeper   *blob.Sweeper
	keep      Retention
	replicas  bool
	leave     []Offboarder
	shred     []Shredder
	erasers   []Eraser
	version   string
	now       func() time.Time
	zone      *time.Location // of days and times that members name
	log       *slog.Logger
	metrics   *Metrics
	leaks     *leak.Guard
	memory    *store.Store   // nil: none
	audit     audit.Recorder // nil: none
	spend     *ledger
	running   *running
	pauses    pauseBook
	settled   *bell
	loops     *loopGuard
	started   time.Time
	approvals *approval.Book
	late      atomic.Bool // something was answered while the gateway was stopping

	applying sync.Mutex        // one change of the channels at a time; it may wait for a channel to end
	tidied   map[string]string // space of the state -> how far the housekeeping has looked

	mu    sync.Mutex // held for moments only; taken after applying
	agent AgentSettings
	lines map[channels.ID]*line
	ctx   context.Context // of the lines; nil before Run: they start only while it runs
}

// New makes a gateway that does nothing yet.
func New(o Options) *Gateway {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Zone == nil {
		o.Zone = time.Local
	}
	if o.Agent.MaxTurns <= 0 {
		o.Agent.MaxTurns = 64
	}
	if o.Blobs == nil {
		o.Blobs = blob.NewTable(o.Bus, o.Now)
	}
	g := &Gateway{
		bus: o.Bus, dir: o.Directory, book: session.NewBook(o.Bus), outside: o.Outside, seals: o.Seals, keep: o.Retention, replicas: o.Replicas,
		leave: o.Offboard, shred: o.Shred, erasers: o.Erase, leaks: o.Leaks, memory: o.Memory,
		version: o.Version, now: o.Now, zone: o.Zone, log: o.Log, metrics: o.Metrics, audit: o.Audit, spend: newLedger(o.Bus, o.Now),
		running: newRunning(), settled: newBell(), loops: newLoopGuard(), agent: o.Agent, lines: map[channels.ID]*line{}, started: o.Now(),
		approvals: approval.NewBook(o.Bus, o.Now), tidied: map[string]string{}, blobs: o.Blobs,
	}
	g.sweeper = &blob.Sweeper{Shelf: o.Blobs, State: o.Bus, Holds: g.holds, Now: o.Now}
	return g
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
	lines, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	g.open(lines)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return g.work(bus.Inbox, g.settings().MaxTurns).Run(ctx, g.bus) })
	group.Go(func() error { return g.work(bus.Urgent, urgentParallel).Run(ctx, g.bus) })
	group.Go(func() error { return g.housekeep(ctx) })
	if g.memory != nil {
		group.Go(func() error { return g.memory.Run(ctx) })
	}
	if g.replicas {
		group.Go(func() error { return g.heedStops(ctx) })
	}
	err := group.Wait()
	g.lastSends(lines) // the channels run until the turns have come to their end
	end()
	g.shut()
	return err
}

// lastSendsFor is how long the gateway waits for the delivery of what turns have
// answered while it was stopping.
const lastSendsFor = 2 * time.Second

func (g *Gateway) lastSends(ctx context.Context) {
	if !g.late.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastSendsFor)
	defer cancel()
	for pause(ctx, lastSendsFor/40) == nil {
		all, err := g.bus.Depths(ctx)
		if err != nil || !slices.ContainsFunc(all, func(d bus.Depth) bool {
			return d.Queue == bus.Outbox && (d.State == bus.Ready || d.State == bus.Leased)
		}) {
			return
		}
	}
}

// complete reads and completes what an earlier process left.
func (g *Gateway) complete(ctx context.Context) error {
	if err := g.spend.load(ctx); err != nil {
		return fmt.Errorf("read today's spending: %w", err)
	}
	if err := g.finishPairings(ctx); err != nil {
		return fmt.Errorf("finish pairings: %w", err)
	}
	if _, err := g.unpause(ctx); err != nil {
		return err
	}
	// Whoever was removed is out already; what could not be ended now is tried
	// again, and does not keep the gateway from starting.
	if err := errors.Join(g.finishDepartures(ctx), g.finishWorkspaces(ctx)); err != nil {
		g.log.Error("end what was removed", "err", err)
	}
	return nil
}

// open starts the channels that were applied before Run.
func (g *Gateway) open(ctx context.Context) {
	g.applying.Lock()
	defer g.applying.Unlock()
	g.mu.Lock()
	g.ctx = ctx
	g.mu.Unlock()
	for _, l := range g.allLines() {
		l.start(ctx)
	}
}

// shut waits until every channel has ended.
func (g *Gateway) shut() {
	g.applying.Lock()
	defer g.applying.Unlock()
	for _, l := range g.allLines() {
		l.stop()
	}
}

// allLines lists the lines in no order.
func (g *Gateway) allLines() []*line {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Values(g.lines))
}

// Mended lets the channels that have ended begin at once, which otherwise takes
// minutes: a secret that one of them could not do without has a new value.
func (g *Gateway) Mended() {
	for _, l := range g.allLines() {
		select {
		case l.mended <- struct{}{}:
		default:
		}
	}
}

// Apply makes the running channels those of the list: new ones start, missing
// ones end, changed ones take the change or start anew, and the others are not
// touched. When one of them cannot be opened, nothing is changed. It may be
// called before and while the gateway runs, and blocks until the channels that
// had to end have ended; everything else goes on meanwhile.
func (g *Gateway) Apply(ctx context.Context, list []ChannelConfig) error {
	g.applying.Lock()
	defer g.applying.Unlock()
	fresh := map[channels.ID]*line{}
	wanted := map[channels.ID]bool{}
	for _, c := range list {
		wanted[c.ID] = true
		if old := g.line(c.ID); old != nil && old.fits(c) {
			continue
		}
		l, err := g.newLine(ctx, c)
		if err != nil {
			return fmt.Errorf("channel %s: %w", c.ID, err)
		}
		fresh[c.ID] = l
	}
	var ended []*line
	for _, old := range g.allLines() {
		if !wanted[old.id] {
			ended = append(ended, old)
		}
	}
	for _, c := range list {
		switch old := g.line(c.ID); {
		case old == nil:
		case old.take(ctx, c):
			delete(fresh, c.ID)
		default:
			ended = append(ended, old)
		}
	}
	g.swap(ended, fresh)
	return nil
}

// swap ends lines, each at the same time as the others, and puts fresh ones in
// their places. Until it has ended, a line is found under its id.
func (g *Gateway) swap(ended []*line, fresh map[channels.ID]*line) {
	var all sync.WaitGroup
	for _, l := range ended {
		all.Go(l.stop)
	}
	all.Wait()
	g.mu.Lock()
	for _, l := range ended {
		delete(g.lines, l.id)
	}
	maps.Copy(g.lines, fresh)
	ctx := g.ctx
	g.mu.Unlock()
	if ctx == nil || ctx.Err() != nil {
		return
	}
	for _, l := range fresh {
		l.start(ctx)
	}
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
