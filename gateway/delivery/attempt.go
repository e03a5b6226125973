package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// attempt is the work on one record.
type attempt struct {
	c        *Courier
	stopping context.Context // ends when no further send may begin
	lease    *bus.Lease
	rec      bus.Record
	out      Outbound
	p        progress
	feat     channels.Features
	draft    channels.MessageID // ref of the draft that this replaces
}

// send delivers a record as far as it gets and says what is to be settled.
func (c *Courier) send(stopping, ctx context.Context, l *bus.Lease, r bus.Record) bus.Outcome {
	a := attempt{c: c, stopping: stopping, lease: l, rec: r}
	if err := json.Unmarshal(r.Body, &a.out); err != nil {
		a.out.Stage = apology // nobody knows for whom it was
		return a.unreadable(err)
	}
	p, err := resume(r)
	if err != nil {
		return a.unreadable(err)
	}
	a.p, a.feat = p, c.Channel.Features(a.out.To)
	if a.out.Stage == Draft {
		return a.first(ctx)
	}
	return a.whole(ctx)
}

// whole sends every part that has no receipt yet.
func (a *attempt) whole(ctx context.Context) bus.Outcome {
	parts, err := a.parts(ctx)
	if err != nil {
		return a.later(a.c.Now().Add(time.Second), "draft ref: "+err.Error())
	}
	for n := 0; a.p.Next < len(parts); n++ {
		if out := a.next(ctx, parts[a.p.Next], n == 0); out != nil {
			return *out
		}
	}
	return a.delivered()
}

// next brings one part to its receipt; an outcome ends the attempt.
func (a *attempt) next(ctx context.Context, part channels.Part, first bool) *bus.Outcome {
	if a.stopping.Err() != nil { // the parts before this one are kept
		out := a.pause(a.c.Now())
		return &out
	}
	part.Plain = part.Plain || a.p.Plain // what one part taught holds for the others
	doubted := a.p.Doubt > 0
	if done, out := a.resolve(ctx, &part); done || out != nil {
		return out
	}
	if d := a.c.limit.take(a.rec.Order, a.out.Direct, a.c.Now()); d > 0 {
		out := a.pause(a.c.Now().Add(d))
		return &out
	}
	if !first || doubted {
		if out := a.mark(ctx); out != nil {
			return out
		}
	}
	return a.one(ctx, part)
}

// mark stores, before a further call, that the parts before this one have
// arrived and what was learnt of it: a crash from here on leaves only this part
// in doubt. It also extends the lease.
func (a *attempt) mark(ctx context.Context, state ...kv.Write) *bus.Outcome {
	p := a.p
	p.Sending = true
	_, err := a.c.Bus.Hold(ctx, a.lease, bus.Hold{
		Progress: map[string]json.RawMessage{a.rec.Key: p.encode(a.rec.Attempt - 1)}, State: state,
	})
	if err == nil {
		return nil
	}
	// Nothing is under way. The verdict keeps what was sent before; when the
	// lease is gone it changes nothing.
	out := a.later(a.c.Now().Add(time.Second), "cannot keep the progress")
	return &out
}

// one sends one part; nil means that it has a receipt.
func (a *attempt) one(ctx context.Context, part channels.Part) *bus.Outcome {
	for {
		if out := a.takeVia(ctx, &part); out != nil {
			return out
		}
		receipt, err := a.call(ctx, part)
		kind := channels.KindOf(err)
		switch {
		case err == nil:
			a.arrived(part, receipt)
			return nil
		case kind == channels.Format && !part.Plain:
			a.p.Plain, part.Plain = true, true
		case part.Replaces != "" && (kind == channels.Gone || kind == channels.Rejected || kind == channels.Format):
			// The draft was removed, or is too old to be edited.
			a.p.Anew, a.p.Doubt, part.Replaces = true, 0, ""
		case len(part.Files) > 0 && a.unsendable(err):
			a.lose(&part, err)
		default:
			if kind == channels.Transient {
				a.giveBack(ctx, part.Via)
			}
			out := a.failed(err, part)
			return &out
		}
		if out := a.mark(ctx); out != nil {
			return out
		}
	}
}

func (a *attempt) arrived(part channels.Part, r channels.Receipt) {
	if a.p.Doubt > 0 && part.Replaces == "" {
		a.c.observe(Repeated)
	} else {
		a.c.observe(Sent)
	}
	a.p.sent(r.ID)
}

