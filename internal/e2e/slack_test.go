package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/slacktest"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/internal/porttest"
)

// slackRig is a gateway between an emulated Slack and a model.
type slackRig struct {
	t     testing.TB
	srv   *slacktest.Server
	team  *slacktest.Team
	model *agenttest.Server
	dir   string
	proc  *process

	binary string // "": that without guests
}

// slackSettings of a rig. The zero value is a channel that anybody may write
// to, in Socket Mode, without streaming.
type slackSettings struct {
	script  agenttest.Script // nil: agenttest.Echo
	events  bool             // mode events
	stream  bool
	guest   bool     // the adapter that is a guest
	policy  string   // of direct chats; "": open
	channel []string // further lines of the channel's section
	level   string   // of the log; "": info
	emu     []slacktest.Option
	install func(*slacktest.Server) *slacktest.Team // nil: T0MAIN000
}

func newSlackRig(t testing.TB, set slackSettings) *slackRig {
	t.Helper()
	r := &slackRig{t: t, dir: t.TempDir(), model: agenttest.NewServer(t, set.script)}
	r.srv = slacktest.NewServer(t, set.emu...)
	if set.install == nil {
		set.install = func(s *slacktest.Server) *slacktest.Team { return s.Team("T0MAIN000", "Main") }
	}
	r.team = set.install(r.srv)
	listen, stream, policy, level := "127.0.0.1:0", "off", "open", "info"
	if set.stream {
		stream = "edit"
	}
	if set.policy != "" {
		policy = set.policy
	}
	if set.level != "" {
		level = set.level
	}
	adapter := "adapter: slack"
	if set.guest {
		adapter, r.binary = "adapter: wasm\n    module: slack", withGuests(t)
		shareCompiled(t, r.dir)
	}
	mode := fmt.Sprintf("mode: socket\n    app_token: %q", r.srv.AppToken())
	extra := ""
	if set.events {
		listen = porttest.Keep(t)
		mode = fmt.Sprintf("mode: events\n    signing_secret: %q", r.srv.SigningSecret())
		extra = "public_url: http://" + listen + "\n"
		r.srv.SetRequestURL("http://" + listen + "/hooks/team")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "listen: %s\nadmin: 127.0.0.1:0\ndata: %q\nkey: %q\nlog: {level: %s, format: text}\n",
		listen, filepath.Join(r.dir, "data"), filepath.Join(r.dir, "key"), level)
	fmt.Fprintf(&b, "models:\n  default: {provider: compatible, model: scripted, base_url: %q, api_key: \"sk-test-123456789\"}\n", r.model.OpenAI())
	fmt.Fprintf(&b, "agent:\n  daily_spend: -1\nchannels:\n  team:\n    %s\n    base_url: %q\n    token: %q\n    %s\n    dm: %s\n"+
		"    groups: open\n    send_rate: unlimited\n    stream: %q\n", adapter, r.srv.URL(), r.team.Token(), mode, policy, stream)
	for _, l := range set.channel {
		fmt.Fprintf(&b, "    %s\n", l)
	}
	b.WriteString(extra)
	if err := os.WriteFile(r.config(), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.end)
	return r
}

func (r *slackRig) config() string { return filepath.Join(r.dir, "gatehouse.yaml") }

// up starts the gateway. What is said before it receives comes to it then.
func (r *slackRig) up() {
	r.t.Helper()
	if r.binary == "" {
		r.binary = gateway(r.t)
	}
	r.proc = launch(r.t, r.binary, bare(r.dir), "run", "--config", r.config())
}

