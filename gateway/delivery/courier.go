package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
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

// Options configure a Courier.
type Options struct {
	Bus interface {
		bus.Bus
		bus.Store
	}
	Channel   channels.Channel
	ID        channels.ID
	Unlimited bool // ignore the platform's rates
	Parallel  int  // conversations at a time; 0 means 64
	Now       func() time.Time
	Log       *slog.Logger
	Observer  Observer
}

// Courier delivers what the outbox holds for one channel.
type Courier struct {
	Options
	limit *limiter
	last  atomic.Int64 // UnixNano of the last successful send
}

// The patience of deliveries.
const (
	leaseFor  = 60 * time.Second
	grace     = 5 * time.Second  // for sends under way when the gateway stops
	sendFor   = 45 * time.Second // one call of the platform
	stale     = 15 * time.Minute // an older reply says how old it is
	maxOther  = 6                // tries after failures of an unknown kind
	maxTries  = 40               // tries after failures that certainly delivered nothing
	maxDoubts = 2                // an ambiguous send is repeated once
	giveUp    = 24 * time.Hour
)

// New makes a courier.
func New(o Options) *Courier {
	if o.Parallel == 0 {
		o.Parallel = 64
	}
	c := &Courier{Options: o}
	if !o.Unlimited {
		c.limit = newLimiter(o.Channel.Features(channels.Address{Channel: o.ID}).Rate)
	}
	return c
}

// Run delivers until ctx ends, and then lets the sends that are under way
// finish for a few seconds. It returns nil when ctx ends.
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
		c.settle(work, l, r.Key, c.send(work, l, r))
	}
}

func (c *Courier) settle(ctx context.Context, l *bus.Lease, key string, o bus.Outcome) {
	err := c.Bus.Settle(ctx, l, o)
	if err != nil && !errors.Is(err, bus.ErrLeaseLost) && ctx.Err() == nil {
		c.Log.Error("settle a delivery", "channel", c.ID, "event", key, "err", err)
	}
}

// attempt is the work on one record.
type attempt struct {
	c     *Courier
	lease *bus.Lease
	rec   bus.Record
	out   Outbound
	p     progress
	feat  channels.Features
}

// send delivers a record as far as it gets and says what is to be settled.
func (c *Courier) send(ctx context.Context, l *bus.Lease, r bus.Record) bus.Outcome {
	a := attempt{c: c, lease: l, rec: r}
	if err := json.Unmarshal(r.Body, &a.out); err != nil {
		return a.dead("unreadable: " + err.Error())
	}
	p, err := resume(r)
	if err != nil {
		return a.dead(err.Error())
	}
	a.p, a.feat = p, c.Channel.Features(a.out.To)
	if a.out.Stage == Draft {
		return a.draft(ctx)
	}
	return a.whole(ctx)
}

// whole sends every part that has no receipt yet.
func (a *attempt) whole(ctx context.Context) bus.Outcome {
	parts, err := a.parts(ctx)
	if err != nil {
		return a.later(a.c.Now().Add(time.Second), "draft ref: "+err.Error())
	}
	first := true
	for a.p.Next < len(parts) {
		part := parts[a.p.Next]
		done, out := a.resolve(ctx, &part)
		if out != nil {
			return *out
		}
		if !done {
			if d := a.c.limit.take(a.rec.Order, a.out.Direct, a.c.Now()); d > 0 {
				return a.pause(a.c.Now().Add(d))
			}
			if !first || a.p.Doubt > 0 {
				if err := a.mark(ctx); err != nil {
					return bus.Outcome{} // the lease is gone, or the engine cannot commit: nothing was sent
				}
			}
			if out := a.one(ctx, part); out != nil {
				return *out
			}
		}
		first = false
	}
	return a.delivered()
}

// mark stores, before a further part is sent, that the parts before it have
// arrived: a crash from here on leaves only this part in doubt.
func (a *attempt) mark(ctx context.Context) error {
	p := a.p
	_, err := a.c.Bus.Hold(ctx, a.lease, bus.Hold{Progress: map[string]json.RawMessage{a.rec.Key: p.encode(a.rec.Attempt - 1)}})
	return err
}

// one sends one part; nil means that it has a receipt.
func (a *attempt) one(ctx context.Context, part channels.Part) *bus.Outcome {
	receipt, err := a.c.call(ctx, part)
	if channels.KindOf(err) == channels.Format && !part.Plain {
		a.p.Plain = true
		part.Plain = true
		receipt, err = a.c.call(ctx, part)
	}
	if err == nil {
		if a.p.Doubt > 0 && part.Replaces == "" {
			a.c.observe(Repeated)
		} else {
			a.c.observe(Sent)
		}
		a.p.sent(receipt.ID)
		return nil
	}
	out := a.failed(err, part)
	return &out
}

