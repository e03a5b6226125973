package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// draftSpace holds the refs of first drafts, for the finals that replace them.
const draftSpace = "draft"

// draftFor is how old a first draft may be when it is sent.
const draftFor = 20 * time.Second

// draftRef is the message that shows a draft.
type draftRef struct {
	ID channels.MessageID `json:"id"`
	At time.Time          `json:"at"`
}

func draftKey(o Outbound) string { return string(o.To.Channel) + "/" + o.Turn }

// draftOf returns the draft of an outbound's turn; zero when none was sent.
func (c *Courier) draftOf(ctx context.Context, o Outbound) (draftRef, error) {
	e, err := c.Bus.Get(ctx, draftSpace, draftKey(o))
	if err != nil || e.Version == 0 {
		return draftRef{}, err
	}
	var d draftRef
	if err := json.Unmarshal(e.Value, &d); err != nil {
		return draftRef{}, fmt.Errorf("draft of turn %s: %w", o.Turn, err)
	}
	return d, nil
}

// first sends the first sight of an answer, best effort: whatever goes wrong,
// the final will say it all.
func (a *attempt) first(ctx context.Context) bus.Outcome {
	part := a.c.draftPart(a.out, a.rec.Key, a.feat)
	if a.p.Doubt > 0 {
		r, was, _, err := a.c.sentBefore(ctx, part, a.out.Made)
		if err != nil || !was {
			return a.dropped("draft: in doubt")
		}
		a.c.observe(Reconciled)
		return a.shown(r)
	}
	if metered(a.out.Via) || blank(part.Body) || a.c.Now().Sub(a.out.Made) > draftFor ||
		a.c.limit.take(a.rec.Order, a.out.Direct, a.c.Now()) > 0 {
		return a.dropped("")
	}
	part.Via = a.c.path(ctx, a.rec.Workspace, a.out)
	r, err := a.c.call(ctx, part)
	if channels.KindOf(err) == channels.Format {
		part.Plain = true
		r, err = a.c.call(ctx, part)
	}
	if channels.KindOf(err) == channels.Ambiguous {
		if _, can := channels.As[channels.Reconciler](a.c.Channel); can {
			a.p.Doubt++
			return a.later(a.c.Now().Add(time.Second), "draft: ambiguous")
		}
	}
	if err != nil {
		return a.dropped("draft: " + string(channels.KindOf(err)))
	}
	failpoint.Hit(failpoint.DraftAfter)
	a.c.observe(Sent)
	return a.shown(r)
}

func (a *attempt) dropped(why string) bus.Outcome {
	a.c.observe(Dropped)
	return a.verdict(bus.Verdict{Fate: bus.Ack, Reason: why})
}

// shown keeps the ref, so that the final takes the draft's place.
func (a *attempt) shown(r channels.Receipt) bus.Outcome {
	o := a.verdict(bus.Verdict{Fate: bus.Ack})
	o.State = a.refWrite(r.ID)
	return o
}

// refWrite keeps the message that a final will replace.
func (a *attempt) refWrite(id channels.MessageID) []kv.Write {
	v, err := json.Marshal(draftRef{ID: id, At: a.c.Now()})
	if err != nil {
		return nil // a string and a time always encode
	}
	return []kv.Write{{Space: draftSpace, Key: draftKey(a.out), Value: v}}
}

// metered reports whether every use of a reply path counts: too dear for drafts.
func metered(v *channels.Via) bool { return v != nil && v.Uses > 0 }

func (c *Courier) draftPart(o Outbound, key string, feat channels.Features) channels.Part {
	body := markup.Draft(o.Markdown)
	if feat.MaxText > 0 {
		body = markup.Head(body, feat.Dialect, feat.MaxText)
	}
	return channels.Part{Key: key, To: o.To, ReplyTo: o.ReplyTo, Audience: o.Audience, Body: body}
}

// Update shows how far an answer has come, in place of its first draft. It is
// lossy: it does nothing until that draft has been sent, or when the rate is
// needed for answers.
func (c *Courier) Update(ctx context.Context, workspace string, o Outbound) (err error) {
	defer c.recovered("draft", &err)
	feat := c.Channel.Features(o.To)
	part := c.draftPart(o, o.Turn, feat)
	if d, ok := channels.As[channels.Drafter](c.Channel); ok {
		part.Via = c.path(ctx, workspace, o)
		d.Draft(ctx, part)
		return nil
	}
	d, err := c.draftOf(ctx, o)
	if err != nil || d.ID == "" || metered(o.Via) || blank(part.Body) || !c.limit.spare(o.To.Order(), o.Direct, c.Now()) {
		return err
	}
	part.Replaces, part.Via = d.ID, c.path(ctx, workspace, o)
	_, err = c.call(ctx, part)
	if channels.KindOf(err) == channels.RateLimited {
		c.limit.refused(o.To.Order(), o.Direct, c.Now(), channels.RetryAfter(err))
	}
	return err
}
