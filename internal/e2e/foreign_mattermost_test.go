package e2e_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/internal/emulate/mattermosttest"
	"github.com/gatehouse-chat/gatehouse/internal/porttest"
)

// townRig is a gateway with an emulated Mattermost beside the Telegram bot. Its
// module is built outside of the repository.
type townRig struct {
	*rig
	srv *mattermosttest.Server
	ada *mattermosttest.User
}

func newTownRig(t *testing.T) *townRig {
	t.Helper()
	srv := mattermosttest.NewServer(t)
	ada, listen := srv.User("ada"), porttest.Keep(t)
	r := newRig(t, settings{
		binary: release(t), script: fileOrBack, listen: listen, agent: []string{"tools: [files]"},
		extra: fmt.Sprintf("  town: {adapter: wasm, module: mattermost, dm: open, groups: open, send_rate: unlimited, allow: [%q], base_url: %q, token: %q}\npublic_url: http://%s\n",
			ada.ID, srv.URL(), srv.Token(), listen),
	})
	twoModels(r)
	foreign(r, release(t), "mattermost")
	return &townRig{r, srv, ada}
}

// online starts the gateway and waits until the bot has said who it is and the
// channel knows where it is in the stream.
func (r *townRig) online() {
	r.t.Helper()
	r.start()
	connected := func() bool { return r.srv.Online() && r.proc.log.contains("channel=town kind=connected") }
	if !eventually(patience, func() bool { return connected() || !r.proc.running() }) || !connected() {
		r.t.Fatalf("the channel does not connect\n%s", r.proc.log)
	}
}

// find waits for a post of the bot.
func (r *townRig) find(c *mattermosttest.Channel, what string, ok func(mattermosttest.Post) bool) mattermosttest.Post {
	r.t.Helper()
	var found mattermosttest.Post
	if !eventually(patience, func() bool {
		for _, p := range c.Answers() {
			if ok(p) {
				found = p
				return true
			}
		}
		return false
	}) {
		r.t.Fatalf("waiting for %s; there is %+v", what, c.Answers())
	}
	return found
}

func (r *townRig) text(c *mattermosttest.Channel, part string) mattermosttest.Post {
	r.t.Helper()
	return r.find(c, part, func(p mattermosttest.Post) bool { return strings.Contains(p.Text, part) })
}

// fileOrBack sends a file of its own when it is asked to, and else what the person
// sent.
func fileOrBack(q *agenttest.Request) agenttest.Answer {
	if strings.Contains(strings.Join(q.Asked(), "\n"), "make a file") && len(q.Results()) == 0 {
		return agenttest.Use(fmt.Sprintf("call_%d", q.N), "send_file", `{"name":"notes.txt","text":"some notes"}`)
	}
	a := sendBack(q)
	if strings.Contains(strings.Join(q.Asked(), "\n"), "slowly, ") {
		a.Delay = 300 * time.Millisecond // there is something to die in
	}
	return a
}

// TestForeignMattermost: the example in Rust, through the real binary: texts, in
// direct chats, rooms and threads, a button, an edited answer, 20 MB in both
// directions, a gap in the stream, what was said while the gateway was away, and
// its death in the midst of answers.
func TestForeignMattermost(t *testing.T) {
	t.Parallel()
	r := newTownRig(t)
	ada := r.ada
	direct, room := r.srv.Direct(ada), r.srv.Room("town-square", ada)
	room.Say(ada, "@helper before anybody listened", nil)
	r.online()
	direct.Say(ada, "hello **there**", nil)
	r.text(direct, "echo: hello")
	q := room.Say(ada, "@helper in the room", nil)
	if p := r.text(room, "in the room"); p.Root != q.ID {
		t.Errorf("the answer is in the thread %q, want %q", p.Root, q.ID)
	}
	room.Say(ada, "among ourselves", nil)
	room.Say(ada, "no mention, in its thread", q)
	r.text(room, "no mention, in its thread")

	direct.Say(ada, " /model", nil)
	asked := r.find(direct, "buttons", func(p mattermosttest.Post) bool { return len(p.Buttons) > 0 })
	for _, b := range asked.Buttons {
		if strings.Contains(b.Label, "other") {
			if err := r.srv.Press(t.Context(), ada, asked.ID, b.Label); err != nil {
				t.Errorf("the press: %v", err)
			}
		}
	}
	r.find(direct, "the model is another", func(p mattermosttest.Post) bool {
		return strings.Contains(p.Text, "small") && (p.ID != asked.ID || p.EditAt > 0)
	})

	content := noise(20 << 20)
	direct.Attach(ada, "keep this", "backup.bin", content)
	back := r.find(direct, "the file", func(p mattermosttest.Post) bool { return len(p.Files) > 0 })
	if f := back.Files[0]; !bytes.Equal(f.Bytes, content) || f.Name != "backup.bin" {
		t.Errorf("%s comes back with %d bytes, or other ones", f.Name, len(f.Bytes))
	}

	r.srv.Skip(1)
	direct.Say(ada, "lost on the way", nil)
	direct.Say(ada, "and after it", nil)
	r.text(direct, "echo: lost on the way")
	r.text(direct, "and after it")
	r.term()
	for i := range 14 { // more rooms than one call can read
		r.srv.Room(fmt.Sprintf("room-%d", i), ada).Say(ada, fmt.Sprintf("@helper while you were away in %d", i), nil)
	}
	direct.Say(ada, "while you were away", nil)
	r.online()
	r.text(direct, "echo: while you were away")
	said := ""
	for _, c := range []*mattermosttest.Channel{direct, room} {
		for _, p := range c.Answers() {
			said += p.Text + "\n"
		}
	}
	for _, never := range []string{"among ourselves", "before anybody listened"} {
		if strings.Contains(said, never) {
			t.Errorf("%q was answered:\n%s", never, said)
		}
	}
	for _, once := range []string{"lost on the way", "while you were away", "hello"} {
		if n := strings.Count(said, "echo: "+once); n != 1 {
			t.Errorf("%q is answered %d times:\n%s", once, n, said)
		}
	}
	r.crash(direct)
}

// crash kills the gateway in the midst of answers, and once lets nobody know
// whether Mattermost has the post: each message is answered once.
func (r *townRig) crash(direct *mattermosttest.Channel) {
	r.t.Helper()
	for i := range 3 {
		said := fmt.Sprintf("slowly, message %d.", i)
		before := len(r.model.Requests())
		direct.Say(r.ada, said, nil)
		if !eventually(patience, func() bool { return len(r.model.Requests()) > before }) {
			r.t.Fatalf("nobody asks the model\n%s", r.proc.log)
		}
		r.kill()
		r.online()
		r.text(direct, said)
	}
	r.srv.LoseAnswer("POST /posts")
	direct.Say(r.ada, "slowly, its answer's answer is lost.", nil)
	r.text(direct, "its answer's answer is lost")
	direct.Say(r.ada, "slowly, last.", nil)
	r.text(direct, "slowly, last")
	n := 0
	for _, p := range direct.Answers() {
		n += strings.Count(p.Text, "slowly, ")
		if strings.Contains(p.Text, "repetition") {
			r.t.Errorf("marked: %q", p.Text)
		}
	}
	if n != 5 {
		r.t.Errorf("%d answers to 5 messages: %+v", n, direct.Answers())
	}
}
