package telegramtest

import (
	"slices"
	"strings"
	"time"
)

// Message names a message that a person wrote.
type Message struct {
	Chat   *Chat
	ID     int64
	Update int64 // id of the update that tells the bot, 0 when it is not told
	Thread int64
	Text   string // as the platform keeps it
}

// SayOption changes what a person writes.
type SayOption func(*saying)

type saying struct {
	replyTo  int64
	quote    string
	thread   int64
	from     *wireOrigin
	entities []Entity
	caption  string
	album    string
	at       time.Time
}

// ReplyTo makes it an answer to the message with that id.
func ReplyTo(id int64) SayOption { return func(o *saying) { o.replyTo = id } }

// Quoting makes it an answer that quotes a part of the message it answers.
func Quoting(part string) SayOption { return func(o *saying) { o.quote = part } }

// InTopic writes into a topic of a forum.
func InTopic(thread int64) SayOption { return func(o *saying) { o.thread = thread } }

// ForwardedFrom makes it a forward of something that u wrote.
func ForwardedFrom(u *User) SayOption {
	return func(o *saying) { o.from = &wireOrigin{Type: "user", Sender: u.profile()} }
}

// ForwardedFromHidden makes it a forward from somebody who hides the account.
func ForwardedFromHidden(name string) SayOption {
	return func(o *saying) { o.from = &wireOrigin{Type: "hidden_user", SenderName: name} }
}

// WithEntities marks the text as a person's app does: bold, links and so on.
// Mentions, commands and links in the text are found without it.
func WithEntities(list ...Entity) SayOption { return func(o *saying) { o.entities = list } }

// WithCaption adds a text to a file.
func WithCaption(text string) SayOption { return func(o *saying) { o.caption = text } }

// SentAt sets the date of the message.
func SentAt(at time.Time) SayOption { return func(o *saying) { o.at = at } }

// Say writes a message as u. The text is trimmed and marked as the person's app
// would do it; it is not cut at 4096 characters, see Paste.
func (c *Chat) Say(u *User, text string, opts ...SayOption) Message {
	o := sayingOf(opts)
	s := c.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	f := clean(formatted{text: text, entities: slices.Clone(o.entities)})
	m := c.write(u, o)
	m.Text, m.Entities = f.text, f.entities
	return c.post(m)
}

// Start presses the start button of the bot's page, with the payload of a
// t.me/bot?start=payload link, "" for none.
func (c *Chat) Start(u *User, payload string) Message {
	return c.Say(u, strings.TrimSpace("/start "+payload))
}

// Paste writes a long text as apps do: cut into messages of 4096 UTF-16 code
// units.
func (c *Chat) Paste(u *User, text string, opts ...SayOption) []Message {
	var out []Message
	for text != "" {
		n := byteOffset(text, maxText)
		out = append(out, c.Say(u, text[:n], opts...))
		text = text[n:]
	}
	return out
}

func sayingOf(opts []SayOption) *saying {
	o := &saying{}
	for _, set := range opts {
		set(o)
	}
	return o
}

// write makes a message of u without content.
func (c *Chat) write(u *User, o *saying) *stored {
	at := o.at
	if at.IsZero() {
		at = c.srv.now()
	}
	m := &stored{wireMessage: &wireMessage{From: u.profile(), Chat: c.wire(), Date: at.Unix()}}
	m.AlbumID = o.album
	c.setThread(m.wireMessage, o.thread)
	if replied, ok := c.messages[o.replyTo]; ok {
		m.ReplyTo = replied.quoted()
		if replied.IsTopicMessage && o.thread == 0 {
			m.ThreadID, m.IsTopicMessage = replied.ThreadID, true
		}
		if o.quote != "" {
			before, _, _ := strings.Cut(replied.Text+replied.Caption, o.quote)
			m.Quote = &wireQuote{Text: o.quote, Position: utf16Len(before), IsManual: true}
		}
	}
	if o.from != nil {
		origin := *o.from
		origin.Date = m.Date
		m.ForwardOrigin, m.ForwardFrom, m.ForwardSenderName = &origin, origin.Sender, origin.SenderName
		m.ForwardDate = m.Date
	}
	if c.person == nil && c.members[u.ID] == "" {
		c.members[u.ID] = "member"
	}
	return m
}

// post stores a person's message and tells the bot when it may see it.
func (c *Chat) post(m *stored) Message {
	seen := c.shown(m)
	c.add(m)
	out := Message{Chat: c, ID: m.ID, Thread: m.ThreadID, Text: m.Text + m.Caption}
	if seen {
		out.Update = c.srv.push("message", m.wireMessage, c.id, updateLife)
	}
	return out
}

// Edit changes the text of a person's message, or the caption of one with files.
func (c *Chat) Edit(m Message, text string, entities ...Entity) int64 {
	s := c.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := c.messages[m.ID]
	if !ok {
		return 0
	}
	f := clean(formatted{text: text, entities: entities})
	w := *old.wireMessage
	if len(old.files) > 0 {
		w.Caption, w.CaptionEntities = f.text, f.entities
	} else {
		w.Text, w.Entities = f.text, f.entities
	}
	w.EditDate = s.now().Unix()
	old.wireMessage = &w
	if !c.shown(old) {
		return 0
	}
	return s.push("edited_message", &w, c.id, updateLife)
}

// Delete removes a message as a person does. The Bot API does not tell bots.
func (c *Chat) Delete(id int64) {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	c.drop(id)
}
