package delivery

import (
	"context"
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

func draftKey(o Outbound) string { return string(o.To.Channel) + "/" + o.Turn }

// parts splits the reply for the place. The same record gives the same parts
// on every attempt.
func (a *attempt) parts(ctx context.Context) ([]channels.Part, error) {
	body := a.body()
	pieces := []markup.Node{body}
	limit := a.feat.MaxText
	if len(a.out.Files) > 0 && a.feat.MaxCaption > 0 {
		limit = a.feat.MaxCaption
	}
	if limit > 0 {
		pieces = markup.Split(body, a.feat.Dialect, limit)
	}
	replaces := channels.MessageID("")
	if a.out.Stage == Final {
		e, err := a.c.Bus.Get(ctx, draftSpace, draftKey(a.out))
		if err != nil {
			return nil, err
		}
		replaces = channels.MessageID(e.Value)
	}
	parts := make([]channels.Part, len(pieces))
	for i, n := range pieces {
		parts[i] = channels.Part{
			Key: partKey(a.rec.Key, i), To: a.out.To, Via: a.out.Via, Audience: a.out.Audience,
			Body: n, Plain: a.out.Plain || a.p.Plain,
		}
	}
	parts[0].ReplyTo, parts[0].Replaces, parts[0].Files = a.out.ReplyTo, replaces, a.out.Files
	parts[len(parts)-1].Buttons = a.out.Buttons
	return parts, nil
}

// body is the text as it goes out: an answer that could not be sent for long
// says when it was made. That is settled before the first part is sent, so that
// every attempt splits the same way.
func (a *attempt) body() markup.Node {
	if a.p.Next == 0 && a.c.Now().Sub(a.out.Made) > stale {
		a.p.Late = true
	}
	n := markup.Plain(a.out.Markdown)
	if !a.out.Plain {
		n = markup.Parse(a.out.Markdown)
	}
	if a.p.Late {
		n = prefixed(n, "(Delayed: this is from "+a.out.Made.UTC().Format("2 January, 15:04")+" UTC.)")
	}
	return n
}

// markRepeat says in the message itself that it may be a repetition.
func markRepeat(p *channels.Part) {
	p.Body = prefixed(p.Body, "(This may be a repetition: I could not tell whether it reached you.)")
}

// prefixed puts a line of its own before a document.
func prefixed(n markup.Node, line string) markup.Node {
	head := markup.Node{Kind: markup.Paragraph, Children: []markup.Node{
		{Kind: markup.Emph, Children: []markup.Node{{Kind: markup.Text, Literal: line}}},
	}}
	if n.Kind != markup.Document {
		n = markup.Node{Kind: markup.Document, Children: []markup.Node{n}}
	}
	n.Children = append([]markup.Node{head}, n.Children...)
	return n
}

// draft sends the first sight of an answer, best effort: whatever goes wrong,
// the final will say it all.
func (a *attempt) draft(ctx context.Context) bus.Outcome {
	if a.p.Doubt > 0 || a.c.Now().Sub(a.out.Made) > 20*time.Second ||
		a.c.limit.take(a.rec.Order, a.out.Direct, a.c.Now()) > 0 {
		a.c.observe(Dropped)
		return a.verdict(bus.Verdict{Fate: bus.Ack})
	}
	receipt, err := a.c.call(ctx, a.c.draftPart(a.out, a.rec.Key, a.feat))
	if err != nil {
		a.c.observe(Dropped)
		return a.verdict(bus.Verdict{Fate: bus.Ack, Reason: fmt.Sprintf("draft: %s", channels.KindOf(err))})
	}
	failpoint.Hit(failpoint.DraftAfter)
	a.c.observe(Sent)
	o := a.verdict(bus.Verdict{Fate: bus.Ack})
	o.State = []kv.Write{{Space: draftSpace, Key: draftKey(a.out), Value: []byte(receipt.ID)}}
	return o
}

func (c *Courier) draftPart(o Outbound, key string, feat channels.Features) channels.Part {
	body := markup.Parse(o.Markdown)
	if feat.MaxText > 0 {
		body = markup.Head(body, feat.Dialect, feat.MaxText)
	}
	return channels.Part{Key: key, To: o.To, ReplyTo: o.ReplyTo, Via: o.Via, Body: body}
}

// Update shows how far an answer has come, in place of its first draft. It is
// lossy: it does nothing until that draft has been sent, or when the rate is
// needed for answers.
func (c *Courier) Update(ctx context.Context, o Outbound) error {
	feat := c.Channel.Features(o.To)
	if d, ok := channels.As[channels.Drafter](c.Channel); ok {
		d.Draft(ctx, c.draftPart(o, o.Turn, feat))
		return nil
	}
	e, err := c.Bus.Get(ctx, draftSpace, draftKey(o))
	if err != nil || e.Version == 0 || !c.limit.spare(o.To.Order(), o.Direct, c.Now()) {
		return err
	}
	part := c.draftPart(o, o.Turn, feat)
	part.Replaces = channels.MessageID(e.Value)
	_, err = c.call(ctx, part)
	if channels.KindOf(err) == channels.RateLimited {
		c.limit.refused(o.To.Order(), o.Direct, c.Now(), channels.RetryAfter(err))
	}
	return err
}
