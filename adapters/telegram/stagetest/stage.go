// Package stagetest sets up the emulated platform for the conformance suite: one
// bot, two people and a forum, behind a gate that can be shut. The native adapter
// and the guest are held to the suite on the same stage.
package stagetest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest/gate"
)

// TokenRef is the reference under which the bot's token is stored.
const TokenRef = "secret://bot"

// Lacks is what Telegram does not have: bots are not told of deletions, a topic
// is no reason to be addressed, nobody can ask whether a message was sent, and a
// failing server never says that it did nothing. With a webhook there is no
// connection that stands.
func Lacks(mode string) []channeltest.Ability {
	list := []channeltest.Ability{
		channeltest.JoinedThreads, channeltest.Deletions, channeltest.Reconciling, channeltest.Unavailables,
	}
	if mode == "webhook" {
		list = append(list, channeltest.Drops)
	}
	return list
}

// Stage is the emulated platform behind a gate that can be closed, with two
// people and a forum on it.
type Stage struct {
	Srv   *telegramtest.Server
	Alice *telegramtest.User
	Bob   *telegramtest.User
	Forum *telegramtest.Chat

	t     testing.TB
	mode  string
	gate  *gate.Gate
	topic int64
	said  map[channels.MessageID]telegramtest.Message

	mu     sync.Mutex
	native map[int64]string // a message's text as the bot wrote it, by its number
}

// New starts the platform. mode is how the channel receives: poll or webhook.
func New(t testing.TB, mode string, opts ...telegramtest.Option) *Stage {
	t.Helper()
	opts = append([]telegramtest.Option{
		telegramtest.WithoutPrivacy(), telegramtest.WithoutPollPenalty(),
		telegramtest.WithPace(func(d time.Duration) time.Duration { return min(d, 20*time.Millisecond) }),
	}, opts...)
	srv, err := telegramtest.Start(opts...)
	if err != nil {
		t.Fatal(err)
	}
	s := &Stage{t: t, mode: mode, Srv: srv, said: map[channels.MessageID]telegramtest.Message{}, native: map[int64]string{}}
	s.gate = gate.New(t, srv.URL(), "/sendMessage", s.sent)
	s.Alice = srv.User(7527593, "Alice A", telegramtest.WithUsername("alice"))
	s.Bob = srv.User(7527594, "Bob", telegramtest.WithUsername("bobby"))
	s.Forum = srv.Forum(1234567890, "Engine room", s.Alice, s.Bob)
	return s
}

// Close ends the platform.
func (s *Stage) Close() {
	s.gate.Close()
	s.Srv.Close()
}

