package e2e_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/emulate/teamstest"
	"github.com/gatehouse-chat/gatehouse/internal/porttest"
)

// officeRig is a gateway with an emulated Microsoft Teams beside the Telegram bot.
// Its module is built outside of the repository.
type officeRig struct {
	*rig
	srv *teamstest.Server
	ada *teamstest.User
}

func newOfficeRig(t *testing.T) *officeRig {
	t.Helper()
	listen := porttest.Keep(t)
	// A token that holds for little more than the minute in which it is replaced.
	srv := teamstest.NewServer(t, "http://"+listen+"/hooks/office/messages", 62*time.Second)
	ada := srv.User("Ada")
	r := newRig(t, settings{
		binary: release(t), script: fileOrBack, listen: listen, agent: []string{"tools: [files]"},
		extra: fmt.Sprintf("  office: {adapter: wasm, module: teams, dm: open, groups: open, send_rate: unlimited, allow: [%q], app_id: %q, tenant: %q, "+
			"token: secret://teams, files_url: %q, service_url: %q, keys_url: %q}\npublic_url: http://%s\n"+
			"egress: {secrets: [{name: teams, inside: ['%s 127.0.0.0/8']}]}\n",
			ada.ID, teamstest.App, teamstest.Tenant, srv.FilesURL(), strings.TrimSuffix(srv.Service(), "/emea"), srv.KeysURL(), listen, strings.TrimPrefix(strings.TrimSuffix(srv.Service(), "/emea"), "http://")),
	})
	twoModels(r)
	set := exec.Command(r.set.binary, "secrets", "set", "teams", "--host", strings.TrimPrefix(strings.TrimSuffix(srv.Service(), "/emea"), "http://"), //nolint:gosec,noctx // a binary of ours, which ends by itself
		"--as", "oauth2-client", "--with", "client_id="+teamstest.App, "--with", "token_url="+srv.TokenURL(), "--with", "scope="+teamstest.Scope, "--config", r.configPath())
	set.Env, set.Stdin = r.env, strings.NewReader(teamstest.Secret)
	if out, err := set.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	foreign(r, release(t), "teams")
	return &officeRig{r, srv, ada}
}

func (r *officeRig) online() {
	r.t.Helper()
	r.start()
	connected := func() bool { return r.proc.log.contains("channel=office kind=connected") }
	if !eventually(patience, func() bool { return connected() || !r.proc.running() }) || !connected() {
		r.t.Fatalf("the channel does not begin\n%s", r.proc.log)
	}
}

// say has Ada write; Teams does not come again by itself, so that she does.
func (r *officeRig) say(c *teamstest.Chat, text, thread string) (id string) {
	r.t.Helper()
	var err error
	if !eventually(patience, func() bool { id, err = c.Say(r.t.Context(), r.ada, text, thread); return err == nil }) {
		r.t.Fatal(err)
	}
	return id
}

func (r *officeRig) find(c *teamstest.Chat, what string, ok func(teamstest.Message) bool) teamstest.Message {
	r.t.Helper()
	var found teamstest.Message
	if !eventually(patience, func() bool {
		for _, m := range c.Messages() {
			if ok(m) {
				found = m
				return true
			}
		}
		return false
	}) {
		r.t.Fatalf("waiting for %s; there is %+v", what, c.Messages())
	}
	return found
}

func (r *officeRig) text(c *teamstest.Chat, part string) teamstest.Message {
	r.t.Helper()
	return r.find(c, part, func(m teamstest.Message) bool { return strings.Contains(m.Text, part) })
}

