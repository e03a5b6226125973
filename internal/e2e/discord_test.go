package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/discordtest"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/internal/porttest"
)

// discordRig is a gateway between an emulated Discord and a model.
type discordRig struct {
	t      testing.TB
	srv    *discordtest.Server
	model  *agenttest.Server
	dir    string
	proc   *process
	binary string
}

// discordSettings of a rig. The zero value is a channel that anybody may write
// to, without streaming.
type discordSettings struct {
	script agenttest.Script // nil: agenttest.Echo
	stream bool
	policy string // of direct chats; "": open
	level  string // of the log; "": info
	listen string // address of the webhooks; "": a free port
	emu    []discordtest.Option
	guest  bool // the adapter that is a guest
}

func newDiscordRig(t testing.TB, set discordSettings) *discordRig {
	t.Helper()
	r := &discordRig{t: t, dir: t.TempDir(), model: agenttest.NewServer(t, set.script)}
	r.srv = discordtest.NewServer(t, set.emu...)
	listen, stream, policy, level, extra := "127.0.0.1:0", "off", "open", "info", ""
	if set.stream {
		stream = "edit"
	}
	if set.policy != "" {
		policy = set.policy
	}
	if set.level != "" {
		level = set.level
	}
	if set.listen != "" {
		listen, extra = set.listen, "public_url: http://"+set.listen+"\n"
	}
	adapter := "adapter: discord"
	if r.binary = gateway(t); set.guest {
		adapter, r.binary = fmt.Sprintf("adapter: wasm\n    module: discord\n    public_key: %q", r.srv.PublicKey()), withGuests(t)
		shareCompiled(t, r.dir)
	}
	text := fmt.Sprintf("listen: %s\nadmin: 127.0.0.1:0\ndata: %q\nkey: %q\nlog: {level: %s, format: text}\n",
		listen, filepath.Join(r.dir, "data"), filepath.Join(r.dir, "key"), level) +
		fmt.Sprintf("models:\n  default: {provider: compatible, model: scripted, base_url: %q, api_key: \"sk-test-123456789\"}\n", r.model.OpenAI()) +
		fmt.Sprintf("agent:\n  daily_spend: -1\nchannels:\n  team:\n    %s\n    base_url: %q\n    token: %q\n    dm: %s\n"+
			"    groups: open\n    send_rate: unlimited\n    stream: %q\n", adapter, r.srv.URL(), r.srv.Token(), policy, stream) + extra
	if err := os.WriteFile(r.config(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.end)
	return r
}

func (r *discordRig) config() string { return filepath.Join(r.dir, "gatehouse.yaml") }

// start starts the gateway and does not wait for it.
func (r *discordRig) start() {
	r.t.Helper()
	r.proc = launch(r.t, r.binary, bare(r.dir), "run", "--config", r.config())
}

// up starts the gateway and waits until it is connected: what is said before a
// first session begins does not come to it.
func (r *discordRig) up() {
	r.t.Helper()
	r.start()
	// The session is kept before the channel counts as connected: whoever is
	// killed earlier begins another one, and has missed what was said to this.
	connected := func() bool {
		return r.srv.Online() && (r.proc.log.contains("channel=team kind=connected") || r.proc.log.contains("channel=more kind=connected"))
	}
	if !eventually(patience, func() bool { return connected() || !r.proc.running() }) || !r.proc.running() {
		r.t.Fatalf("the gateway does not connect\n%s", r.proc.log)
	}
}

func (r *discordRig) end() {
	if r.proc == nil {
		return
	}
	r.proc.Kill()
	if r.proc.log.racy() {
		r.t.Error("the race detector spoke")
	}
	if r.t.Failed() {
		r.t.Logf("the gateway's log:\n%s", r.proc.log)
	}
}

// awaitText waits until a message of the bot with that text stands in a channel.
func (r *discordRig) awaitText(c *discordtest.Channel, part string) discordtest.Message {
	r.t.Helper()
	var found discordtest.Message
	if !eventually(patience, func() bool {
		for _, m := range c.Transcript() {
			if m.Author == r.srv.Bot() && strings.Contains(discordtest.Read(m.Content), part) {
				found = m
				return true
			}
		}
		return false
	}) {
		r.t.Fatalf("waiting for %q; said was %q", part, c.Said())
	}
	return found
}

// TestDiscord: messages are answered natively: in a direct chat, under a mention
// in a room, in a thread and in a forum post without a mention once the bot has
// spoken there, a slash command where its person waits.
func TestDiscord(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]discordSettings{"native": {}, "guest": {guest: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newDiscordRig(t, set)
			guild, ada := r.srv.Guild("Engineering"), r.srv.User("Ada")
			room := guild.Text("general")
			thread, post := room.Thread(ada, "A thread"), guild.Board("questions").Thread(ada, "A post")
			direct, mention := r.srv.DM(ada), "<@"+r.srv.Bot().ID+"> "
			r.up()
			direct.Say(ada, "hello **there**")
			r.awaitText(direct, "hello there")
			q := room.Say(ada, mention+"in the room")
			if m := r.awaitText(room, "in the room"); m.ReplyTo != q.ID {
				t.Errorf("the answer replies to %q, want %q", m.ReplyTo, q.ID)
			}
			room.Say(ada, "among ourselves")
			for _, place := range []*discordtest.Channel{thread, post} {
				place.Say(ada, mention+"first")
				r.awaitText(place, "first")
				place.Say(ada, "second, without a mention")
				r.awaitText(place, "second, without a mention")
			}
			room.Slash(ada, "whoami", "")
			r.awaitText(room, ada.ID)
			if !eventually(patience, func() bool { return len(r.srv.Commands()) > 0 }) {
				t.Error("no commands are registered")
			}
			if said := strings.Join(room.Said(), "\n"); strings.Contains(said, "among ourselves") || r.srv.Thinking() != 0 {
				t.Errorf("%q; %d commands are waited for", said, r.srv.Thinking())
			}
			if err := r.proc.Term(); err != nil {
				t.Errorf("after SIGTERM: %v", err)
			}
		})
	}
}

