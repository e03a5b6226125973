package codec

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Self is the number that the channel speaks for.
type Self struct {
	Channel channels.ID
	Number  string // the phone number's id, which is the account
}

// Update is what a webhook says.
type Update struct {
	Events  []channels.Event
	Ignored []string // why something of it is no event
	Failed  []Failure
	Numbers map[string]string `json:",omitempty"` // of people whose number and id of Meta's making were both told, by id
}

// Failure is a message that was taken and could not be delivered after all.
type Failure struct {
	ID   channels.MessageID
	Code int
	Why  string // by the platform's title
}

var (
	errJSON   = errors.New("the body is no JSON")
	errObject = errors.New("the webhook is not about WhatsApp")
)

// Decode reads a webhook: any number of entries, each with any number of
// changes, messages and statuses. What it does not know it names and leaves out.
func Decode(body []byte, self Self) (Update, error) {
	var w webhook
	if err := json.Unmarshal(body, &w); err != nil {
		return Update{}, errJSON
	}
	if w.Object != "whatsapp_business_account" {
		return Update{}, errObject
	}
	var u Update
	for _, e := range w.Entry {
		for _, c := range e.Changes {
			if c.Field != "messages" {
				u.ignore("a change of %s", c.Field)
				continue
			}
			var v value
			if json.Unmarshal(c.Value, &v) != nil {
				u.ignore("a change that cannot be read")
				continue
			}
			u.take(v, self)
		}
	}
	return u, nil
}

func (u *Update) ignore(format string, args ...any) {
	u.Ignored = append(u.Ignored, fmt.Sprintf(format, args...))
}

func (u *Update) take(v value, self Self) {
	if v.Metadata.ID != self.Number {
		u.ignore("something for another number of the same app")
		return
	}
	people := map[string]contact{}
	for _, c := range v.Contacts {
		people[u.person(c.ID, c.Scoped)] = c
	}
	for _, raw := range v.Messages {
		var m message
		if json.Unmarshal(raw, &m) != nil {
			u.ignore("a message that cannot be read")
			continue
		}
		m.From = u.person(m.From, m.Scoped)
		if m.From == "" && len(v.Contacts) == 1 { // the message itself need not say it
			m.From = u.person(v.Contacts[0].ID, v.Contacts[0].Scoped)
		}
		u.message(m, raw, people[m.From], v.Metadata.Display, self)
	}
	for _, s := range v.Statuses {
		u.status(s, self)
	}
}

// usable reports whether an id can be kept.
func usable(id string) bool {
	return id != "" && len(id) <= 512 && utf8.ValidString(id) && !strings.ContainsRune(id, 0)
}

func seconds(text string) time.Time {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || n > 1<<40 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

func (u *Update) message(m message, raw json.RawMessage, who contact, display string, self Self) {
	if !usable(m.ID) || !usable(m.From) {
		u.ignore("a message without an id")
		return
	}
	if m.GroupID != "" {
		u.ignore("a message of a group")
		return
	}
	content, why := m.content(display)
	if content == nil {
		u.ignore("%s", why)
		return
	}
	at := channels.AccountID(self.Number)
	u.Events = append(u.Events, channels.Event{
		Key: m.ID, At: seconds(m.Timestamp), Account: at,
		Where: channels.Address{Channel: self.Channel, Account: at, Conversation: channels.ConversationID(m.From)},
		Room:  channels.Room{Direct: true}, Addressed: true,
		Who:     channels.Sender{ID: m.From, Name: strings.ToValidUTF8(who.Profile.Name, ""), Handle: strings.ToValidUTF8(who.Profile.Username, "")},
		Content: content, Raw: raw,
	})
}

// status makes a receipt. It is the channel's own: nobody said anything.
func (u *Update) status(s status, self Self) {
	s.Recipient = u.person(s.Recipient, s.Scoped)
	if !usable(s.ID) || !usable(s.Recipient) {
		u.ignore("a status without an id")
		return
	}
	why := ""
	switch s.Status {
	case "delivered", "read":
	case channels.StatusFailed:
		f := Failure{ID: channels.MessageID(s.ID), Why: "for a reason that is not given"}
		if len(s.Errors) > 0 {
			f.Code, f.Why = s.Errors[0].Code, s.Errors[0].Title
		}
		why = fmt.Sprintf("%d %s", f.Code, f.Why)
		if m, ok := meanings[f.Code]; ok {
			why += ": " + m.fix
		}
		u.Failed = append(u.Failed, f)
	default:
		u.ignore("status %s", s.Status)
		return
	}
	at := channels.AccountID(self.Number)
	u.Events = append(u.Events, channels.Event{
		Key: s.ID + "/" + s.Status, At: seconds(s.Timestamp), Account: at,
		Where: channels.Address{Channel: self.Channel, Account: at, Conversation: channels.ConversationID(s.Recipient)},
		Room:  channels.Room{Direct: true}, Addressed: true,
		Who:     channels.Sender{ID: self.Number, Self: true},
		Content: channels.Status{ID: channels.MessageID(s.ID), State: s.Status, Why: why},
	})
}

// content is what a message says; nil and the reason for one that says nothing.
func (m message) content(display string) (content channels.Content, ignored string) {
	switch m.Type {
	case "reaction":
		return m.reaction()
	case "interactive":
		return m.press()
	case "button":
		if m.Button == nil || m.Context == nil {
			return nil, "a press that names no button"
		}
		return channels.Press{ID: channels.MessageID(m.Context.ID), Data: m.Button.Payload, Query: m.ID}, ""
	case "system", "request_welcome", "ephemeral":
		return nil, "a message of the system: " + m.Type
	}
	msg := channels.Message{ID: channels.MessageID(m.ID), Text: m.words()}
	if f, ok := m.file(); ok {
		msg.Files = []channels.File{f}
	}
	if msg.Text == "" && len(msg.Files) == 0 {
		msg.Text = "[a message of a kind that WhatsApp does not pass on to bots]"
	}
	if c := m.Context; c != nil {
		if c.Forwarded || c.Frequently {
			msg.Forwarded = "somebody on WhatsApp"
		}
		if usable(c.ID) {
			msg.ReplyTo = &channels.Quote{ID: channels.MessageID(c.ID), Who: channels.Sender{ID: cmp.Or(c.From, c.Scoped), Self: c.From != "" && c.From == digits(display)}}
		}
	}
	if name, args, ok := command(msg); ok {
		return channels.Command{ID: msg.ID, Name: name, Args: args}, ""
	}
	return msg, ""
}

// digits is a phone number as WhatsApp's ids have it.
func digits(number string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, number)
}

