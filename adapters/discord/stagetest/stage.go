// Package stagetest sets up the emulated platform for the conformance suite: a
// server with a room and a thread, and two people. The native adapter and the
// guest are held to the suite on the same stage.
package stagetest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/discordtest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

// TokenRef is the reference under which the bot's token is stored.
const TokenRef = "secret://bot"

// Stage is the emulated platform with two people, a room and a thread on it.
type Stage struct {
	t      testing.TB
	Srv    *discordtest.Server
	Alice  *discordtest.User
	Bob    *discordtest.User
	Guild  *discordtest.Guild
	Room   *discordtest.Channel
	Thread *discordtest.Channel
}

// New starts the platform.
func New(t testing.TB, opts ...discordtest.Option) *Stage {
	t.Helper()
	srv, err := discordtest.Start(opts...)
	if err != nil {
		t.Fatal(err)
	}
	s := &Stage{t: t, Srv: srv, Alice: srv.User("Alice A"), Bob: srv.User("Bob")}
	s.Guild = srv.Guild("Engineering")
	s.Room = s.Guild.Text("engine-room")
	s.Thread = s.Room.Thread(s.Alice, "Boilers")
	return s
}

// Config is a channel's section; extra are further keys and values.
func (s *Stage) Config(extra ...any) json.RawMessage {
	cfg := map[string]any{"base_url": s.Srv.URL(), "token": TokenRef}
	for i := 0; i+1 < len(extra); i += 2 {
		cfg[extra[i].(string)] = extra[i+1]
	}
	b, err := json.Marshal(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// Host are the channel's secrets.
func (s *Stage) Host() []channeltest.HostOption {
	return []channeltest.HostOption{channeltest.WithSecret(TokenRef, s.Srv.Token())}
}

// Harness is the stage as the suite knows it.
func (s *Stage) Harness() *channeltest.Harness {
	return &channeltest.Harness{
		Config: s.Config(), Host: s.Host(),
		Say: s.say, Acked: func(id channels.MessageID) bool { return s.Srv.Acked(string(id)) }, Shown: s.shown,
		Rooms: true, Threads: true, Joins: true,
		Again:  func(id channels.MessageID) { s.Srv.Again(string(id)) },
		Edit:   func(id channels.MessageID, text string) { s.of(id).Edit(string(id), text) },
		Delete: func(id channels.MessageID) { s.of(id).Delete(string(id)) },
		React:  func(id channels.MessageID, emoji string) { s.of(id).React(s.Alice, string(id), emoji) },
		Press:  func(id channels.MessageID, label string) { s.of(id).Press(s.Alice, string(id), label) },
		Drop:   s.Srv.Drop, Down: s.down, Revoke: s.Srv.Revoke, Stall: s.Srv.Stall,
		Fail: s.fail,
		Faults: []channeltest.Fault{
			channeltest.Throttled, channeltest.LostAnswer, channeltest.ShutOut, channeltest.Refused,
		},
		Reacted: s.Reacted,
		Typed:   func(at channels.Address) int { return s.place(at).Typed() },
		Commands: func() (out []channels.CommandSpec) {
			for _, c := range s.Srv.Commands() {
				out = append(out, channels.CommandSpec{Name: c.Name, Help: c.Description})
			}
			return out
		},
		Close: s.Srv.Close,
	}
}

// Lacks is what Discord does not have: it takes every markup, ends a press by
// the interaction's own acknowledgement, and cannot be asked for a nonce.
func Lacks() []channeltest.Ability {
	return []channeltest.Ability{
		channeltest.BadFormats, channeltest.Unavailables, channeltest.Answering, channeltest.Reconciling,
	}
}

func (s *Stage) down() (up func()) {
	s.Srv.Down()
	return func() {
		if err := s.Srv.Up(); err != nil {
			s.t.Error(err)
		}
	}
}

func (s *Stage) say(x channeltest.Said) channels.MessageID {
	u := s.Alice
	if x.By == channeltest.Bob {
		u = s.Bob
	}
	at := s.Srv.DM(u)
	switch x.In {
	case channeltest.Room:
		at = s.Room
	case channeltest.Thread:
		at = s.Thread
	case channeltest.Direct:
	}
	text := x.Text
	if x.Mention {
		text = "<@" + s.Srv.Bot().ID + "> " + text
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
func (s *Stage) of(id channels.MessageID) *discordtest.Channel {
	for _, c := range []*discordtest.Channel{s.Srv.DM(s.Alice), s.Srv.DM(s.Bob), s.Room, s.Thread} {
		for _, m := range c.Transcript() {
			if m.ID == string(id) {
				return c
			}
		}
	}
	s.t.Fatalf("there is no message %s", id)
	return nil
}

func (s *Stage) place(at channels.Address) *discordtest.Channel {
	id := string(at.Thread)
	if id == "" {
		id = string(at.Conversation)
	}
	c := s.Srv.Channel(id)
	if c == nil {
		s.t.Fatalf("there is no channel %s", id)
	}
	return c
}

func (s *Stage) shown(at channels.Address) (out []channeltest.Shown) {
	for _, m := range s.place(at).Transcript() {
		if m.Author != s.Srv.Bot() {
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

// Reacted are the bot's reactions to a message.
func (s *Stage) Reacted(at channels.Address, id channels.MessageID) string {
	var mine []string
	for _, m := range s.place(at).Transcript() {
		if m.ID != string(id) {
			continue
		}
		for emoji, who := range m.Reactions {
			if strings.Contains(strings.Join(who, " "), s.Srv.Bot().ID) {
				mine = append(mine, emoji)
			}
		}
	}
	return strings.Join(mine, "")
}

func (s *Stage) fail(f channeltest.Fault, wait time.Duration) {
	faults := map[channeltest.Fault]discordtest.Fault{
		channeltest.Throttled:  discordtest.Limited(wait, false),
		channeltest.LostAnswer: discordtest.Reset().After(),
		channeltest.ShutOut:    discordtest.Status(403, 50007),
		channeltest.Refused:    discordtest.Status(400, 50035),
	}
	s.Srv.Fail("POST messages", faults[f])
}
