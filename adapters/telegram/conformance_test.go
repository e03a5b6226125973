package telegram_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram"
	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

var update = flag.Bool("update", false, "write the formatting goldens anew")

func TestConformance(t *testing.T) {
	for _, mode := range []string{"poll", "webhook"} {
		t.Run(mode, func(t *testing.T) {
			channeltest.Run(t, channeltest.Suite{
				Driver: telegram.Driver{Watch: time.Second},
				New:    func(t testing.TB, public string) *channeltest.Harness { return newStage(t, mode, public).harness() },
				Lacks:  lacks(mode),
				Update: *update,
			})
		})
	}
}

// lacks is what Telegram does not have: bots are not told of deletions, a topic
// is no reason to be addressed, nobody can ask whether a message was sent, and a
// failing server never says that it did nothing. With a webhook there is no
// connection that stands.
func lacks(mode string) []channeltest.Ability {
	list := []channeltest.Ability{
		channeltest.JoinedThreads, channeltest.Deletions, channeltest.Reconciling, channeltest.Unavailables,
	}
	if mode == "webhook" {
		list = append(list, channeltest.Drops)
	}
	return list
}

// stage is the emulated platform behind a gate that can be closed, with two
// people and a forum on it.
type stage struct {
	t     testing.TB
	mode  string
	srv   *telegramtest.Server
	gate  *gate
	alice *telegramtest.User
	bob   *telegramtest.User
	forum *telegramtest.Chat
	topic int64
	said  map[channels.MessageID]telegramtest.Message
}

func newStage(t testing.TB, mode, _ string, opts ...telegramtest.Option) *stage {
	t.Helper()
	opts = append([]telegramtest.Option{
		telegramtest.WithoutPrivacy(), telegramtest.WithoutPollPenalty(),
		telegramtest.WithPace(func(d time.Duration) time.Duration { return min(d, 20*time.Millisecond) }),
	}, opts...)
	srv, err := telegramtest.Start(opts...)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, mode: mode, srv: srv, gate: newGate(t, srv.URL()), said: map[channels.MessageID]telegramtest.Message{}}
	s.alice = srv.User(7527593, "Alice A", telegramtest.WithUsername("alice"))
	s.bob = srv.User(7527594, "Bob", telegramtest.WithUsername("bobby"))
	s.forum = srv.Forum(1234567890, "Engine room", s.alice, s.bob)
	return s
}

func (s *stage) close() {
	s.gate.close()
	s.srv.Close()
}