// Config is a channel's section; extra are further keys and values.
func (s *Stage) Config(extra ...string) json.RawMessage {
	cfg := map[string]string{"base_url": s.gate.URL(), "token": TokenRef, "mode": s.mode}
	for i := 0; i+1 < len(extra); i += 2 {
		cfg[extra[i]] = extra[i+1]
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
	h := &channeltest.Harness{
		Config: s.Config(), Host: s.Host(), Push: s.mode == "webhook",
		Say: s.say, Acked: s.acked, Shown: s.shown, Rooms: true, Threads: true,
		Again: s.again,
		Edit:  func(id channels.MessageID, text string) { s.said[id] = s.edit(id, text) },
		React: s.react, Press: s.Press,
		Down:     s.gate.Down,
		Revoke:   func() { s.Srv.Fail("*", telegramtest.Unauthorized().Always()) },
		Fail:     s.fail,
		Faults:   []channeltest.Fault{channeltest.Throttled, channeltest.LostAnswer, channeltest.BadFormat, channeltest.ShutOut, channeltest.Refused},
		Stall:    s.gate.Stall,
		Answered: func() int { return len(s.Srv.Delivered().Of(telegramtest.Answered)) },
		Reacted:  s.reacted, Typed: s.typed, Commands: s.commands,
		Close: s.Close,
	}
	if s.mode == "poll" {
		h.Drop = s.gate.Drop
	}
	return h
}

// sent notes how a message was written: the platform keeps what it shows.
func (s *Stage) sent(call, answer []byte) {
	var wrote struct {
		Text string `json:"text"`
	}
	var got struct {
		Result struct {
			ID int64 `json:"message_id"`
		} `json:"result"`
	}
	if json.Unmarshal(call, &wrote) != nil || json.Unmarshal(answer, &got) != nil || got.Result.ID == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.native[got.Result.ID] = wrote.Text
}

func (s *Stage) place(p channeltest.Place, u *telegramtest.User) (*telegramtest.Chat, []telegramtest.SayOption) {
	switch p {
	case channeltest.Room:
		return s.Forum, nil
	case channeltest.Thread:
		if s.topic == 0 {
			s.topic = s.Forum.NewTopic(s.Alice, "Boilers")
		}
		return s.Forum, []telegramtest.SayOption{telegramtest.InTopic(s.topic)}
	}
	return s.Srv.Private(u), nil
}

func (s *Stage) say(x channeltest.Said) channels.MessageID {
	u := s.Alice
	if x.By == channeltest.Bob {
		u = s.Bob
	}
	chat, opts := s.place(x.In, u)
	text := x.Text
	if x.Mention {
		text = "@" + s.Srv.Bot().Username + " " + text
	}
	if x.ReplyTo != "" {
		opts = append(opts, telegramtest.ReplyTo(number(x.ReplyTo)))
	}
	var m telegramtest.Message
	switch {
	case len(x.Files) == 0:
		m = chat.Say(u, text, opts...)
	default:
		f := x.Files[0]
		m = chat.Document(u, f.Name, f.MIME, f.Body, append(opts, telegramtest.WithCaption(text))...)
	}
	id := MessageID(m.ID)
	s.said[id] = m
	return id
}

func (s *Stage) edit(id channels.MessageID, text string) telegramtest.Message {
	m := s.said[id]
	m.Update = m.Chat.Edit(m, text)
	return m
}

// acked: the platform forgets an update once it is confirmed.
func (s *Stage) acked(channels.MessageID) bool { return s.Srv.Pending() == 0 }

func (s *Stage) again(id channels.MessageID) {
	m := s.said[id]
	from := s.Alice.Profile
	raw, err := json.Marshal(map[string]any{"message": map[string]any{
		"message_id": m.ID, "date": time.Now().Unix(), "text": m.Text, "from": from,
		"chat": map[string]any{"id": m.Chat.ID(), "type": "private"},
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.Srv.Inject(raw); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Stage) chat(at channels.Address) *telegramtest.Chat {
	id, err := strconv.ParseInt(string(at.Conversation), 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.Srv.Chat(id)
}

func (s *Stage) shown(at channels.Address) []channeltest.Shown {
	c := s.chat(at)
	edits := map[int64]int{}
	for _, d := range c.Delivered() {
		if d.Kind == telegramtest.Edited {
			edits[d.Message]++
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []channeltest.Shown
	for _, l := range c.Transcript() {
		if !l.Bot || ThreadID(l.Thread) != at.Thread {
			continue
		}
		x := channeltest.Shown{ID: MessageID(l.ID), Native: s.native[l.ID], Text: l.Text, Edits: edits[l.ID]}
		if l.ReplyTo != 0 {
			x.ReplyTo = MessageID(l.ReplyTo)
		}
		for _, f := range l.Files {
			x.Files = append(x.Files, channeltest.Upload{Kind: channels.FileKind(f.Kind), Name: f.Name, MIME: f.MIME, Body: f.Bytes})
		}
		for _, b := range l.Buttons {
			x.Buttons = append(x.Buttons, channels.Button{Label: b.Text, Data: b.Data, URL: b.URL})
		}
		out = append(out, x)
	}
	return out
}

// ThreadID is a topic as an address has it.
func ThreadID(n int64) channels.ThreadID {
	if n == 0 {
		return ""
	}
	return channels.ThreadID(strconv.FormatInt(n, 10))
}

func (s *Stage) react(id channels.MessageID, emoji string) {
	s.Srv.Private(s.Alice).React(s.Alice, number(id), emoji)
}

// Press lets Alice press a button under a message of the bot.
func (s *Stage) Press(id channels.MessageID, label string) {
	c := s.Srv.Private(s.Alice)
	for _, l := range c.Transcript() {
		if l.ID != number(id) {
			continue
		}
		i := slices.IndexFunc(l.Buttons, func(b telegramtest.Button) bool { return b.Text == label })
		c.Press(s.Alice, l.ID, l.Buttons[i].Data)
	}
}

func (s *Stage) reacted(at channels.Address, id channels.MessageID) string {
	for _, l := range s.chat(at).Transcript() {
		if MessageID(l.ID) == id {
			return strings.Join(l.Reactions, "")
		}
	}
	return ""
}

func (s *Stage) typed(at channels.Address) int {
	return len(s.chat(at).Delivered().Of(telegramtest.Acted))
}

func (s *Stage) commands() (out []channels.CommandSpec) {
	for _, c := range s.Srv.Commands() {
		spec := channels.CommandSpec{Name: c.Name, Help: c.Description}
		if args, help, ok := strings.Cut(c.Description, "> "); ok {
			spec.Args, spec.Help = args+">", help
		}
		out = append(out, spec)
	}
	return out
}

func (s *Stage) fail(f channeltest.Fault, wait time.Duration) {
	faults := map[channeltest.Fault]telegramtest.Fault{
		channeltest.Throttled:  telegramtest.TooManyRequests(wait),
		channeltest.LostAnswer: telegramtest.Reset().After(),
		channeltest.BadFormat:  telegramtest.BadRequest("can't parse entities: Unexpected end tag at byte offset 3"),
		channeltest.ShutOut:    telegramtest.Forbidden("bot was blocked by the user"),
		channeltest.Refused:    telegramtest.BadRequest("message is too long"),
	}
	s.Srv.Fail("sendMessage", faults[f])
}

func number(id channels.MessageID) int64 {
	n, _ := strconv.ParseInt(string(id), 10, 64)
	return n
}

// MessageID is a message's number as the adapter writes it.
func MessageID(n int64) channels.MessageID { return channels.MessageID(strconv.FormatInt(n, 10)) }
