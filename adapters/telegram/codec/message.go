package codec

import (
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// generalTopic is the id that some updates give to a forum's General topic,
// which has no thread when something is sent there.
const generalTopic = 1

// message decodes a new message, which may be a service message.
func (d *decoder) message(m *message) ([]channels.Event, error) {
	if m.Chat.ID == 0 || m.ID == 0 {
		return nil, ignored(IgnoredMalformed)
	}
	if events, err := d.service(m); events != nil || err != nil {
		return events, err
	}
	if m.AutoForward {
		return nil, ignored(IgnoredAutoForward)
	}
	if m.Chat.Type == "channel" {
		return nil, ignored(IgnoredChannelPost)
	}
	e, err := d.said(m, key("message", m.Chat.ID, m.ID), m.Date)
	if err != nil {
		return nil, err
	}
	files := m.files()
	if c, ok := d.command(m, files); ok {
		if c == nil {
			return nil, ignored(IgnoredOtherBot)
		}
		e.Content, e.Addressed = *c, true
		return []channels.Event{e}, nil
	}
	text, lossy := m.words()
	if text == "" && len(files) == 0 {
		return nil, ignored(IgnoredService)
	}
	e.Content = channels.Message{
		ID: messageID(m.ID), Text: text, Files: files, ReplyTo: d.quote(m),
		Group: m.AlbumID, Forwarded: m.Forward.from(),
	}
	if lossy {
		e.Raw = d.kept()
	}
	return []channels.Event{e}, nil
}

// edit decodes a changed message. The update's id is in the key because two
// edits can bear the same second.
func (d *decoder) edit(m *message) ([]channels.Event, error) {
	if m.Chat.ID == 0 || m.ID == 0 {
		return nil, ignored(IgnoredMalformed)
	}
	if m.Chat.Type == "channel" {
		return nil, ignored(IgnoredChannelPost)
	}
	if m.Location != nil && m.Location.LivePeriod > 0 {
		return nil, ignored(IgnoredLive)
	}
	date := m.EditDate
	if date == 0 {
		date = m.Date
	}
	e, err := d.said(m, key("edit", m.Chat.ID, m.ID, d.update), date)
	if err != nil {
		return nil, err
	}
	text, lossy := m.words()
	files := m.files()
	if text == "" && len(files) == 0 {
		return nil, ignored(IgnoredNoChange)
	}
	e.Content = channels.Edit{ID: messageID(m.ID), Text: text, Files: files}
	if lossy {
		e.Raw = d.kept()
	}
	return []channels.Event{e}, nil
}

// said fills in what a message and its edit share.
func (d *decoder) said(m *message, key string, date int64) (channels.Event, error) {
	who, err := d.sender(m.From, m.SenderChat)
	if err != nil {
		return channels.Event{}, err
	}
	e := d.event(m.Chat, key, date)
	e.Who = who
	e.Where.Thread = m.thread()
	e.Addressed = e.Addressed || d.addressed(m)
	return e, nil
}

// thread is the forum topic. A message_thread_id without is_topic_message is
// only the root of a chain of replies and cannot be sent to.
func (m *message) thread() channels.ThreadID {
	if !m.IsTopic || m.ThreadID == 0 || m.ThreadID == generalTopic {
		return ""
	}
	return channels.ThreadID(id(m.ThreadID))
}

// reply is the message that this one answers, or nil. In a topic every message
// that answers nothing bears the topic's own first message there.
func (m *message) reply() *message {
	r := m.ReplyTo
	if r == nil || r.ID == 0 || bool(r.TopicCreated) || (m.IsTopic && r.ID == m.ThreadID) {
		return nil
	}
	return r
}

// addressed reports whether the bot is meant in a room.
func (d *decoder) addressed(m *message) bool {
	if r := m.reply(); r != nil && r.SenderChat == nil && d.mine(r.From) {
		return true
	}
	if x := m.ExternalReply; x != nil && x.Origin != nil && d.mine(x.Origin.User) {
		return true
	}
	return d.mentioned(m.Text, m.Entities) || d.mentioned(m.Caption, m.CaptionEntities)
}

// mentioned looks for the bot's name among the entities, never in the text
// itself, so that a quoted "@bot" in code or in a longer name does not count.
func (d *decoder) mentioned(text string, entities []entity) bool {
	if len(entities) == 0 {
		return false
	}
	var at *index
	for i := range entities {
		e := &entities[i]
		switch e.Type {
		case "text_mention":
			if d.mine(e.User) {
				return true
			}
		case "mention":
			if at == nil {
				at = newIndex(text)
			}
			if d.named(strings.TrimPrefix(at.cut(e.Offset, e.Length), "@")) {
				return true
			}
		}
	}
	return false
}

func (d *decoder) named(name string) bool {
	return d.self.Username != "" && strings.EqualFold(name, d.self.Username)
}

// command reads a text that begins with "/", also after a mention of the bot.
// ok with a nil command means that it is for another bot. A text with files
// stays a message, or the files would be lost; so does a forwarded one, which
// its sender did not mean as an order.
func (d *decoder) command(m *message, files []channels.File) (c *channels.Command, ok bool) {
	if len(files) > 0 || m.Forward != nil {
		return nil, false
	}
	text := d.afterMention(m.Text)
	if !strings.HasPrefix(text, "/") {
		return nil, false
	}
	word, args := text[1:], ""
	if i := strings.IndexAny(word, " \t\r\n"); i >= 0 {
		word, args = word[:i], strings.TrimSpace(word[i:])
	}
	name, bot, to := strings.Cut(word, "@")
	if !commandName(name) {
		return nil, false
	}
	if to && !d.named(bot) {
		return nil, true
	}
	return &channels.Command{ID: messageID(m.ID), Name: strings.ToLower(name), Args: args}, true
}

// afterMention is the text without a leading mention of the bot, if a command
// follows it.
func (d *decoder) afterMention(text string) string {
	if !strings.HasPrefix(text, "@") {
		return text
	}
	first, rest, ok := strings.Cut(text[1:], " ")
	if !ok || !d.named(first) {
		return text
	}
	if rest = strings.TrimSpace(rest); strings.HasPrefix(rest, "/") {
		return rest
	}
	return text
}

func commandName(s string) bool {
	const longest = 64
	if s == "" || len(s) > longest {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// quote is what the message answers.
func (d *decoder) quote(m *message) *channels.Quote {
	var q channels.Quote
	switch r := m.reply(); {
	case r != nil:
		q.ID = messageID(r.ID)
		q.Who, _ = d.sender(r.From, r.SenderChat)
		q.Text, _ = r.words()
		if q.Text == "" {
			q.Text = describeFiles(r.files())
		}
	case m.ExternalReply != nil:
		x := m.ExternalReply
		q.Who = d.originSender(x.Origin)
		q.Text = x.describe()
		if q.Text == "" {
			q.Text = describeFiles(x.files())
		}
	default:
		return nil
	}
	if m.Quote != nil && m.Quote.Text != "" {
		q.Text = commonmark(m.Quote.Text, m.Quote.Entities)
	}
	return &q
}

func (d *decoder) originSender(o *origin) channels.Sender {
	switch {
	case o == nil:
		return channels.Sender{}
	case o.User != nil:
		return d.account(o.User)
	case o.SenderChat != nil:
		return o.SenderChat.sender()
	case o.Chat != nil:
		return o.Chat.sender()
	}
	return channels.Sender{Name: o.HiddenName}
}

// from names where a forward came from, "unknown" when Telegram does not say,
// and "" for a message that is no forward.
func (o *origin) from() string {
	if o == nil {
		return ""
	}
	name := o.HiddenName
	switch {
	case o.User != nil:
		name = joined(o.User.FirstName, o.User.LastName)
	case o.SenderChat != nil:
		name = o.SenderChat.name()
	case o.Chat != nil:
		name = o.Chat.name()
	}
	if name == "" {
		return "unknown"
	}
	return name
}
