//go:build !nowhatsapp

package whatsapptest

import (
	"errors"
	"fmt"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// SayOption changes what a person says.
type SayOption func(*saying)

type saying struct {
	mention bool
	quote   string
	file    *File
	forward bool
}

// WithMention mentions the owner, as whom the device speaks.
func WithMention() SayOption { return func(s *saying) { s.mention = true } }

// WithQuote quotes an earlier message.
func WithQuote(id string) SayOption { return func(s *saying) { s.quote = id } }

// WithFile attaches a file; the text is its caption.
func WithFile(f File) SayOption { return func(s *saying) { s.file = &f } }

// WithForward marks the message as forwarded.
func WithForward() SayOption { return func(s *saying) { s.forward = true } }

// Self is the owner's chat with himself.
func (s *Server) Self() types.JID { return s.owner.PN }

// Say lets a person say something in a chat: a group, or the chat with somebody,
// named by the other side. It returns the message's id.
func (s *Server) Say(from *Person, chat types.JID, text string, opts ...SayOption) string {
	var o saying
	for _, set := range opts {
		set(&o)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.compose(text, o)
	x := &Message{
		ID: s.id(), Chat: s.chat(chat), From: from, Text: text, ReplyTo: o.quote, File: o.file,
		Reacted: map[string]string{}, body: m,
	}
	s.messages = append(s.messages, x)
	s.must(s.deliver(from, x.Chat, x.ID, m, nil))
	return x.ID
}

// must panics when the emulator cannot do what a test asks of it.
func (s *Server) must(err error) {
	if err != nil {
		panic("whatsapptest: " + err.Error())
	}
}

func (s *Server) compose(text string, o saying) *waE2E.Message {
	c := &waE2E.ContextInfo{}
	plain := true
	if o.mention {
		plain = false
		c.MentionedJID = []string{s.owner.LID.String()}
		text = "@" + s.owner.LID.User + " " + text
	}
	if old := s.find(types.JID{}, o.quote); o.quote != "" && old != nil {
		plain = false
		by := s.owner
		if old.From != nil {
			by = old.From
		}
		c.StanzaID, c.Participant, c.QuotedMessage = proto.String(o.quote), proto.String(by.LID.String()), old.body
	}
	if o.forward {
		plain = false
		c.IsForwarded = proto.Bool(true)
	}
	if o.file != nil {
		f, err := s.store(*o.file, text)
		s.must(err)
		return f.message(c)
	}
	if plain {
		return &waE2E.Message{Conversation: proto.String(text)}
	}
	return &waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: proto.String(text), ContextInfo: c}}
}

// Send lets a person send any message, for what Say has no words for.
func (s *Server) Send(from *Person, chat types.JID, m *waE2E.Message) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.id()
	s.must(s.deliver(from, s.chat(chat), id, m, nil))
	return id
}

// Again delivers a message once more, encrypted anew.
func (s *Server) Again(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.find(types.JID{}, id)
	s.must(s.deliver(m.From, m.Chat, id, m.body, nil))
}

// Edit changes a message, as its author does.
func (s *Server) Edit(id, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.find(types.JID{}, id)
	m.Text = text
	m.Edits++
	s.must(s.deliver(m.From, m.Chat, s.id(), &waE2E.Message{EditedMessage: &waE2E.FutureProofMessage{Message: &waE2E.Message{
		ProtocolMessage: &waE2E.ProtocolMessage{
			Key: s.key(m, m.From), Type: waE2E.ProtocolMessage_MESSAGE_EDIT.Enum(),
			EditedMessage: &waE2E.Message{Conversation: proto.String(text)}, TimestampMS: proto.Int64(time.Now().UnixMilli()),
		},
	}}}, waBinary.Attrs{"edit": "1"}))
}

// Delete removes a message for everybody, as its author does.
func (s *Server) Delete(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.find(types.JID{}, id)
	m.Deleted = true
	s.must(s.deliver(m.From, m.Chat, s.id(), &waE2E.Message{
		ProtocolMessage: &waE2E.ProtocolMessage{Key: s.key(m, m.From), Type: waE2E.ProtocolMessage_REVOKE.Enum()},
	}, waBinary.Attrs{"edit": "7"}))
}