// command reads a text that begins with a slash.
func command(m channels.Message) (name, args string, ok bool) {
	rest, ok := strings.CutPrefix(m.Text, "/")
	if !ok || len(m.Files) > 0 || m.Forwarded != "" {
		return "", "", false
	}
	name, args, _ = strings.Cut(rest, " ")
	if name == "" || len(name) > 32 || strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		return "", "", false
	}
	return strings.ToLower(name), strings.TrimSpace(args), true
}

func (m message) reaction() (channels.Content, string) {
	if m.Reaction == nil || !usable(m.Reaction.MessageID) {
		return nil, "a reaction to nothing"
	}
	r := channels.Reaction{ID: channels.MessageID(m.Reaction.MessageID)}
	if m.Reaction.Emoji != "" { // else it was taken back; which one, the platform does not say
		r.Added = []string{m.Reaction.Emoji}
	}
	return r, ""
}

func (m message) press() (channels.Content, string) {
	if m.Interactive == nil || m.Context == nil {
		return nil, "a press that names no message"
	}
	c := m.Interactive.Button
	if c == nil {
		c = m.Interactive.List
	}
	if c == nil {
		return nil, "an answer to " + m.Interactive.Type
	}
	return channels.Press{ID: channels.MessageID(m.Context.ID), Data: c.ID, Query: m.ID}, ""
}

// words are a message's text, or what stands in the place of one.
func (m message) words() string {
	switch {
	case m.Type == "text":
		return m.Text.Body
	case m.Type == "location" && m.Location != nil:
		place := strings.TrimSpace(strings.Join([]string{m.Location.Name, m.Location.Address}, " "))
		return strings.TrimSpace(fmt.Sprintf("[location: %s %s, %s]", place, m.Location.Latitude, m.Location.Longitude))
	case m.Type == "contacts":
		var lines []string
		for _, c := range m.Contacts {
			line := "[contact: " + c.Name.Formatted
			for _, p := range c.Phones {
				line += " " + p.Phone
			}
			lines = append(lines, line+"]")
		}
		return strings.Join(lines, "\n")
	}
	for _, f := range []*media{m.Image, m.Video, m.Document} {
		if f != nil {
			return f.Caption
		}
	}
	return ""
}

// file is a message's attachment.
func (m message) file() (channels.File, bool) {
	for _, x := range []struct {
		m    *media
		kind channels.FileKind
	}{
		{m.Image, channels.Photo},
		{m.Video, channels.Video},
		{m.Audio, channels.Audio},
		{m.Document, channels.Document},
		{m.Sticker, channels.Sticker},
	} {
		if x.m == nil || !usable(x.m.ID) {
			continue
		}
		if x.m.Voice {
			x.kind = channels.Voice
		}
		return channels.File{Kind: x.kind, Name: x.m.Filename, MIME: x.m.MIME, Ref: x.m.ID}, true
	}
	return channels.File{}, false
}