// TestDiscordByHTTP: interactions come to the public address, signed, and
// whatever is not signed is refused.
func TestDiscordByHTTP(t *testing.T) {
	t.Parallel()
	for name, guest := range map[string]bool{"native": false, "guest": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := porttest.Keep(t)
			r := newDiscordRig(t, discordSettings{listen: address, guest: guest})
			ada := r.srv.User("Ada")
			r.up()
			if err := r.srv.Endpoint("http://" + address + "/hooks/team"); err != nil {
				t.Fatal(err)
			}
			r.srv.DM(ada).Slash(ada, "whoami", "")
			r.awaitText(r.srv.DM(ada), ada.ID)
			if got := post(t, "http://"+address+"/hooks/team", "", []byte(`{"type":2}`)); got != 401 {
				t.Errorf("unsigned: status %d", got)
			}
		})
	}
}

// TestDiscordStreams: an answer is shown while it grows, in one message.
func TestDiscordStreams(t *testing.T) {
	t.Parallel()
	r := newDiscordRig(t, discordSettings{stream: true, script: closed(slowly)})
	ada := r.srv.User("Ada")
	r.up()
	r.srv.DM(ada).Say(ada, "a long question, long enough to show a draft of its answer")
	if m := r.awaitText(r.srv.DM(ada), closing); m.Edits == 0 || len(r.srv.DM(ada).Said()) != 1 {
		t.Errorf("%d edits, %q", m.Edits, r.srv.DM(ada).Said())
	}
}

// TestDiscordCrash: the gateway is killed again and again while people write; in
// the end every message is answered once. The platform knows a repetition by
// its nonce, so that none is shown.
func TestDiscordCrash(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]discordSettings{"whole": {}, "drafts": {stream: true}, "guest": {guest: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			people, each, kills := 4, 8, 6
			if set.guest {
				people, each, kills = 3, 4, 2
			}
			set.script = closed(func(q *agenttest.Request) agenttest.Answer {
				a := agenttest.Echo(q)
				a.Delay = 60 * time.Millisecond
				return a
			})
			r := newDiscordRig(t, set)
			who := make([]*discordtest.User, people)
			for p := range who {
				who[p] = r.srv.User(fmt.Sprintf("Person %d", p))
			}
			r.up()
			for i := range each {
				if i > 0 && i <= kills {
					r.start()
					before := r.answers(who)
					eventually(briefly, func() bool { return r.answers(who) > before+i/2 })
				}
				for p, u := range who {
					r.srv.DM(u).Say(u, fmt.Sprintf("message %03d from chat %02d, long enough to show a draft", i, p))
				}
				if i < kills {
					r.proc.Kill()
				}
			}
			if !eventually(patience, func() bool { return r.answers(who) == people*each }) {
				t.Errorf("%d of %d are answered", r.answers(who), people*each)
			}
			r.onlyOnce(who)
		})
	}
}

// answers counts the messages that are answered in full.
func (r *discordRig) answers(who []*discordtest.User) int {
	texts := map[string]bool{}
	for _, u := range who {
		for _, s := range r.srv.DM(u).Said() {
			if a, err := parseAnswer(discordtest.Read(s)); err == nil && !a.draft {
				for _, text := range a.texts {
					texts[text] = true
				}
			}
		}
	}
	return len(texts)
}

// onlyOnce looks that nothing was answered twice, unless it says so.
func (r *discordRig) onlyOnce(who []*discordtest.User) {
	r.t.Helper()
	for _, u := range who {
		times := map[string]int{}
		for _, s := range r.srv.DM(u).Said() {
			a, err := parseAnswer(discordtest.Read(s))
			if err != nil {
				r.t.Error(err)
				continue
			}
			for _, text := range a.texts {
				if times[text]++; !a.draft && !a.marked && times[text] > 1 {
					r.t.Errorf("%q is answered %d times: %q", text, times[text], s)
				}
			}
		}
	}
}

