// Package stagetest sets up the emulated platform for the conformance suite: one
// team, two people and a channel, behind a gate that can be shut. The native
// adapter and the guest are held to the suite on the same stage.
package stagetest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/adapters/slack/slacktest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest/gate"
)

// The references under which the app's secrets are stored.
const (
	TokenRef   = "secret://bot"
	AppRef     = "secret://app"
	SigningRef = "secret://signing"
)

// Lacks is what Slack does not have: a message cannot be quoted, commands are
// listed in the app's manifest, a press needs no answer, and a failing server
// never says that it did nothing. With a webhook there is no connection that
// stands.
func Lacks(mode string) []channeltest.Ability {
	list := []channeltest.Ability{
		channeltest.Quoting, channeltest.CommandMenu, channeltest.Answering, channeltest.Unavailables,
	}
	if mode == "events" {
		list = append(list, channeltest.Drops)
	}
	return list
}

// Stage is the emulated platform behind a gate that can be closed.
type Stage struct {
	Srv   *slacktest.Server
	Team  *slacktest.Team
	Alice *slacktest.User
	Bob   *slacktest.User
	Room  *slacktest.Channel

	t    testing.TB
	mode string
	gate *gate.Gate
	root string
	said map[channels.MessageID]said
}

type said struct {
	by   *slacktest.User
	room *slacktest.Channel
}

// New starts the platform. mode is how the channel receives: socket or events;
// public is where it takes events.
func New(t testing.TB, mode, public string, opts ...slacktest.Option) *Stage {
	t.Helper()
	opts = append([]slacktest.Option{
		slacktest.WithPace(func(d time.Duration) time.Duration { return min(d, 20*time.Millisecond) }),
	}, opts...)
	if mode == "events" {
		opts = append(opts, slacktest.WithRequestURL(public))
	}
	s := &Stage{t: t, mode: mode, said: map[channels.MessageID]said{}}
	s.Srv = slacktest.Start(opts...)
	s.gate = gate.New(t, s.Srv.URL(), "/chat.postMessage", nil)
	s.Srv.SetRoot(s.gate.URL())
	s.Team = s.Srv.Team("T0MAIN000", "Main")
	s.Alice = s.Team.User("U0ALICE00", "Alice")
	s.Bob = s.Team.User("U0BOB0000", "Bob")
	s.Room = s.Team.Channel("C0ENGINE0", "engine-room", s.Alice, s.Bob)
	return s
}

// Close ends the platform.
func (s *Stage) Close() {
	s.gate.Close()
	s.Srv.Close()
}