// React puts a person's reaction on a message; an empty emoji removes it.
func (s *Server) React(by *Person, id, emoji string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.find(types.JID{}, id)
	m.Reacted[by.Name] = emoji
	s.must(s.deliver(by, m.Chat, s.id(), &waE2E.Message{ReactionMessage: &waE2E.ReactionMessage{
		Key: s.key(m, by), Text: proto.String(emoji), SenderTimestampMS: proto.Int64(time.Now().UnixMilli()),
	}}, waBinary.Attrs{"type": "reaction"}))
}

// key names a message as somebody's phone does.
func (s *Server) key(m *Message, by *Person) *waCommon.MessageKey {
	author := m.From
	if author == nil {
		author = s.owner
	}
	k := &waCommon.MessageKey{ID: proto.String(m.ID), FromMe: proto.Bool(author == by), RemoteJID: proto.String(m.Chat.String())}
	if m.Chat.Server == types.GroupServer {
		k.Participant = proto.String(author.LID.String())
	}
	return k
}

// Messages are those of a chat that are not deleted, oldest first.
func (s *Server) Messages(chat types.JID) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Message
	for _, m := range s.messages {
		if m.Chat == s.chat(chat) && !m.Deleted {
			c := *m
			c.Reacted = map[string]string{}
			for k, v := range m.Reacted {
				c.Reacted[k] = v
			}
			out = append(out, c)
		}
	}
	return out
}

// Acked reports whether the linked device has acknowledged a message.
func (s *Server) Acked(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.device == nil {
		return false
	}
	for _, p := range s.device.queue {
		if p.id == id && !p.done {
			return false
		}
	}
	return true
}

// Read reports whether the device has marked a message as read.
func (s *Server) Read(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read[id]
}

// Online reports whether the device shows the account as online.
func (s *Server) Online() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.online
}

// Typed is how often the device was seen composing in a chat.
func (s *Server) Typed(chat types.JID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.typed[s.chat(chat)]
}

// Linked reports whether a device is linked, and Logins how often it logged in.
func (s *Server) Linked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.device != nil
}

// Logins is how often the linked device has logged in.
func (s *Server) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.device == nil {
		return 0
	}
	return s.device.logins
}

// Drop cuts every connection, and the next one where there is none.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wires) == 0 {
		s.dropNext = true
	}
	for w := range s.wires {
		w.cut()
	}
}

// Outage is a way in which the platform fails.
type Outage string

// The outages. None ends one.
const (
	None        Outage = ""
	Unavailable Outage = "unavailable" // 503 to everything
	Throttled   Outage = "throttled"   // 429 to everything
	Hung        Outage = "hung"        // no answer to anything
	HalfOpen    Outage = "half open"   // connections stand, and nothing comes any more
	Malformed   Outage = "malformed"   // frames that nobody can read
)

// Fail begins an outage, and ends the connections that it would not hold up.
func (s *Server) Fail(o Outage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage = o
	for w := range s.wires {
		switch o {
		case None:
		case HalfOpen:
			w.hang()
		case Malformed:
			w.junk()
		case Unavailable, Throttled, Hung:
			w.cut()
		}
	}
}

// Down refuses everything until up is called.
func (s *Server) Down() (up func()) {
	s.Fail(Unavailable)
	return func() { s.Fail(None) }
}

// Refuse lets the next messages of the device be refused with these codes.
func (s *Server) Refuse(codes ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range codes {
		s.answers = append(s.answers, answer{code: c})
	}
}

// LoseAnswer takes the next message of the device and ends the connection
// instead of saying so.
func (s *Server) LoseAnswer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = append(s.answers, answer{lose: true})
}

// Stall takes the next message of the device and says so when release is called.
func (s *Server) Stall() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(chan struct{})
	s.stalled = c
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.stalled == c || s.released == c {
			s.stalled, s.released = nil, nil
			close(c)
		}
	}
}

// Remove takes the owner out of a group.
func (s *Server) Remove(g *Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.without = true
}

// Find is a message by its id.
func (s *Server) Find(id string) (Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.find(types.JID{}, id); m != nil {
		return *m, nil
	}
	return Message{}, errors.Join(fmt.Errorf("there is no message %q", id))
}
