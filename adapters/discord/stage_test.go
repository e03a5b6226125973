package discord_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/discordtest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

// tokenRef is the reference under which the bot's token is stored.
const tokenRef = "secret://bot"

// stage is the emulated platform with two people, a room and a thread on it.
type stage struct {
	t      testing.TB
	srv    *discordtest.Server
	alice  *discordtest.User
	bob    *discordtest.User
	guild  *discordtest.Guild
	room   *discordtest.Channel
	thread *discordtest.Channel
}

func newStage(t testing.TB, opts ...discordtest.Option) *stage {
	t.Helper()
	srv, err := discordtest.Start(opts...)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, srv: srv, alice: srv.User("Alice A"), bob: srv.User("Bob")}
	s.guild = srv.Guild("Engineering")
	s.room = s.guild.Text("engine-room")
	s.thread = s.room.Thread(s.alice, "Boilers")
	return s
}

func (s *stage) config(extra ...any) json.RawMessage {
	cfg := map[string]any{"base_url": s.srv.URL(), "token": tokenRef}
	for i := 0; i+1 < len(extra); i += 2 {
		cfg[extra[i].(string)] = extra[i+1]
	}
	b, err := json.Marshal(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *stage) host() []channeltest.HostOption {
	return []channeltest.HostOption{channeltest.WithSecret(tokenRef, s.srv.Token())}
}

func (s *stage) harness() *channeltest.Harness {
	return &channeltest.Harness{
		Config: s.config(), Host: s.host(),
		Say: s.say, Acked: func(id channels.MessageID) bool { return s.srv.Acked(string(id)) }, Shown: s.shown,
		Rooms: true, Threads: true, Joins: true,
		Again:  func(id channels.MessageID) { s.srv.Again(string(id)) },
		Edit:   func(id channels.MessageID, text string) { s.of(id).Edit(string(id), text) },
		Delete: func(id channels.MessageID) { s.of(id).Delete(string(id)) },
		React:  func(id channels.MessageID, emoji string) { s.of(id).React(s.alice, string(id), emoji) },
		Press:  func(id channels.MessageID, label string) { s.of(id).Press(s.alice, string(id), label) },
		Drop:   s.srv.Drop, Down: s.down, Revoke: s.srv.Revoke, Stall: s.srv.Stall,
		Fail: s.fail,
		Faults: []channeltest.Fault{
			channeltest.Throttled, channeltest.LostAnswer, channeltest.ShutOut, channeltest.Refused,
		},
		Reacted: s.reacted,
		Typed:   func(at channels.Address) int { return s.place(at).Typed() },
		Commands: func() (out []channels.CommandSpec) {
			for _, c := range s.srv.Commands() {
				out = append(out, channels.CommandSpec{Name: c.Name, Help: c.Description})
			}
			return out
		},
		Close: s.srv.Close,
	}
}

// lacks is what Discord does not have: it takes every markup, ends a press by
// the interaction's own acknowledgement, and cannot be asked for a nonce.
func lacks() []channeltest.Ability {
	return []channeltest.Ability{
		channeltest.BadFormats, channeltest.Unavailables, channeltest.Answering, channeltest.Reconciling,
	}
}

func (s *stage) down() (up func()) {
	s.srv.Down()
	return func() {
		if err := s.srv.Up(); err != nil {
			s.t.Error(err)
		}
	}
}

func (s *stage) say(x channeltest.Said) channels.MessageID {
	u := s.alice
	if x.By == channeltest.Bob {
		u = s.bob
	}
	at := s.srv.DM(u)
	switch x.In {
	case channeltest.Room:
		at = s.room
	case channeltest.Thread:
		at = s.thread
	case channeltest.Direct:
	}
	text := x.Text
	if x.Mention {
		text = "<@" + s.srv.Bot().ID + "> " + text
	}
	var opts []discordtest.SayOption
	if x.ReplyTo != "" {
		opts = append(opts, discordtest.ReplyTo(string(x.ReplyTo)))
	}
	for _, f := range x.Files {
		opts = append(opts, discordtest.With(discordtest.File{Name: f.Name, MIME: f.MIME, Body: f.Body}))
	}
	return channels.MessageID(at.Say(u, text, opts...).ID)
}

// of is the channel that a message stands in.
func (s *stage) of(id channels.MessageID) *discordtest.Channel {
	for _, c := range []*discordtest.Channel{s.srv.DM(s.alice), s.srv.DM(s.bob), s.room, s.thread} {
		for _, m := range c.Transcript() {
			if m.ID == string(id) {
				return c
			}
		}
	}
	s.t.Fatalf("there is no message %s", id)
	return nil
}

func (s *stage) place(at channels.Address) *discordtest.Channel {
	id := string(at.Thread)
	if id == "" {
		id = string(at.Conversation)
	}
	c := s.srv.Channel(id)
	if c == nil {
		s.t.Fatalf("there is no channel %s", id)
	}
	return c
}

func (s *stage) shown(at channels.Address) (out []channeltest.Shown) {
	for _, m := range s.place(at).Transcript() {
		if m.Author != s.srv.Bot() {
			continue
		}
		x := channeltest.Shown{
			ID: channels.MessageID(m.ID), Native: m.Content, Text: discordtest.Read(m.Content),
			ReplyTo: channels.MessageID(m.ReplyTo), Edits: m.Edits,
		}
		for _, f := range m.Files {
			x.Files = append(x.Files, channeltest.Upload{Kind: channels.Document, Name: f.Name, MIME: f.MIME, Body: f.Body})
		}
		for _, b := range m.Buttons {
			x.Buttons = append(x.Buttons, channels.Button{Label: b.Label, Data: b.ID, URL: b.URL})
		}
		out = append(out, x)
	}
	return out
}

func (s *stage) reacted(at channels.Address, id channels.MessageID) string {
	var mine []string
	for _, m := range s.place(at).Transcript() {
		if m.ID != string(id) {
			continue
		}
		for emoji, who := range m.Reactions {
			if strings.Contains(strings.Join(who, " "), s.srv.Bot().ID) {
				mine = append(mine, emoji)
			}
		}
	}
	return strings.Join(mine, "")
}

func (s *stage) fail(f channeltest.Fault, wait time.Duration) {
	faults := map[channeltest.Fault]discordtest.Fault{
		channeltest.Throttled:  discordtest.Limited(wait, false),
		channeltest.LostAnswer: discordtest.Reset().After(),
		channeltest.ShutOut:    discordtest.Status(403, 50007),
		channeltest.Refused:    discordtest.Status(400, 50035),
	}
	s.srv.Fail("POST messages", faults[f])
}