// TestDiscordOutages: whatever happens to the platform, the channel heals by
// itself and loses nothing.
func TestDiscordOutages(t *testing.T) {
	t.Parallel()
	cases := map[string]func(*discordtest.Server) (end func()){
		"the connection is cut": func(s *discordtest.Server) func() { s.Drop(); return func() {} },
		"all is refused": func(s *discordtest.Server) func() {
			s.Down()
			return func() {
				if err := s.Up(); err != nil {
					t.Error(err)
				}
			}
		},
		"new connections hang": func(s *discordtest.Server) func() {
			heal := s.Fail("gateway", discordtest.Hang().Always())
			s.Drop()
			return func() { heal(); s.Drop() }
		},
		"the connection is half open": func(s *discordtest.Server) func() { return s.Freeze() },
		"resumptions are not answered": func(s *discordtest.Server) func() {
			s.Silence(1)
			s.Drop()
			return s.Drop
		},
		"a storm of 503": func(s *discordtest.Server) func() {
			heal := s.Fail("*", discordtest.Status(503, 0).Always())
			s.Drop()
			return heal
		},
		"a storm of 429": func(s *discordtest.Server) func() {
			heal := s.Fail("*", discordtest.Limited(time.Second, false).Always())
			s.Drop()
			return heal
		},
		"garbage in answers": func(s *discordtest.Server) func() {
			heal := s.Fail("*", discordtest.Answer(200, "<html>").Always())
			s.Drop()
			return heal
		},
		"malformed frames": func(s *discordtest.Server) func() {
			for _, f := range []string{"", "[]", `{"op":"x"}`, `{"op":0,"t":"MESSAGE_CREATE","s":"x"}`, "\x00"} {
				s.Garbage(f)
			}
			return func() {}
		},
		"the session is lost": func(s *discordtest.Server) func() { s.Forget(); s.Drop(); return func() {} },
		"answers are lost": func(s *discordtest.Server) func() {
			return s.Fail("POST messages", discordtest.Reset().After().Times(2))
		},
	}
	outage := func(begin func(*discordtest.Server) (end func()), guest bool) func(*testing.T) {
		return func(t *testing.T) {
			t.Parallel()
			r := newDiscordRig(t, discordSettings{script: closed(nil), guest: guest})
			ada := r.srv.User("Ada")
			chat := r.srv.DM(ada)
			r.up()
			chat.Say(ada, "before")
			r.awaitText(chat, "before")
			end := begin(r.srv)
			chat.Say(ada, "meanwhile")
			pause := time.NewTimer(1200 * time.Millisecond)
			<-pause.C
			end()
			chat.Say(ada, "after")
			for _, text := range []string{"before", "meanwhile", "after"} {
				r.awaitText(chat, text)
			}
			r.onlyOnce([]*discordtest.User{ada})
		}
	}
	for name, begin := range cases {
		t.Run(name, outage(begin, false))
	}
	// The socket is the host's, and its outages the same.
	for _, name := range []string{"the connection is cut", "a storm of 503", "a storm of 429", "malformed frames", "answers are lost"} {
		t.Run(name+", as a guest", outage(cases[name], true))
	}
}

// TestDiscordFatal: an intent that the application lacks is no outage: the
// status says what to do.
func TestDiscordFatal(t *testing.T) {
	t.Parallel()
	r := newDiscordRig(t, discordSettings{emu: []discordtest.Option{discordtest.WithoutContent()}})
	r.start()
	if !eventually(patience, func() bool { return r.proc.log.contains("gatehouse is up") }) { // a verb before that would hold the data folder
		t.Fatalf("the gateway does not start\n%s", r.proc.log)
	}
	var out []byte
	if !eventually(patience, func() bool {
		c := exec.Command(gateway(t), "channels", "status", "--probe", "--config", r.config()) //nolint:gosec,noctx // a binary of ours
		c.Env = bare(r.dir)
		out, _ = c.CombinedOutput()
		return strings.Contains(string(out), "Message Content") && strings.Contains(string(out), "broken")
	}) {
		t.Errorf("the status says\n%s", out)
	}
}

// TestDiscordIsAdded: one verb asks for the token, says what is missing, shows
// the invitation, keeps the token in the vault and connects.
func TestDiscordIsAdded(t *testing.T) {
	t.Parallel()
	r := newDiscordRig(t, discordSettings{})
	verb := func(in string, args ...string) (string, error) {
		c := exec.Command(gateway(t), append(args, "--config", r.config())...) //nolint:gosec,noctx // a binary of ours
		c.Env, c.Stdin = bare(r.dir), strings.NewReader(in)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if out, err := verb("wrong-wrong-wrong", "channels", "add", "discord", "--id", "more", "--base-url", r.srv.URL()); err == nil || strings.Contains(out, "wrong-wrong") {
		t.Errorf("a wrong token: %v\n%s", err, out)
	}
	out, err := verb(r.srv.Token(), "channels", "add", "discord", "--id", "more", "--base-url", r.srv.URL())
	if err != nil || !strings.Contains(out, "oauth2/authorize?client_id="+r.srv.App()) || strings.Contains(out, r.srv.Token()) {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err = verb("", "channels", "remove", "team"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ada := r.srv.User("Ada")
	r.up()
	r.srv.DM(ada).Say(ada, "hello")
	r.awaitText(r.srv.DM(ada), "I do not know you yet")
}
