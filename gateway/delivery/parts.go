package delivery

import (
	"context"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// parts splits the reply for the place. The same record gives the same parts
// on every attempt. There are none when there is nothing to show.
func (a *attempt) parts(ctx context.Context) ([]channels.Part, error) {
	if a.out.Stage == Final {
		d, err := a.c.draftOf(ctx, a.out)
		if err != nil {
			return nil, err
		}
		a.draft = d.ID
	}
	body, empty := a.body()
	if empty && len(a.out.Files) == 0 {
		return nil, nil
	}
	pieces := a.split(body)
	parts := make([]channels.Part, len(pieces))
	for i, n := range pieces {
		parts[i] = channels.Part{
			Key: partKey(a.rec.Key, i), To: a.out.To, Audience: a.out.Audience, Body: n, Plain: a.out.Plain || a.p.Plain,
		}
	}
	parts[0].ReplyTo, parts[0].Files = a.out.ReplyTo, a.out.Files
	if !a.p.Anew {
		parts[0].Replaces = a.draft
	}
	parts[len(parts)-1].Buttons = a.buttons()
	return parts, nil
}

// split leaves room in every part for the line that marks a repetition.
func (a *attempt) split(body markup.Node) []markup.Node {
	limit := a.most()
	if limit <= 0 {
		return []markup.Node{body}
	}
	return markup.Split(body, a.feat.Dialect, max(1, limit-a.room()))
}

// most is what a part may hold; 0 for no limit.
func (a *attempt) most() int {
	if len(a.out.Files) > 0 && a.feat.MaxCaption > 0 {
		return a.feat.MaxCaption
	}
	return a.feat.MaxText
}

// room is what the longest mark that is not out of proportion takes.
func (a *attempt) room() int {
	n := a.feat.Dialect.Measure(prefixed(markup.Plain("x"), repeatLine(a.most())))
	return n - a.feat.Dialect.Measure(markup.Plain("x"))
}

// buttons are those that the place can carry.
func (a *attempt) buttons() []channels.Button {
	var fit []channels.Button
	for _, b := range a.out.Buttons {
		if len(fit) < a.feat.MaxButtons && len(b.Data) <= a.feat.MaxButtonData {
			fit = append(fit, b)
		}
	}
	return fit
}

// body is the text as it goes out: an answer that could not be sent for long
// says when it was made. That is settled before the first part is sent, so that
// every attempt splits the same way. Markup that shows nothing, such as a
// comment, goes out as it was written.
func (a *attempt) body() (n markup.Node, empty bool) {
	n = markup.Plain(a.out.Markdown)
	if !a.out.Plain {
		if parsed := markup.Parse(a.out.Markdown); !blank(parsed) {
			n = parsed
		}
	}
	if blank(n) {
		return markup.Node{Kind: markup.Document}, true
	}
	if a.p.Next == 0 && a.c.Now().Sub(a.out.Made) > stale {
		a.p.Late = true
	}
	if a.p.Late {
		n = prefixed(n, "(Delayed: this is from "+a.out.Made.UTC().Format("2 January, 15:04")+" UTC.)")
	}
	return n, false
}

func blank(n markup.Node) bool { return strings.TrimSpace(markup.PlainText.Render(n)) == "" }

// repeatLine says that a message may be a repetition, in a short form where a
// message has few characters.
func repeatLine(limit int) string {
	if limit > 0 && limit < 320 {
		return "(Repeated?)"
	}
	return "(This may be a repetition: I could not tell whether it reached you.)"
}

// markRepeat says in the message itself that it may be a repetition.
func (a *attempt) markRepeat(p *channels.Part) {
	p.Body = prefixed(p.Body, repeatLine(a.most()))
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