// resolve deals with a part that may have been sent already. done means that
// it has a receipt now; an outcome, that the attempt ends.
func (a *attempt) resolve(ctx context.Context, part *channels.Part) (done bool, out *bus.Outcome) {
	if a.p.Doubt == 0 || part.Replaces != "" { // an edit may be repeated without harm
		return false, nil
	}
	receipt, was, known, err := a.c.sentBefore(ctx, *part, a.out.Made)
	switch {
	case err != nil && a.p.Tries < maxOther:
		a.p.Tries++
		o := a.later(a.c.Now().Add(max(5*time.Second, channels.RetryAfter(err))), "reconcile: "+string(channels.KindOf(err)))
		return false, &o
	case known && err == nil && was:
		a.c.observe(Reconciled)
		a.p.sent(receipt.ID)
		return true, nil
	case known && err == nil:
		if there := a.c.started.Add(onItsWay); a.c.Now().Before(there) && !a.c.harmless(a.out.Made) {
			o := a.pause(there)
			return false, &o
		}
		a.p.Doubt = 0
		return false, nil
	case a.p.Doubt >= maxDoubts && len(part.Files) > 0:
		a.lose(part, errInDoubt) // its text, and what follows, shall arrive all the same
		return false, nil
	case a.p.Doubt >= maxDoubts:
		o := a.tell(a.dead("it may have been delivered; it was repeated once, with the same result"), textInDoubt)
		return false, &o
	}
	if lived := a.c.started.Add(repeatAfter); a.c.Now().Before(lived) {
		o := a.pause(lived)
		return false, &o
	}
	a.markRepeat(part)
	return false, nil
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

// dead sets the record aside. Its progress is kept as a replay, whose attempts
// count from one again, has to find it.
func (a *attempt) dead(why string) bus.Outcome {
	a.c.observe(Dead)
	a.c.Log.Error("a reply could not be delivered", "channel", a.c.ID, "event", a.rec.Key, "attempt", a.rec.Attempt, "err", why)
	p := a.p
	p.Doubt, p.Tries = min(p.Doubt, 1), 0
	return a.verdict(bus.Verdict{Fate: bus.Dead, Reason: why, Progress: p.encode(0)})
}

// unreadable sets a record aside that is not what this version writes, and
// leaves its progress alone.
func (a *attempt) unreadable(err error) bus.Outcome {
	o := a.dead("unreadable: " + err.Error())
	v := o.Verdicts[a.rec.Key]
	v.Progress = nil
	return a.tell(a.verdict(v), textLost)
}

func (a *attempt) delivered() bus.Outcome {
	o := a.verdict(bus.Verdict{Fate: bus.Ack, Progress: a.p.encode(a.rec.Attempt)})
	if a.draft != "" {
		o.State = append(o.State, kv.Write{Space: draftSpace, Key: draftKey(a.out)})
	}
	if n := len(a.p.Refs); a.out.Stage == Question && n > 0 {
		if _, can := channels.As[channels.Editor](a.c.Channel); can {
			o.State = append(o.State, a.refWrite(a.p.Refs[n-1])...)
		}
	}
	return o
}

// failed turns a failed send into what happens next.
func (a *attempt) failed(err error, part channels.Part) bus.Outcome {
	now := a.c.Now()
	kind := channels.KindOf(err)
	a.p.Tries++
	reason := fmt.Sprintf("%s after %d tries", kind, a.p.Tries)
	wait := max(channels.RetryAfter(err), backoff(a.p.Tries))
	fresh := a.p.Tries < maxOther || now.Sub(a.out.Made) < giveUp
	switch kind {
	case channels.RateLimited:
		wait = max(channels.RetryAfter(err), 500*time.Millisecond)
		a.c.limit.refused(a.rec.Order, a.out.Direct, now, wait)
	case channels.Ambiguous:
		if part.Replaces == "" {
			a.p.Doubt++
		}
	case channels.Transient, channels.Unauthorized:
	case channels.Gone, channels.Closed:
		return a.dead(err.Error())
	case channels.Rejected, channels.Format:
		return a.tell(a.dead(err.Error()), textLost)
	default:
		fresh = a.p.Tries < maxOther
	}
	if fresh {
		return a.later(now.Add(wait), reason)
	}
	return a.tell(a.dead(reason+": "+err.Error()), textLost)
}

// What a person is told whose answer became a dead letter.
const (
	textLost    = "I had an answer for you, but it could not be delivered here. The person who runs this bot can see why."
	textRest    = "The rest of my answer could not be delivered here. The person who runs this bot can see why."
	textInDoubt = "I tried twice to send you an answer, and cannot tell whether it reached you. If it did not, please ask again. The person who runs this bot can see it."
)

// tell lets the person know that an answer is missing, once: a replay that dies
// again makes the same record. Nothing is said of a notice that is lost itself,
// and nothing of a draft, whose final will come.
func (a *attempt) tell(o bus.Outcome, text string) bus.Outcome {
	if a.out.Stage == apology || a.out.Stage == Draft {
		return o
	}
	if a.p.Next > 0 && text == textLost {
		text = textRest
	}
	r, err := Record(a.rec.Workspace, a.rec.Key+"/lost", Outbound{
		To: a.out.To, Plain: true, Direct: a.out.Direct, Audience: a.out.Audience, ReplyTo: a.out.ReplyTo, Via: a.out.Via,
		Turn: a.out.Turn, Stage: apology, Made: a.c.Now(), Markdown: text,
	})
	if err != nil {
		return o
	}
	// It takes the record's own place, whatever its body says.
	r.Channel, r.Account, r.Order = a.rec.Channel, a.rec.Account, a.rec.Order
	o.Emit = append(o.Emit, r)
	return o
}

// apology marks the message that says that another one was lost.
const apology Stage = "apology"
