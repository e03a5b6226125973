package gateway

import (
	"context"
	"fmt"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
)

// questionName stands for a question where messages are known by their turns.
func questionName(id string) string { return "ask-" + id }

// pressAnswer marks a button that answers a question: the id and a letter
// follow.
const pressAnswer = "gw:ask:"

// letters are what the buttons of a question say.
var letters = map[string]approval.Answer{
	"o": {Outcome: approval.Approved, Extent: approval.Once},
	"c": {Outcome: approval.Approved, Extent: approval.Conversation},
	"a": {Outcome: approval.Approved, Extent: approval.Always},
	"n": {Outcome: approval.Refused},
}

// buttons are those of a question; none where the place cannot carry them all.
func (g *Gateway) buttons(q approval.Question) []channels.Button {
	make1 := func(label, letter, style string) channels.Button {
		return channels.Button{Label: label, Data: pressAnswer + q.ID + ":" + letter, Style: style}
	}
	all := []channels.Button{make1("Allow once", "o", "success"), make1("Deny", "n", "danger")}
	if !q.OnceOnly {
		all = append(all, make1("Allow here", "c", ""), make1("Allow for 30 days", "a", ""))
	}
	l := g.line(q.Where.Channel)
	if l == nil {
		return nil
	}
	f := l.ch.Features(q.Where)
	if f.MaxButtons < len(all) || f.MaxButtonData < len(all[0].Data) {
		return nil
	}
	return all
}

// questionText is literal: nothing in it is formatted, so that what is shown is
// what will run.
func questionText(q approval.Question, why string, typed bool) string {
	var b strings.Builder
	b.WriteString("May I do this?")
	if why != "" {
		b.WriteString(" " + why)
	}
	fmt.Fprintf(&b, "\n\n%s", q.Tool)
	if q.Target != "" {
		fmt.Fprintf(&b, " → %s", q.Target)
	}
	fmt.Fprintf(&b, "\n%s\n\nWithout an answer within %d minutes I leave it.", q.Summary, int(approval.Patience.Minutes()))
	if !q.Direct {
		b.WriteString(" Whoever asked can decide, or somebody who approves.")
	}
	if typed {
		fmt.Fprintf(&b, "\n\nWrite /approve %s to allow it once, or /deny %s.", q.Code, q.Code)
		if !q.OnceOnly {
			fmt.Fprintf(&b, " /approve %s here allows this tool and destination in this conversation, /approve %s always for 30 days wherever you write.", q.Code, q.Code)
		}
	}
	return b.String()
}

// answerText is what stands in the place of a question once it is decided.
func answerText(q approval.Question, who string) string {
	what := q.Tool
	if q.Target != "" {
		what += " → " + q.Target
	}
	says := map[approval.Outcome]string{
		approval.Approved: "✓ Allowed by " + who, approval.Refused: "✗ Not allowed: " + who + " said no",
		approval.Expired: "Nobody answered in time, so I left it", approval.Stopped: "Stopped by " + who,
	}[q.Answer.Outcome]
	switch q.Answer.Extent {
	case approval.Conversation:
		says += ", from now on in this conversation"
	case approval.Always:
		says += ", for 30 days"
	case approval.Once:
	}
	return fmt.Sprintf("%s.\n\n%s\n%s", says, what, q.Summary)
}

// decider names whoever decided a question, for those who read along.
func (g *Gateway) decider(ctx context.Context, q approval.Question) string {
	own := q.Answer.By == q.Requester.Member
	if own && q.Direct {
		return "you"
	}
	if m, err := g.dir.Member(ctx, q.Answer.By); err == nil && m.Name != "" {
		return m.Name
	}
	if own {
		return "whoever asked"
	}
	return "somebody who may"
}

// answered makes the record that edits a question into its answer.
func (g *Gateway) answered(ctx context.Context, q approval.Question) (bus.Record, error) {
	who := g.decider(ctx, q)
	return delivery.Record(g.dir.Workspace(), questionName(q.ID)+"/answer", delivery.Outbound{
		To: q.Where, Direct: q.Direct, Markdown: answerText(q, who), Plain: true,
		Turn: questionName(q.ID), Stage: delivery.Final, Made: g.now(),
	})
}
