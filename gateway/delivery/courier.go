package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/blob"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// Outcome is how a send ended, for the metrics. The set is closed.
type Outcome string

// The outcomes.
const (
	Sent       Outcome = "sent"
	Repeated   Outcome = "repeated"   // sent once more after an ambiguous end, marked
	Reconciled Outcome = "reconciled" // an ambiguous end that turned out to be a success
	Delayed    Outcome = "delayed"    // will be tried again
	Dropped    Outcome = "dropped"    // a draft that was not worth keeping
	Dead       Outcome = "dead"
)

// Observer is told of every send. Its methods must not block.
type Observer interface {
	Send(c channels.ID, o Outcome)
}

// Files opens what replies carry, such as a [blob.Shelf].
type Files interface {
	Open(ctx context.Context, id blob.ID) (io.ReadCloser, error)
}

// Options configure a Courier.
type Options struct {
	Bus interface {
		bus.Bus
		bus.Store
	}
	Channel   channels.Channel
	Files     Files // nil: replies have none
	ID        channels.ID
	Seals     Seals // nil: reply paths are not used
	Unlimited bool  // ignore the platform's rates
	Parallel  int   // conversations at a time; 0 means 64
	Now       func() time.Time
	Log       *slog.Logger
	Observer  Observer
}

// Courier delivers what the outbox holds for one channel.
type Courier struct {
	Options
	limit   *limiter
	started time.Time
	last    atomic.Int64 // UnixNano of the last successful send
}

// The patience of deliveries.
const (
	leaseFor = 60 * time.Second
	// grace is for sends under way when the gateway stops. One that is cut off
	// is in doubt, so it is long; together with that of turns it stays below the
	// 30 s after which supervisors kill.
	grace     = 15 * time.Second
	sendFor   = 45 * time.Second // one call of the platform
	filesFor  = 10 * time.Minute // one that carries files
	stale     = 15 * time.Minute // an older reply says how old it is
	maxOther  = 6                // tries after failures of an unknown kind, and at least after every other
	maxDoubts = 2                // an ambiguous send is repeated once
	// repeatAfter is how long a courier has lived before it repeats anything. A
	// process that dies again and again at its start must not use the one
	// repetition up.
	repeatAfter = time.Second
	// onItsWay is how long what a process sent before it died may take to get
	// to the platform. Until then, "it is not here" is no answer.
	onItsWay   = 2 * time.Second
	giveUp     = 24 * time.Hour // from when the reply was made
	settleFor  = 3 * time.Second
	settleMost = 5 * time.Second // between two tries of a settlement
)

// New makes a courier.
func New(o Options) *Courier {
	if o.Parallel == 0 {
		o.Parallel = 64
	}
	c := &Courier{Options: o, started: o.Now()}
	if !o.Unlimited {
		c.limit = newLimiter(o.Channel.Features(channels.Address{Channel: o.ID}).Rate)
	}
	return c
}

// Run delivers until ctx ends, and then lets the sends that are under way
// finish for some seconds; no further one begins. It returns nil when ctx ends.
func (c *Courier) Run(ctx context.Context) error {
	return bus.Work{
		Want:     bus.Want{Queue: bus.Outbox, Channels: []string{string(c.ID)}, Max: 1, For: leaseFor},
		Parallel: c.Parallel, Grace: grace, Log: c.Log, Do: c.deliver,
	}.Run(ctx, c.Bus)
}

// deliver works off one lease. stopping ends when no new send may begin; work
// when even those under way must end.
func (c *Courier) deliver(stopping, work context.Context, l *bus.Lease) {
	for _, r := range l.Records {
		if stopping.Err() != nil {
			c.settle(work, l, r.Key, bus.Outcome{Verdicts: map[string]bus.Verdict{r.Key: {Fate: bus.Release}}})
			return
		}
		c.settle(work, l, r.Key, c.sendSafely(stopping, work, l, r))
	}
}