func (s *stage) config(extra ...string) json.RawMessage {
	cfg := map[string]string{"base_url": s.gate.url(), "token": tokenRef, "mode": s.mode}
	for i := 0; i+1 < len(extra); i += 2 {
		cfg[extra[i]] = extra[i+1]
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
	h := &channeltest.Harness{
		Config: s.config(), Host: s.host(), Push: s.mode == "webhook",
		Say: s.say, Acked: s.acked, Shown: s.shown, Rooms: true, Threads: true,
		Again: s.again,
		Edit:  func(id channels.MessageID, text string) { s.said[id] = s.edit(id, text) },
		React: s.react, Press: s.press,
		Down:     s.gate.down,
		Revoke:   func() { s.srv.Fail("*", telegramtest.Unauthorized().Always()) },
		Fail:     s.fail,
		Faults:   []channeltest.Fault{channeltest.Throttled, channeltest.LostAnswer, channeltest.BadFormat, channeltest.ShutOut, channeltest.Refused},
		Stall:    s.gate.stall,
		Answered: func() int { return len(s.srv.Delivered().Of(telegramtest.Answered)) },
		Reacted:  s.reacted, Typed: s.typed, Commands: s.commands,
		Close: s.close,
	}
	if s.mode == "poll" {
		h.Drop = s.gate.drop
	}
	return h
}

func (s *stage) place(p channeltest.Place, u *telegramtest.User) (*telegramtest.Chat, []telegramtest.SayOption) {
	switch p {
	case channeltest.Room:
		return s.forum, nil
	case channeltest.Thread:
		if s.topic == 0 {
			s.topic = s.forum.NewTopic(s.alice, "Boilers")
		}
		return s.forum, []telegramtest.SayOption{telegramtest.InTopic(s.topic)}
	}
	return s.srv.Private(u), nil
}

func (s *stage) say(x channeltest.Said) channels.MessageID {
	u := s.alice
	if x.By == channeltest.Bob {
		u = s.bob
	}
	chat, opts := s.place(x.In, u)
	text := x.Text
	if x.Mention {
		text = "@" + s.srv.Bot().Username + " " + text
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
	id := messageID(m.ID)
	s.said[id] = m
	return id
}

func (s *stage) edit(id channels.MessageID, text string) telegramtest.Message {
	m := s.said[id]
	m.Update = m.Chat.Edit(m, text)
	return m
}

// acked: the platform forgets an update once it is confirmed.
func (s *stage) acked(channels.MessageID) bool { return s.srv.Pending() == 0 }

func (s *stage) again(id channels.MessageID) {
	m := s.said[id]
	from := s.alice.Profile
	raw, err := json.Marshal(map[string]any{"message": map[string]any{
		"message_id": m.ID, "date": time.Now().Unix(), "text": m.Text, "from": from,
		"chat": map[string]any{"id": m.Chat.ID(), "type": "private"},
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.srv.Inject(raw); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) chat(at channels.Address) *telegramtest.Chat {
	id, err := strconv.ParseInt(string(at.Conversation), 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.srv.Chat(id)
}

func (s *stage) shown(at channels.Address) []channeltest.Shown {
	c := s.chat(at)
	native, edits := map[int64]string{}, map[int64]int{}
	for _, d := range c.Delivered() {
		if d.Kind == telegramtest.Edited {
			edits[d.Message]++
		}
	}
	for _, call := range s.gate.calls() {
		if call.result != 0 {
			native[call.result] = call.text
		}
	}
	var out []channeltest.Shown
	for _, l := range c.Transcript() {
		if !l.Bot || thread(l.Thread) != at.Thread {
			continue
		}
		x := channeltest.Shown{ID: messageID(l.ID), Native: native[l.ID], Text: l.Text, Edits: edits[l.ID]}
		if l.ReplyTo != 0 {
			x.ReplyTo = messageID(l.ReplyTo)
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

func thread(n int64) channels.ThreadID {
	if n == 0 {
		return ""
	}
	return channels.ThreadID(strconv.FormatInt(n, 10))
}

func (s *stage) react(id channels.MessageID, emoji string) {
	s.srv.Private(s.alice).React(s.alice, number(id), emoji)
}

func (s *stage) press(id channels.MessageID, label string) {
	c := s.srv.Private(s.alice)
	for _, l := range c.Transcript() {
		if l.ID != number(id) {
			continue
		}
		i := slices.IndexFunc(l.Buttons, func(b telegramtest.Button) bool { return b.Text == label })
		c.Press(s.alice, l.ID, l.Buttons[i].Data)
	}
}

func (s *stage) reacted(at channels.Address, id channels.MessageID) string {
	for _, l := range s.chat(at).Transcript() {
		if messageID(l.ID) == id {
			return strings.Join(l.Reactions, "")
		}
	}
	return ""
}

func (s *stage) typed(at channels.Address) int {
	return len(s.chat(at).Delivered().Of(telegramtest.Acted))
}

func (s *stage) commands() (out []channels.CommandSpec) {
	for _, c := range s.srv.Commands() {
		spec := channels.CommandSpec{Name: c.Name, Help: c.Description}
		if args, help, ok := strings.Cut(c.Description, "> "); ok {
			spec.Args, spec.Help = args+">", help
		}
		out = append(out, spec)
	}
	return out
}

func (s *stage) fail(f channeltest.Fault, wait time.Duration) {
	faults := map[channeltest.Fault]telegramtest.Fault{
		channeltest.Throttled:  telegramtest.TooManyRequests(wait),
		channeltest.LostAnswer: telegramtest.Reset().After(),
		channeltest.BadFormat:  telegramtest.BadRequest("can't parse entities: Unexpected end tag at byte offset 3"),
		channeltest.ShutOut:    telegramtest.Forbidden("bot was blocked by the user"),
		channeltest.Refused:    telegramtest.BadRequest("message is too long"),
	}
	s.srv.Fail("sendMessage", faults[f])
}

func number(id channels.MessageID) int64 {
	n, _ := strconv.ParseInt(string(id), 10, 64)
	return n
}

func messageID(n int64) channels.MessageID { return channels.MessageID(strconv.FormatInt(n, 10)) }

// gate stands between the bot and the platform. It can hold an answer back, and
// be shut; connections do not outlive that.
type gate struct {
	t       testing.TB
	addr    string
	backend *httputil.ReverseProxy

	mu   sync.Mutex
	srv  *httptest.Server
	hold chan struct{} // the next send's answer waits for its end
	log  []call
}

type call struct {
	text   string
	result int64
}

func newGate(t testing.TB, backend string) *gate {
	u, err := url.Parse(backend)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, addr: "127.0.0.1:0", backend: httputil.NewSingleHostReverseProxy(u)}
	g.backend.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	g.backend.Transport = &http.Transport{}
	g.open()
	g.addr = g.srv.Listener.Addr().String()
	return g
}

func (g *gate) open() {
	l, err := net.Listen("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(g.serve))
	_ = srv.Listener.Close()
	srv.Listener = l
	srv.Config.ErrorLog = quiet()
	srv.Start()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.srv = srv
}

func (g *gate) url() string { return "http://" + g.addr }

func (g *gate) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if !strings.HasSuffix(r.URL.Path, "/sendMessage") {
		g.backend.ServeHTTP(w, r)
		return
	}
	g.mu.Lock()
	hold := g.hold
	g.hold = nil
	g.mu.Unlock()
	rec := httptest.NewRecorder()
	g.backend.ServeHTTP(rec, r)
	var sent struct {
		Text string `json:"text"`
	}
	var got struct {
		Result struct {
			ID int64 `json:"message_id"`
		} `json:"result"`
	}
	_, _ = json.Unmarshal(body, &sent), json.Unmarshal(rec.Body.Bytes(), &got)
	g.mu.Lock()
	g.log = append(g.log, call{sent.Text, got.Result.ID})
	g.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

func (g *gate) calls() []call {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.log)
}

func (g *gate) stall() (release func()) {
	hold := make(chan struct{})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hold = hold
	return sync.OnceFunc(func() { close(hold) })
}

func (g *gate) drop() { g.srv.CloseClientConnections() }

func (g *gate) down() (up func()) {
	g.srv.CloseClientConnections()
	g.srv.Close()
	return sync.OnceFunc(g.open)
}

func (g *gate) close() {
	g.srv.CloseClientConnections()
	g.srv.Close()
	g.backend.Transport.(*http.Transport).CloseIdleConnections()
}
