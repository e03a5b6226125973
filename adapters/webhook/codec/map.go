package codec

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Mapping makes an event of a request.
type Mapping struct {
	Message      Template
	Conversation Template
	Thread       Template
	Sender       Template // an immutable id
	SenderName   Template
	Key          Template
	When         []When // all of them must hold
	// Trusted: whoever sends is the author of what is in it. Otherwise it passes
	// on what others wrote, and the text is marked so.
	Trusted bool
}

// When lets only those requests through for which a template gives one of some
// texts.
type When struct {
	Name string // as the configuration writes the template
	Test Template
	Is   []string
}

// Outcome is what a request comes to.
type Outcome struct {
	Event     channels.Event
	Ignored   string // why there is none; "": there is one
	Challenge string // what the platform wants to read instead; there is no event
}

// At is where and as what an event comes in.
type At struct {
	Channel channels.ID
	Account channels.AccountID
	Key     string // where the mapping gives none
	Time    time.Time
}

// Sizes of what a request may say, in bytes.
const (
	maxID   = 200
	maxName = 200
)

// Event applies the mapping. The same request gives the same event.
func (m Mapping) Event(r Request, at At) Outcome {
	for _, w := range m.When {
		if got := w.Test.Fill(r); !slices.Contains(w.Is, got) {
			return Outcome{Ignored: "'when' wants " + strings.Join(w.Is, " or ") + " for " + w.Name}
		}
	}
	text := strings.TrimSpace(clean(m.Message.Fill(r)))
	if text == "" {
		return Outcome{Ignored: "the message is empty"}
	}
	key := id(m.Key.Fill(r))
	if key == "" {
		key = id(at.Key)
	}
	who := channels.Sender{ID: id(m.Sender.Fill(r)), Name: short(clean(m.SenderName.Fill(r)))}
	where := channels.Address{
		Channel: at.Channel, Account: at.Account, Conversation: channels.ConversationID(id(m.Conversation.Fill(r))),
		Thread: channels.ThreadID(id(m.Thread.Fill(r))),
	}
	switch "" {
	case string(where.Conversation):
		return Outcome{Ignored: "there is no conversation"}
	case who.ID:
		return Outcome{Ignored: "there is no sender"}
	}
	return Outcome{Event: channels.Event{
		Key: key, At: at.Time, Account: at.Account, Where: where, Room: channels.Room{Direct: true}, Who: who, Addressed: true,
		Content: m.content(key, text, who),
	}}
}

// content is a message; or a command, if the text is its sender's own.
func (m Mapping) content(key, text string, who channels.Sender) channels.Content {
	msg := channels.Message{ID: channels.MessageID(key), Text: text}
	if !m.Trusted {
		msg.Forwarded = who.ID
		if who.Name != "" {
			msg.Forwarded = who.Name
		}
		return msg
	}
	name, ok := strings.CutPrefix(text, "/")
	if !ok {
		return msg
	}
	name, args, _ := strings.Cut(name, " ")
	if name == "" || strings.ContainsAny(name, "/\n\t.:") {
		return msg
	}
	return channels.Command{ID: msg.ID, Name: strings.ToLower(name), Args: strings.TrimSpace(args)}
}

// clean takes out what cannot be kept.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "�"), "\x00", "")
}

// id makes an id of a text: one that is too long, or cannot be kept as it is,
// is replaced by its hash, so that different ones stay different.
func id(s string) string {
	s = strings.TrimSpace(s)
	if len(s) <= maxID && utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return s
	}
	return Hash([]byte(s))
}

// Hash names some bytes.
func Hash(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = h.Write(p)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

func short(s string) string {
	if len(s) <= maxName {
		return s
	}
	return strings.ToValidUTF8(s[:maxName], "") + "…"
}