// Config is a channel's section; extra are further keys and values.
func (s *Stage) Config(extra ...string) json.RawMessage {
	cfg := map[string]string{"base_url": s.gate.URL() + "/api", "token": TokenRef, "mode": s.mode}
	if s.mode == "events" {
		cfg["signing_secret"] = SigningRef
	} else {
		cfg["app_token"] = AppRef
	}
	for i := 0; i+1 < len(extra); i += 2 {
		cfg[extra[i]] = extra[i+1]
	}
	b, err := json.Marshal(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// Sockets is where the platform's sockets are: not behind the gate.
func (s *Stage) Sockets() string { return "ws" + strings.TrimPrefix(s.Srv.URL(), "http") }

// Host are the channel's secrets.
func (s *Stage) Host() []channeltest.HostOption {
	return []channeltest.HostOption{
		channeltest.WithSecret(TokenRef, s.Team.Token()), channeltest.WithSecret(AppRef, s.Srv.AppToken()),
		channeltest.WithSecret(SigningRef, s.Srv.SigningSecret()),
	}
}

// Harness is the stage as the suite knows it.
func (s *Stage) Harness() *channeltest.Harness {
	h := &channeltest.Harness{
		Config: s.Config(), Host: s.Host(), Push: s.mode == "events",
		Say: s.say, Acked: func(id channels.MessageID) bool { return s.Srv.Acked(string(id)) }, Shown: s.shown,
		Rooms: true, Threads: true, Joins: true,
		Again:  s.again,
		Edit:   func(id channels.MessageID, text string) { s.said[id].room.Edit(string(id), slackText(text)) },
		Delete: func(id channels.MessageID) { s.said[id].room.Delete(string(id)) },
		React: func(id channels.MessageID, emoji string) {
			name, _ := codec.EmojiName(emoji)
			s.Team.Direct(s.Alice).React(s.Alice, string(id), name)
		},
		Press: s.Press, Down: s.down,
		Revoke:  s.Team.Revoke,
		Fail:    s.fail,
		Faults:  []channeltest.Fault{channeltest.Throttled, channeltest.LostAnswer, channeltest.BadFormat, channeltest.ShutOut, channeltest.Refused},
		Stall:   s.gate.Stall,
		Reacted: s.reacted, Typed: s.typed, Close: s.Close,
	}
	if s.mode == "socket" {
		h.Drop = s.Srv.Drop
	}
	return h
}

// down shuts the gate; an upgraded connection is not the gate's any more.
func (s *Stage) down() (up func()) {
	up = s.gate.Down()
	s.Srv.Drop()
	return up
}

func (s *Stage) say(x channeltest.Said) channels.MessageID {
	u := s.Alice
	if x.By == channeltest.Bob {
		u = s.Bob
	}
	room, text := s.Room, slackText(x.Text)
	var opts []slacktest.SayOption
	switch x.In {
	case channeltest.Room:
		if x.ReplyTo != "" {
			opts = append(opts, slacktest.InThread(s.threadOf(string(x.ReplyTo))))
		}
	case channeltest.Thread:
		if s.root == "" {
			s.root = room.Say(s.Bob, "the boilers, in a thread of their own")
		}
		opts = append(opts, slacktest.InThread(s.root))
	default:
		room = s.Team.Direct(u)
	}
	if x.Mention {
		text = s.Team.Mention() + " " + text
	}
	for _, f := range x.Files {
		opts = append(opts, slacktest.WithFile(f.Name, f.MIME, f.Body))
	}
	id := channels.MessageID(room.Say(u, text, opts...))
	s.said[id] = said{u, room}
	return id
}

// threadOf is the thread in which a message stands: that is where somebody
// replies to it.
func (s *Stage) threadOf(ts string) string {
	for _, l := range s.Room.Transcript() {
		if l.TS == ts && l.Thread != "" {
			return l.Thread
		}
	}
	return ts
}

func slackText(s string) string { return codec.Escape(s) }

func (s *Stage) again(id channels.MessageID) {
	x := s.said[id]
	b, err := json.Marshal(map[string]any{
		"type": "event_callback", "team_id": s.Team.ID, "event_id": "EvAGAIN",
		"event":          map[string]any{"type": "message", "user": x.by.ID, "channel": x.room.ID(), "channel_type": "im", "ts": id, "text": "again"},
		"authorizations": []map[string]any{{"team_id": s.Team.ID, "user_id": s.Team.BotUser, "is_bot": true}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.Srv.Inject(b)
}

func (s *Stage) shown(at channels.Address) []channeltest.Shown {
	room := s.Srv.Room(string(at.Conversation))
	if room == nil {
		return nil
	}
	var out []channeltest.Shown
	for _, l := range room.Transcript() {
		if !l.Bot || l.Thread != string(at.Thread) {
			continue
		}
		x := channeltest.Shown{ID: channels.MessageID(l.TS), Native: l.Native, Text: l.Text, Edits: l.Edits}
		for _, f := range l.Files {
			x.Files = append(x.Files, channeltest.Upload{Kind: channels.Document, Name: f.Name, MIME: f.MIME, Body: f.Body})
		}
		for _, b := range l.Buttons {
			x.Buttons = append(x.Buttons, channels.Button{Label: b.Label, Data: b.Value, URL: b.URL})
		}
		out = append(out, x)
	}
	return out
}

// Press lets Alice press a button under a message of the bot.
func (s *Stage) Press(id channels.MessageID, label string) {
	c := s.Team.Direct(s.Alice)
	for _, l := range c.Transcript() {
		if l.TS != string(id) {
			continue
		}
		i := slices.IndexFunc(l.Buttons, func(b slacktest.Button) bool { return b.Label == label })
		c.Press(s.Alice, l.TS, l.Buttons[i])
	}
}

func (s *Stage) reacted(at channels.Address, id channels.MessageID) string {
	for _, l := range s.Srv.Room(string(at.Conversation)).Transcript() {
		if l.TS == string(id) {
			var list []string
			for _, r := range l.Reactions {
				list = append(list, codec.Emoji(r))
			}
			return strings.Join(list, "")
		}
	}
	return ""
}

func (s *Stage) typed(at channels.Address) int {
	return len(s.Srv.Delivered().In(string(at.Conversation)).Of(slacktest.Typed))
}

func (s *Stage) fail(f channeltest.Fault, wait time.Duration) {
	faults := map[channeltest.Fault]slacktest.Fault{
		channeltest.Throttled:  slacktest.RateLimited(wait),
		channeltest.LostAnswer: slacktest.Reset().After(),
		channeltest.BadFormat:  slacktest.Error("invalid_blocks"),
		channeltest.ShutOut:    slacktest.Error("channel_not_found"),
		channeltest.Refused:    slacktest.Error("msg_too_long"),
	}
	s.Srv.Fail("chat.postMessage", faults[f])
}