func (c *Courier) call(ctx context.Context, part channels.Part) (channels.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, sendFor)
	defer cancel()
	failpoint.Hit(failpoint.SendBefore)
	r, err := c.Channel.Send(ctx, part)
	failpoint.Hit(failpoint.SendAfter)
	return r, err
}

// resolve deals with a part that may have been sent already. done means that
// it has a receipt now; an outcome, that the attempt ends.
func (a *attempt) resolve(ctx context.Context, part *channels.Part) (done bool, out *bus.Outcome) {
	if a.p.Doubt == 0 || part.Replaces != "" { // an edit may be repeated without harm
		return false, nil
	}
	if r, ok := channels.As[channels.Reconciler](a.c.Channel); ok {
		receipt, was, err := r.Sent(ctx, *part)
		if err != nil {
			o := a.later(a.c.Now().Add(5*time.Second), "reconcile: "+string(channels.KindOf(err)))
			return false, &o
		}
		if was {
			a.c.observe(Reconciled)
			a.p.sent(receipt.ID)
			return true, nil
		}
		a.p.Doubt = 0
		return false, nil
	}
	if a.p.Doubt >= maxDoubts {
		o := a.dead("it may have been delivered; it was repeated once, with the same result")
		return false, &o
	}
	markRepeat(part)
	return false, nil
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

func (a *attempt) verdict(v bus.Verdict) bus.Outcome {
	return bus.Outcome{Verdicts: map[string]bus.Verdict{a.rec.Key: v}}
}

func (a *attempt) later(at time.Time, why string) bus.Outcome {
	a.c.observe(Delayed)
	return a.verdict(bus.Verdict{Fate: bus.Retry, At: at, Reason: why, Progress: a.p.encode(a.rec.Attempt)})
}

// pause gives the conversation back until the platform's rate lets it go on.
func (a *attempt) pause(at time.Time) bus.Outcome {
	return a.verdict(bus.Verdict{Fate: bus.Retry, At: at, Progress: a.p.encode(a.rec.Attempt)})
}

func (a *attempt) dead(why string) bus.Outcome {
	a.c.observe(Dead)
	a.c.Log.Error("a reply could not be delivered", "channel", a.c.ID, "event", a.rec.Key, "attempt", a.rec.Attempt, "err", why)
	return a.verdict(bus.Verdict{Fate: bus.Dead, Reason: why})
}

func (a *attempt) delivered() bus.Outcome {
	o := a.verdict(bus.Verdict{Fate: bus.Ack, Progress: a.p.encode(a.rec.Attempt)})
	if a.out.Stage == Final {
		o.State = append(o.State, kv.Write{Space: draftSpace, Key: draftKey(a.out)})
	}
	return o
}

// failed turns a failed send into what happens next.
func (a *attempt) failed(err error, part channels.Part) bus.Outcome {
	now := a.c.Now()
	kind := channels.KindOf(err)
	a.p.Tries++
	reason := fmt.Sprintf("%s after %d tries", kind, a.p.Tries)
	switch kind {
	case channels.RateLimited:
		wait := max(channels.RetryAfter(err), 500*time.Millisecond)
		a.c.limit.refused(a.rec.Order, a.out.Direct, now, wait)
		return a.later(now.Add(wait), reason)
	case channels.Ambiguous:
		if part.Replaces == "" {
			a.p.Doubt++
		}
		return a.later(now.Add(backoff(a.p.Tries)), reason)
	case channels.Transient, channels.Unauthorized:
		if a.p.Tries < maxTries && now.Sub(a.out.Made) < giveUp {
			return a.later(now.Add(max(channels.RetryAfter(err), backoff(a.p.Tries))), reason)
		}
	case channels.Other:
		if a.p.Tries < maxOther {
			return a.later(now.Add(backoff(a.p.Tries)), reason)
		}
	case channels.Gone, channels.Closed:
		return a.dead(err.Error())
	case channels.Rejected, channels.Format:
		return a.tell(a.dead(err.Error()))
	}
	return a.tell(a.dead(reason + ": " + err.Error()))
}

// tell lets the person know that an answer is missing, once.
func (a *attempt) tell(o bus.Outcome) bus.Outcome {
	if a.out.Stage == apology {
		return o
	}
	r, err := Record(a.rec.Workspace, a.rec.Key+"/lost", Outbound{
		To: a.out.To, Plain: true, Direct: a.out.Direct, Turn: a.out.Turn, Stage: apology, Made: a.c.Now(),
		Markdown: "I had an answer for you, but it could not be delivered here. The person who runs this bot can see why.",
	})
	if err == nil {
		o.Emit = append(o.Emit, r)
	}
	return o
}

// apology marks the message that says that another one was lost.
const apology Stage = "apology"
