//go:build !nowhatsapp

package whatsapp_test

import (
	"flag"
	"runtime"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/types"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/whatsapptest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

var update = flag.Bool("update", false, "write the goldens anew")

func TestConformance(t *testing.T) {
	channeltest.Run(t, channeltest.Suite{
		Driver: whatsapp.Driver{},
		New:    func(t testing.TB, _ string) *channeltest.Harness { return newStage(t).harness(t) },
		Lacks: []channeltest.Ability{
			channeltest.Threads, channeltest.JoinedThreads, // WhatsApp has none
			channeltest.Presses, channeltest.Buttons, channeltest.Answering, // not for personal accounts
			channeltest.CommandMenu, channeltest.Albums,
			channeltest.Secrets,                           // the device's keys are its own; see TestNothingReadableAtRest
			channeltest.Throttles, channeltest.BadFormats, // refusals name no wait, and markup is never refused
		},
		Update: *update,
	})
}

func (s *stage) harness(t testing.TB) *channeltest.Harness {
	chat := func(in channels.Address) types.JID {
		id, err := types.ParseJID(string(in.Conversation))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	return &channeltest.Harness{
		Config: s.config(),
		Host:   []channeltest.HostOption{s.once()},
		Say:    s.say,
		Acked:  func(id channels.MessageID) bool { return s.wa.Acked(stanza(id)) },
		Shown:  func(at channels.Address) []channeltest.Shown { return s.shown(chat(at)) },
		Rooms:  true,
		Again:  func(id channels.MessageID) { s.wa.Again(stanza(id)) },
		Edit:   func(id channels.MessageID, text string) { s.wa.Edit(stanza(id), text) },
		Delete: func(id channels.MessageID) { s.wa.Delete(stanza(id)) },
		React: func(id channels.MessageID, emoji string) {
			s.wa.React(s.people[channeltest.Alice], stanza(id), emoji)
		},
		Drop:   s.wa.Drop,
		Down:   s.wa.Down,
		Revoke: s.wa.Unlink,
		Stall:  s.wa.Stall,
		Fail:   s.failNext,
		Faults: []channeltest.Fault{channeltest.Unavailable, channeltest.LostAnswer, channeltest.ShutOut, channeltest.Refused},
		Reacted: func(_ channels.Address, id channels.MessageID) string {
			m, err := s.wa.Find(stanza(id))
			if err != nil {
				t.Error(err)
			}
			return m.Reacted[""]
		},
		Typed: func(at channels.Address) int { return s.typed(chat(at)) },
		Close: s.wa.Close,
	}
}

// typed waits a little: nobody confirms that composing was seen.
func (s *stage) typed(chat types.JID) int {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && s.wa.Typed(chat) == 0; {
		runtime.Gosched()
	}
	return s.wa.Typed(chat)
}

func (s *stage) failNext(f channeltest.Fault, _ time.Duration) {
	switch f {
	case channeltest.Unavailable:
		s.wa.Refuse(503)
	case channeltest.LostAnswer:
		s.wa.LoseAnswer()
	case channeltest.ShutOut:
		s.wa.Refuse(403)
	case channeltest.Refused:
		s.wa.Refuse(479)
	case channeltest.Throttled, channeltest.BadFormat:
	}
}

func (s *stage) say(x channeltest.Said) channels.MessageID {
	by := s.people[channeltest.Alice]
	if x.By != "" {
		by = s.people[x.By]
	}
	at := by.PN
	if x.In == channeltest.Room {
		at = s.room.JID
	}
	var opts []whatsapptest.SayOption
	if x.Mention {
		opts = append(opts, whatsapptest.WithMention())
	}
	if x.ReplyTo != "" {
		opts = append(opts, whatsapptest.WithQuote(stanza(x.ReplyTo)))
	}
	for _, f := range x.Files {
		opts = append(opts, whatsapptest.WithFile(whatsapptest.File{Kind: kinds()[f.Kind], Name: f.Name, MIME: f.MIME, Body: f.Body}))
	}
	m, err := s.wa.Find(s.wa.Say(by, at, x.Text, opts...))
	if err != nil {
		panic(err)
	}
	return s.ref(m)
}

func kinds() map[channels.FileKind]string {
	return map[channels.FileKind]string{
		channels.Photo: "image", channels.Video: "video", channels.Audio: "audio",
		channels.Voice: "ptt", channels.Document: "document", channels.Sticker: "sticker",
	}
}

func (s *stage) shown(chat types.JID) []channeltest.Shown {
	var out []channeltest.Shown
	for _, m := range s.wa.Messages(chat) {
		if m.From != nil {
			continue
		}
		x := channeltest.Shown{ID: s.ref(m), Native: m.Text, Text: m.Text, Edits: m.Edits}
		if quoted, err := s.wa.Find(m.ReplyTo); err == nil {
			x.ReplyTo = s.ref(quoted)
		}
		if m.File != nil {
			x.Files = []channeltest.Upload{{Name: m.File.Name, MIME: m.File.MIME, Body: m.File.Body}}
		}
		out = append(out, x)
	}
	return out
}