// settle says the last word on a lease. What is known of a send must not be
// lost, or the send is repeated: a bus that fails or is slow is asked again
// until somebody else has the lease, and once more when the work is cut off.
func (c *Courier) settle(work context.Context, l *bus.Lease, key string, o bus.Outcome) {
	for n := 1; ; n++ {
		last := work.Err() != nil
		err := c.settleOnce(work, l, o)
		if err == nil || errors.Is(err, bus.ErrLeaseLost) {
			return
		}
		c.Log.Error("settle a delivery", "channel", c.ID, "event", key, "attempt", n, "err", err)
		if last || errors.Is(err, bus.ErrClosed) {
			return
		}
		rest(work, min(backoff(n), settleMost))
	}
}

func (c *Courier) settleOnce(work context.Context, l *bus.Lease, o bus.Outcome) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(work), settleFor)
	defer cancel()
	return c.Bus.Settle(ctx, l, o)
}

// rest waits for d, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// sendSafely shields the process from a reply that makes a channel or the
// markup panic: it is tried a few times and then set aside. Nothing is said of
// its progress, so the part that was under way is in doubt.
func (c *Courier) sendSafely(stopping, work context.Context, l *bus.Lease, r bus.Record) (o bus.Outcome) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		c.Log.Error("a delivery panicked", "channel", c.ID, "event", r.Key, "attempt", r.Attempt, "err", p, "stack", string(debug.Stack()))
		v := bus.Verdict{Fate: bus.Retry, At: c.Now().Add(backoff(r.Attempt)), Reason: "panicked"}
		if r.Attempt >= maxOther {
			c.observe(Dead)
			v = bus.Verdict{Fate: bus.Dead, Reason: "panicked"}
		}
		o = bus.Outcome{Verdicts: map[string]bus.Verdict{r.Key: v}}
		if a := (attempt{c: c, lease: l, rec: r}); v.Fate == bus.Dead && json.Unmarshal(r.Body, &a.out) == nil {
			o = a.tell(o, textLost)
		}
	}()
	return c.send(stopping, work, l, r)
}

var errPanicked = errors.New("the adapter panicked")

// call makes one call of the platform. After a panic nobody can tell whether it
// went out.
func (c *Courier) call(ctx context.Context, part channels.Part) (r channels.Receipt, err error) {
	patience := sendFor
	if len(part.Files) > 0 {
		patience = filesFor
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer c.recovered("send", &err)
	failpoint.Hit(failpoint.SendBefore)
	r, err = c.Channel.Send(ctx, part)
	failpoint.Hit(failpoint.SendAfter)
	return r, err
}

// sentBefore asks a platform that can tell whether a part has arrived. known
// is false when it cannot. Where a repetition does no harm, nothing was sent
// that must not be sent again. The reply was made at the given time, and sent no
// sooner.
func (c *Courier) sentBefore(ctx context.Context, part channels.Part, made time.Time) (r channels.Receipt, was, known bool, err error) {
	if c.harmless(made) {
		return r, false, true, nil
	}
	rec, ok := channels.As[channels.Reconciler](c.Channel)
	if !ok {
		return r, false, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, sendFor)
	defer cancel()
	defer c.recovered("reconcile", &err)
	r, was, err = rec.Sent(ctx, part, made)
	if errors.Is(err, channels.ErrCannotTell) {
		return r, false, false, nil
	}
	return r, was, true, err
}

// harmless reports whether the platform knows a part again that comes twice, of
// a reply that was made at that time.
func (c *Courier) harmless(made time.Time) bool {
	i, ok := channels.As[channels.Idempotent](c.Channel)
	if !ok {
		return false
	}
	lasts := i.Idempotent()
	return lasts == 0 || c.Now().Sub(made) < lasts
}

// recovered makes an ambiguous failure of a panic. It is to be deferred.
func (c *Courier) recovered(op string, err *error) {
	if p := recover(); p != nil {
		c.Log.Error("adapter panicked", "channel", c.ID, "kind", op, "err", p, "stack", string(debug.Stack()))
		*err = &channels.Error{Op: op, Channel: c.ID, Kind: channels.Ambiguous, Err: errPanicked}
	}
}

// LastSent is when the platform last took a send; zero for never.
func (c *Courier) LastSent() time.Time {
	n := c.last.Load()
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

func (c *Courier) observe(o Outcome) {
	if o == Sent || o == Repeated {
		c.last.Store(c.Now().UnixNano())
	}
	if c.Observer != nil {
		c.Observer.Send(c.ID, o)
	}
}