func (r *slackRig) end() {
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

// await waits until the log is as wanted.
func (r *slackRig) await(what string, done func(slacktest.Log) bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.srv.Wait(ctx, done); err != nil {
		r.t.Fatalf("waiting for %s: %v; delivered: %q", what, err, r.srv.Delivered().Texts())
	}
}

// awaitText waits until a message with that text stands in the conversation.
func (r *slackRig) awaitText(c *slacktest.Channel, part string) slacktest.Line {
	r.t.Helper()
	var found slacktest.Line
	r.await(fmt.Sprintf("%q", part), func(slacktest.Log) bool {
		for _, l := range c.Transcript() {
			if l.User == r.team.BotUser && strings.Contains(l.Text, part) {
				found = l
				return true
			}
		}
		return false
	})
	return found
}

// TestSlack: messages are answered natively by both ways of receiving: in a
// direct chat, in the thread under a mention, in that thread without one, a
// slash command for the one who asked, a file both ways.
func TestSlack(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]slackSettings{
		"socket": {}, "events": {events: true}, "guest, socket": {guest: true}, "guest, events": {guest: true, events: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newSlackRig(t, set)
			ada := r.team.User("U0ADA0000", "Ada")
			direct, room := r.team.Direct(ada), r.team.Channel("C0ROOM000", "general", ada)
			r.up()
			direct.Say(ada, "hello *there*")
			r.awaitText(direct, "hello")

			root := room.Say(ada, r.team.Mention()+" in the room")
			if l := r.awaitText(room, "in the room"); l.Thread != root {
				t.Errorf("the answer is not in the thread of its question: %+v", l)
			}
			room.Say(ada, "and now without a mention", slacktest.InThread(root))
			if l := r.awaitText(room, "without a mention"); l.Thread != root {
				t.Errorf("%+v", l)
			}
			room.Slash(ada, "/gatehouse", "whoami")
			r.await("the answer to a slash command", func(log slacktest.Log) bool { return len(log.Of(slacktest.Answered)) > 0 })
			if e := r.srv.Delivered().Of(slacktest.Answered)[0]; e.Only != ada.ID || !strings.Contains(e.Text, ada.ID) {
				t.Errorf("%+v", e)
			}
			if n := len(r.srv.Delivered().Of(slacktest.Sent)); n != 3 {
				t.Errorf("%d messages were sent: %q", n, r.srv.Delivered().Texts())
			}
			// What the bot wrote comes back to it, and is acknowledged a moment later.
			if !eventually(patience, func() bool { return r.srv.Pending() == 0 }) {
				t.Errorf("%d events are not acknowledged", r.srv.Pending())
			}
			if err := r.proc.Term(); err != nil {
				t.Errorf("after SIGTERM: %v", err)
			}
		})
	}
}

// TestSlackStreams: an answer is shown while it grows, in one message.
func TestSlackStreams(t *testing.T) {
	t.Parallel()
	r := newSlackRig(t, slackSettings{stream: true, script: closed(slowly)})
	ada := r.team.User("U0ADA0000", "Ada")
	r.up()
	r.team.Direct(ada).Say(ada, "a long question, long enough to show a draft of its answer")
	l := r.awaitText(r.team.Direct(ada), closing)
	if log := r.srv.Delivered(); l.Edits == 0 || len(log.Of(slacktest.Sent)) != 1 {
		t.Errorf("%+v, %q", l, log.Texts())
	}
}

// TestSlackCrash: the gateway is killed again and again while people write; in
// the end every message is answered once, or twice with the second marked.
func TestSlackCrash(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]slackSettings{"socket": {stream: true}, "events": {events: true}, "guest": {guest: true}} {
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
			r := newSlackRig(t, set)
			r.srv.SetLatency(10*time.Millisecond, "chat.postMessage")
			said := map[string]bool{}
			for i := range each {
				for p := range people {
					u := r.team.User(fmt.Sprintf("U0PERSON%d", p), fmt.Sprintf("Person %d", p))
					text := fmt.Sprintf(spoken, i, p)
					said[text] = true
					r.team.Direct(u).Say(u, text)
				}
				if i < kills {
					r.up()
					sent := len(r.srv.Delivered())
					eventually(briefly, func() bool { return len(r.srv.Delivered()) > sent+i })
					r.proc.Kill()
				}
			}
			r.up()
			r.settle(said)
		})
	}
}

