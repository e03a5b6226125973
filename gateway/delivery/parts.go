package delivery

import (
	"context"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// parts lays the reply out for the place. The same record gives the same parts
// on every attempt. There are none when there is nothing to show.
//
// A text that fits beside the first file goes with it; a longer one follows as
// messages of its own. Where a draft stands, the text takes its place and the
// files follow, so that what was seen is not moved below something new.
func (a *attempt) parts(ctx context.Context) ([]channels.Part, error) {
	if a.out.Stage == Final {
		d, err := a.c.draftOf(ctx, a.out)
		if err != nil {
			return nil, err
		}
		a.draft = d.ID
	}
	body, empty := a.body()
	var parts []channels.Part
	if len(a.out.Files) == 0 {
		if empty {
			return nil, nil
		}
		parts = a.texts(body)
	} else {
		parts = a.withFiles(body, empty)
	}
	for i := range parts {
		p := &parts[i]
		p.Key, p.To, p.Audience, p.Plain = partKey(a.rec.Key, i), a.out.To, a.out.Audience, a.out.Plain || a.p.Plain
		if slices.Contains(a.p.Lost, i) {
			without(p)
		}
	}
	parts[0].ReplyTo = a.out.ReplyTo
	if !a.p.Anew {
		parts[0].Replaces = a.draft
	}
	parts[len(parts)-1].Buttons = a.buttons()
	return parts, nil
}

// texts splits a text, with room in every part for the line that marks a
// repetition.
func (a *attempt) texts(body markup.Node) []channels.Part {
	pieces := []markup.Node{body}
	if limit := a.feat.MaxText; limit > 0 {
		pieces = markup.Split(body, a.feat.Dialect, max(1, limit-a.room(limit)))
	}
	parts := make([]channels.Part, len(pieces))
	for i, n := range pieces {
		parts[i].Body = n
	}
	return parts
}

// room is what the longest mark that is not out of proportion takes.
func (a *attempt) room(limit int) int {
	n := a.feat.Dialect.Measure(prefixed(markup.Plain("x"), repeatLine(limit)))
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
	limit := a.feat.MaxText
	if len(p.Files) > 0 {
		limit = a.feat.MaxCaption
	}
	p.Body = prefixed(p.Body, repeatLine(limit))
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