// TestForeignTeams: the example in Go, through the real binary: only what the Bot
// Framework signed comes in; texts, in direct chats and in threads of channels,
// a card's button, 20 MB in both directions, and the gateway's death in the midst of
// answers.
func TestForeignTeams(t *testing.T) {
	t.Parallel()
	r := newOfficeRig(t)
	direct, channel := r.srv.Direct(r.ada), r.srv.Channel("General")
	r.online()
	for name, token := range map[string]string{
		"none": "", "another issuer": r.srv.Sign(teamstest.Forged{Issuer: "https://evil.example"}),
		"another bot's": r.srv.Sign(teamstest.Forged{Audience: "another"}), "another service": r.srv.Sign(teamstest.Forged{Service: "https://evil.example"}),
		"garbage": "x.y.z",
	} {
		a := direct.Activity(r.ada, "message", "", map[string]any{"text": "forged"})
		if status, _, err := r.srv.Post(t.Context(), token, a); err != nil || status != 401 {
			t.Errorf("%s: status %d, %v", name, status, err)
		}
	}
	r.say(direct, "hello **there**", "")
	r.text(direct, "echo: hello")
	id := r.say(channel, "in the channel", "")
	if m := r.text(channel, "in the channel"); m.Thread != id {
		t.Errorf("the answer is in the thread %q, want %q", m.Thread, id)
	}

	r.say(direct, "/model", "")
	asked := r.find(direct, "buttons", func(m teamstest.Message) bool { return len(m.Attachments) > 0 })
	for _, b := range asked.Attachments[0].Content.Actions {
		if strings.Contains(b.Title, "other") {
			if err := direct.Press(t.Context(), r.ada, asked, b.Title); err != nil {
				t.Errorf("the press: %v", err)
			}
		}
	}
	r.find(direct, "the model is another", func(m teamstest.Message) bool {
		return strings.Contains(m.Text, "small") && (m.ID != asked.ID || m.Edits > 0)
	})

	content := noise(20 << 20)
	if err := direct.Attach(t.Context(), r.ada, "keep this", "backup.bin", content); err != nil {
		t.Fatal(err)
	}
	offer := r.find(direct, "an offer", func(m teamstest.Message) bool {
		return len(m.Attachments) > 0 && m.Attachments[0].Content.Size == int64(len(content))
	})
	r.text(direct, "There you are.")
	r.term() // the file is kept until somebody wants it
	r.online()
	if !eventually(patience, func() bool { return direct.Consent(t.Context(), r.ada, offer, true) == nil }) {
		t.Fatal("the consent is not taken")
	}
	back := r.find(direct, "the file", func(m teamstest.Message) bool { return m.File != nil })
	if !bytes.Equal(back.File, content) || back.Attachments[0].Name != "backup.bin" {
		t.Errorf("%s comes back with %d bytes, or other ones", back.Attachments[0].Name, len(back.File))
	}
	if !eventually(patience, func() bool {
		for _, m := range direct.Messages() {
			if m.ID == offer.ID {
				return false
			}
		}
		return true
	}) {
		t.Error("the offer still stands there")
	}
	r.crash(direct)
	for _, m := range direct.Messages() {
		if strings.Contains(m.Text, "forged") {
			t.Errorf("a request that nobody signed was answered: %q", m.Text)
		}
	}
}

// crash kills the gateway in the midst of answers: each message is answered once,
// also one that Teams would not have at first.
func (r *officeRig) crash(direct *teamstest.Chat) {
	r.t.Helper()
	for i := range 3 {
		said := fmt.Sprintf("slowly, message %d.", i)
		before := len(r.model.Requests())
		r.say(direct, said, "")
		if !eventually(patience, func() bool { return len(r.model.Requests()) > before }) {
			r.t.Fatalf("nobody asks the model\n%s", r.proc.log)
		}
		r.kill()
		r.online()
		r.text(direct, said)
	}
	before := len(r.model.Requests())
	r.srv.Limit(0)
	r.say(direct, "slowly, too much at once.", "")
	if !eventually(patience, func() bool { return len(r.model.Requests()) > before }) {
		r.t.Fatalf("nobody asks the model\n%s", r.proc.log)
	}
	r.srv.Limit(-1)
	r.text(direct, "too much at once")
	// Teams cannot be asked what became of a send: what a kill has left in doubt
	// comes again, with a mark.
	plain, marked := map[string]int{}, map[string]int{}
	for _, m := range direct.Messages() {
		if _, text, ok := strings.Cut(m.Text, "slowly, "); ok && strings.Contains(m.Text, "may be a repetition") {
			marked[text]++
		} else if ok {
			plain[text]++
		}
	}
	for _, text := range []string{"message 0.", "message 1.", "message 2.", "too much at once."} {
		if plain[text] > 1 || marked[text] > 1 || plain[text]+marked[text] == 0 {
			r.t.Errorf("%q has %d answers and %d marked ones: %+v", text, plain[text], marked[text], direct.Messages())
		}
	}
	if r.srv.Tokens() < 2 {
		r.t.Errorf("%d tokens were got, want a new one before the old one ends", r.srv.Tokens())
	}
}