// settle waits until everything is answered, and looks that nothing was twice. A
// message bears the key of its reply, so that nobody is ever told that it is not
// known whether it arrived.
func (r *slackRig) settle(said map[string]bool) {
	r.t.Helper()
	count := func() (unanswered map[string]bool, faults []string) {
		answered := map[string]int{}
		for _, l := range r.lines() {
			if strings.Contains(l.Text, "cannot tell whether it reached you") {
				faults = append(faults, "nobody knows of an answer: "+l.Text)
			}
			a, err := parseAnswer(l.Text)
			if err != nil || a.draft {
				continue
			}
			for _, text := range a.texts {
				answered[text]++
				if answered[text] > 1 && !a.marked {
					faults = append(faults, "unmarked repetition: "+l.Text)
				}
				if !said[text] {
					faults = append(faults, "nobody said: "+text)
				}
			}
		}
		unanswered = map[string]bool{}
		for text := range said {
			if answered[text] == 0 {
				unanswered[text] = true
			}
		}
		return unanswered, faults
	}
	done := eventually(patience, func() bool { left, _ := count(); return len(left) == 0 })
	left, faults := count()
	if !done {
		r.t.Errorf("not answered: %q", slices.Sorted(maps.Keys(left)))
	}
	for _, f := range faults {
		r.t.Error(f)
	}
	if !eventually(patience, func() bool { return r.srv.Pending() == 0 }) {
		r.t.Errorf("%d events are not acknowledged", r.srv.Pending())
	}
}

// spoken is what people say while the gateway is killed: the number of the
// message and of the person.
const spoken = "message %03d from chat %02d, long enough to show a draft"

// directRoom is where a person of these tests talks to the bot.
func directRoom(person int) string { return fmt.Sprintf("D0PERSON%d", person) }

// line is a message and the room in which it stands.
type line struct {
	slacktest.Line

	room string
}

// lines are the bot's messages in direct chats.
func (r *slackRig) lines() []line {
	var out []line
	for p := range 16 {
		c := r.srv.Room(directRoom(p))
		if c == nil {
			continue
		}
		for _, l := range c.Transcript() {
			if l.User == r.team.BotUser {
				out = append(out, line{Line: l, room: directRoom(p)})
			}
		}
	}
	return out
}

// TestSlackOutages: whatever happens to the platform, the channel heals by
// itself and loses nothing.
func TestSlackOutages(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		events bool
		begin  func(*slacktest.Server) (end func())
	}{
		{"sockets are cut", false, func(s *slacktest.Server) func() { s.Drop(); return func() {} }},
		{"sockets are refused", false, func(s *slacktest.Server) func() {
			h := s.Fail("socket", slacktest.Status(503).Always())
			s.Drop()
			return h.Lift
		}},
		{"opening hangs", false, func(s *slacktest.Server) func() {
			h := s.Fail("apps.connections.open", slacktest.Hang().Always())
			s.Drop()
			return h.Lift
		}},
		{"a storm of 429", false, func(s *slacktest.Server) func() {
			h := s.Fail("*", slacktest.RateLimited(time.Second).Always())
			s.Drop()
			return h.Lift
		}},
		{"a storm of 503", false, func(s *slacktest.Server) func() {
			h := s.Fail("*", slacktest.Status(503).Always())
			s.Drop()
			return h.Lift
		}},
		{"malformed frames", false, func(s *slacktest.Server) func() {
			for _, f := range []string{"", "[]", `{"type":7}`, `{"type":"events_api","envelope_id":"x","payload":"y"}`} {
				s.Frame([]byte(f))
			}
			return func() {}
		}},
		{"Slack ends the connection", false, func(s *slacktest.Server) func() {
			s.Disconnect("refresh_requested", 100*time.Millisecond)
			return func() {}
		}},
		{"garbage in answers, by HTTP", true, func(s *slacktest.Server) func() { return s.Fail("auth.test", slacktest.Garbage().Always()).Lift }},
		{"a storm of 429, by HTTP", true, func(s *slacktest.Server) func() { return s.Fail("*", slacktest.RateLimited(time.Second).Always()).Lift }},
	}
	// The guest's socket is the host's, and its outages the same.
	guests := []string{"sockets are cut", "a storm of 503", "malformed frames", "a storm of 429, by HTTP"}
	// It takes up to two minutes until silence is noticed: meanwhile the others run.
	half := newSlackRig(t, slackSettings{script: closed(nil)})
	finish := half.outage(func(s *slacktest.Server) func() { s.Freeze(); return func() {} })
	t.Run("while a socket is half open", func(t *testing.T) {
		for _, c := range cases {
			outage := func(guest bool) func(*testing.T) {
				return func(t *testing.T) {
					t.Parallel()
					r := newSlackRig(t, slackSettings{events: c.events, guest: guest, script: closed(nil)})
					finish := r.outage(c.begin)
					pause := time.NewTimer(1200 * time.Millisecond)
					<-pause.C
					finish()
				}
			}
			t.Run(c.name, outage(false))
			if slices.Contains(guests, c.name) {
				t.Run(c.name+", as a guest", outage(true))
			}
		}
	})
	finish()
	if n := half.srv.Opened(); n < 2 {
		t.Errorf("half open: %d socket was opened, want a second one", n)
	}
}

