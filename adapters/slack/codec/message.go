package codec

import (
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// message decodes whatever happened to a message.
func (d *decoder) message(m *message) ([]channels.Event, error) {
	if !wellFormed(m.Channel) {
		return nil, ignored(IgnoredMalformed)
	}
	switch m.Subtype {
	case "", "file_share", "thread_broadcast", "me_message", "bot_message":
		return d.said(m)
	case "message_changed":
		return d.changed(m)
	case "message_deleted":
		return d.deleted(m)
	}
	return nil, ignored(IgnoredService)
}

// said decodes a new message.
func (d *decoder) said(m *message) ([]channels.Event, error) {
	if !wellFormed(m.TS) || m.ThreadTS != "" && !wellFormed(m.ThreadTS) {
		return nil, ignored(IgnoredMalformed)
	}
	who, err := d.sender(m)
	if err != nil {
		return nil, err
	}
	e := d.event(m.Channel, m.ChannelType, "message/"+m.Channel+"/"+m.TS)
	e.At, e.Who = Moment(m.TS), who
	text, mentioned := d.words(m)
	e.Addressed = e.Addressed || mentioned || d.p.Event == "app_mention" || d.parent(m)
	e.Where.Thread = thread(m.TS, m.ThreadTS, e.Room.Direct, e.Addressed)
	files := m.files()
	from := m.forwarded()
	if c, ok := command(text); ok && len(files) == 0 && from == "" {
		c.ID = messageID(m.TS)
		e.Content, e.Addressed = c, true
		e.Where.Thread = thread(m.TS, m.ThreadTS, e.Room.Direct, true)
		return []channels.Event{e}, nil
	}
	if text == "" && len(files) == 0 && mentioned {
		text = "@" + d.self.User // somebody calls the bot and says nothing else
	}
	if text == "" && len(files) == 0 {
		return nil, ignored(IgnoredEmpty)
	}
	e.Content = channels.Message{ID: messageID(m.TS), Text: text, Files: files, ReplyTo: d.quote(m), Forwarded: from}
	return []channels.Event{e}, nil
}

// thread is the thread that a message belongs to. One that means the bot in a
// room opens a thread by it, because there the answer goes; any other at the
// root of a room is part of the room's talk.
func thread(ts, threadTS string, direct, addressed bool) channels.ThreadID {
	switch {
	case threadTS != "" && threadTS != ts:
		return channels.ThreadID(threadTS)
	case !direct && addressed:
		return channels.ThreadID(ts)
	}
	return ""
}

// parent reports whether the message stands in the thread under a message of
// the bot.
func (d *decoder) parent(m *message) bool {
	return m.ParentUser != "" && m.ParentUser == d.self.User && m.ThreadTS != m.TS
}

// quote is the bot's message under which the message stands: on this platform
// that is how somebody replies to it.
func (d *decoder) quote(m *message) *channels.Quote {
	if !d.parent(m) {
		return nil
	}
	return &channels.Quote{ID: messageID(m.ThreadTS), Who: channels.Sender{ID: d.self.User, Bot: true, Self: true}}
}

// sender is who wrote a message.
func (d *decoder) sender(m *message) (channels.Sender, error) {
	if d.own(m) {
		return channels.Sender{}, ignored(IgnoredOwn)
	}
	id := m.User
	if id == "" {
		id = m.BotID
	}
	if !wellFormed(id) {
		return channels.Sender{}, ignored(IgnoredNobody)
	}
	bot := m.BotID != "" || m.Subtype == "bot_message" || id == "USLACKBOT"
	return channels.Sender{ID: id, Name: m.Username, Bot: bot}, nil
}

// own reports whether the bot wrote a message itself.
func (d *decoder) own(m *message) bool {
	return m.User != "" && m.User == d.self.User || m.BotID != "" && m.BotID == d.self.Bot
}

// changed decodes an edit. Slack also says that a message has changed when it
// unfolds a link in it, or counts the answers below it.
func (d *decoder) changed(m *message) ([]channels.Event, error) {
	n := m.Changed
	if n == nil || !wellFormed(n.TS) || n.ThreadTS != "" && !wellFormed(n.ThreadTS) {
		return nil, ignored(IgnoredMalformed)
	}
	if n.Subtype == "tombstone" {
		return d.gone(m, n.TS, m.Previous)
	}
	if p := m.Previous; p != nil && p.Text == n.Text && len(p.Files) == len(n.Files) {
		return nil, ignored(IgnoredNoChange)
	}
	who, err := d.sender(n)
	if err != nil {
		return nil, err
	}
	at := m.EventTS
	if n.Edited != nil && n.Edited.TS != "" {
		at = n.Edited.TS
	}
	if !wellFormed(at) {
		at = m.TS
	}
	if !wellFormed(at) {
		return nil, ignored(IgnoredMalformed)
	}
	e := d.event(m.Channel, m.ChannelType, "edit/"+m.Channel+"/"+n.TS+"/"+at)
	e.At, e.Who = Moment(at), who
	text, mentioned := d.words(n)
	e.Addressed = e.Addressed || mentioned || d.parent(n)
	e.Where.Thread = thread(n.TS, n.ThreadTS, e.Room.Direct, e.Addressed)
	files := n.files()
	if text == "" && len(files) == 0 {
		return nil, ignored(IgnoredNoChange)
	}
	e.Content = channels.Edit{ID: messageID(n.TS), Text: text, Files: files}
	return []channels.Event{e}, nil
}

func (d *decoder) deleted(m *message) ([]channels.Event, error) {
	return d.gone(m, m.DeletedTS, m.Previous)
}

// gone decodes a deletion. Slack does not say who deleted; the event bears the
// author.
func (d *decoder) gone(m *message, ts string, was *message) ([]channels.Event, error) {
	if !wellFormed(ts) {
		return nil, ignored(IgnoredMalformed)
	}
	if was == nil {
		return nil, ignored(IgnoredNobody)
	}
	who, err := d.sender(was)
	if err != nil {
		return nil, err
	}
	e := d.event(m.Channel, m.ChannelType, "deletion/"+m.Channel+"/"+ts)
	e.At, e.Who = Moment(m.EventTS), who
	_, mentioned := d.words(was)
	e.Addressed = e.Addressed || mentioned || d.parent(was)
	if was.ThreadTS == "" || wellFormed(was.ThreadTS) {
		e.Where.Thread = thread(ts, was.ThreadTS, e.Room.Direct, e.Addressed)
	}
	e.Content = channels.Deletion{IDs: []channels.MessageID{messageID(ts)}}
	return []channels.Event{e}, nil
}

// words is a message's text as CommonMark, without the mention of the bot that
// it begins with, and whether it mentions the bot anywhere.
func (d *decoder) words(m *message) (text string, mentioned bool) {
	n := body(m)
	mentioned = d.mentioned(n)
	n = d.withoutSelf(n)
	text = written(n)
	for _, a := range m.Attachments {
		if !a.IsShare && !a.IsMsg || a.Text == "" {
			continue
		}
		quote := written(markup.Node{Kind: markup.Document, Children: []markup.Node{{Kind: markup.Quote, Children: mrkdwn(a.Text).Children}}})
		if text != "" {
			text += "\n\n"
		}
		text += quote
	}
	return text, mentioned
}

// body is what a message says: its rich text where it has that, which is exact,
// else its text in the markup of Slack.
func body(m *message) markup.Node {
	if n, ok := richText(m.Blocks); ok {
		return n
	}
	return mrkdwn(m.Text)
}

// mentioned looks for the bot's name among the mentions, never in the text
// itself, so that one in code does not count.
func (d *decoder) mentioned(n markup.Node) bool {
	if n.Kind == markup.Mention {
		return n.URL == d.self.User && n.URL != ""
	}
	for i := range n.Children {
		if d.mentioned(n.Children[i]) {
			return true
		}
	}
	return false
}

// withoutSelf takes off the mention of the bot with which people begin: it says
// whom the message is for, which Event.Addressed does.
func (d *decoder) withoutSelf(n markup.Node) markup.Node {
	if len(n.Children) == 0 || n.Children[0].Kind != markup.Paragraph {
		return n
	}
	first := n.Children[0]
	if len(first.Children) == 0 || first.Children[0].Kind != markup.Mention || first.Children[0].URL != d.self.User {
		return n
	}
	rest := append([]markup.Node(nil), first.Children[1:]...)
	if len(rest) > 0 && rest[0].Kind == markup.Text {
		rest[0].Literal = strings.TrimLeft(rest[0].Literal, " \t\n,:\u00a0")
		if rest[0].Literal == "" {
			rest = rest[1:]
		}
	}
	out := n
	out.Children = append([]markup.Node(nil), n.Children...)
	if len(rest) == 0 {
		out.Children = out.Children[1:]
		return out
	}
	first.Children = rest
	out.Children[0] = first
	return out
}

// forwarded names whom a shared message is from.
func (m *message) forwarded() string {
	for _, a := range m.Attachments {
		if a.IsShare {
			if a.AuthorName != "" {
				return a.AuthorName
			}
			return "somebody"
		}
	}
	return ""
}

// written is a tree as the text of a message: as it was typed where there is
// nothing but text in it, else as CommonMark.
func written(n markup.Node) string {
	if text, ok := unformatted(n); ok {
		return text
	}
	return strings.TrimSpace(markup.CommonMark.Render(n))
}

// unformatted is the text of a tree that has no markup.
func unformatted(n markup.Node) (string, bool) {
	var b strings.Builder
	for i, p := range n.Children {
		if p.Kind != markup.Paragraph {
			return "", false
		}
		if i > 0 {
			b.WriteString("\n\n")
		}
		for _, c := range p.Children {
			switch c.Kind {
			case markup.Text:
				b.WriteString(c.Literal)
			case markup.Break:
				b.WriteByte('\n')
			default:
				return "", false
			}
		}
	}
	return strings.TrimSpace(b.String()), true
}