// outage starts the gateway, has somebody write, begins an outage and has them
// write in it. What is returned ends the outage, has them write once more and
// waits until all is answered.
func (r *slackRig) outage(begin func(*slacktest.Server) (end func())) (finish func()) {
	r.t.Helper()
	u := r.team.User("U0PERSON0", "Person")
	chat, said := r.team.Direct(u), map[string]bool{}
	say := func(text string) { said[text] = true; chat.Say(u, text) }
	r.up()
	say("before")
	r.awaitText(chat, "before")
	end := begin(r.srv)
	say("meanwhile")
	return func() {
		r.t.Helper()
		end()
		say("after")
		r.settle(said)
	}
}

// verb runs a command line beside the gateway, with in as its standard input.
func (r *slackRig) verb(in string, args ...string) (string, error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, gateway(r.t), append(args, "--config", r.config())...) //nolint:gosec // a binary of ours
	cmd.Env, cmd.Stdin = bare(r.dir), strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestSlackIsAdded: one verb asks for what is needed, says what the app lacks,
// keeps the tokens in the vault and connects; a wrong token is refused in words.
func TestSlackIsAdded(t *testing.T) {
	t.Parallel()
	r := newSlackRig(t, slackSettings{})
	tokens := fmt.Sprintf("token=%s\napp_token=%s\n", r.team.Token(), r.srv.AppToken())
	out, err := r.verb("token=xoxb-wrong-wrong-wrong\napp_token="+r.srv.AppToken()+"\n", "channels", "add", "slack", "--id", "more", "--base-url", r.srv.URL())
	if err == nil || strings.Contains(out, "wrong-wrong") {
		t.Errorf("a wrong token: %v\n%s", err, out)
	}
	r.srv.SetScopes("chat:write", "im:history", "users:read")
	r.up()
	r.await("the first channel", func(slacktest.Log) bool { return r.srv.Sockets() == 1 })
	out, err = r.verb(tokens, "channels", "add", "slack", "--id", "more", "--base-url", r.srv.URL())
	if err != nil || !strings.Contains(out, "more is Main (@gatehouse)") || !strings.Contains(out, "files:write") || !strings.Contains(out, `"app_mentions:read"`) || strings.Contains(out, r.team.Token()) {
		t.Fatalf("%v\n%s", err, out)
	}
	r.await("its socket", func(slacktest.Log) bool { return r.srv.Sockets() == 2 })
	out, err = r.verb("", "channels", "list", "--probe")
	if err != nil || !strings.Contains(out, "works as Main (@gatehouse)") {
		t.Errorf("%v\n%s", err, out)
	}
	// Both are the same app; each of them answers with the token of the vault or
	// of the file. Without the file's, only the vault's is left.
	if out, err := r.verb("", "channels", "remove", "team"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r.await("one socket", func(slacktest.Log) bool { return r.srv.Sockets() == 1 })
	ada := r.team.User("U0ADA0000", "Ada")
	r.team.Direct(ada).Say(ada, "hello")
	r.awaitText(r.team.Direct(ada), "I do not know you yet")
}
