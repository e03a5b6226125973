package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/internal/emulate/linetest"
	"github.com/gatehouse-chat/gatehouse/internal/porttest"
)

// lineRig is a gateway that LINE calls, whose channel is the example in
// JavaScript.
type lineRig struct {
	*rig
	line *linetest.Server
}

func newLineRig(t *testing.T, set settings, keys string) *lineRig {
	t.Helper()
	platform := linetest.NewServer(t)
	set.listen, set.binary = porttest.Keep(t), withEngine(t) // the race detector has nothing to see in a guest
	set.extra += fmt.Sprintf("  line: {adapter: wasm, module: line, dm: open, groups: open, send_rate: unlimited, base_url: %q, data_url: %q, token: %q, channel_secret: %q%s}\n"+
		"public_url: http://%s\n", platform.URL(), platform.URL(), linetest.Token, linetest.Secret, keys, set.listen)
	r := &lineRig{newRig(t, set), platform}
	foreign(r.rig, set.binary, "line")
	return r
}

// up starts the gateway and waits until LINE can call it.
func (r *lineRig) up() {
	r.t.Helper()
	r.rig.up()
	if !eventually(patience, func() bool { return r.line.Endpoint() != "" && r.line.Verify() }) {
		r.t.Fatalf("it cannot be called\n%s", r.verb("status"))
	}
}

// said waits for a message of the bot that contains a text.
func (r *lineRig) said(chat, text string) linetest.Shown {
	r.t.Helper()
	var found linetest.Shown
	if !eventually(patience, func() bool {
		r.line.Redeliver()
		for _, m := range r.line.Shown(chat) {
			if strings.Contains(m.Text, text) {
				found = m
				return true
			}
		}
		return false
	}) {
		r.t.Fatalf("%q: shown are %+v; problems: %q\n%s", text, r.line.Shown(chat), r.line.Problems(), r.verb("status"))
	}
	return found
}

func (r *lineRig) fine() {
	r.t.Helper()
	r.term()
	if bad := r.line.Problems(); len(bad) > 0 {
		r.t.Errorf("the platform refused: %q", bad)
	}
}

// TestLine: a module that somebody made outside of the repository is called by
// the platform and by nobody else, answers with the event's token, and pushes when
// that has ended. What cannot be edited does not grow.
func TestLine(t *testing.T) {
	t.Parallel()
	r := newLineRig(t, settings{script: agenttest.Slow(agenttest.Echo, 400*time.Millisecond, 100*time.Millisecond, 4)}, ", stream: edit")
	anna, group := r.line.Person("Anna"), r.line.Group("Lounge")
	r.up()
	r.line.Say(anna, anna, "hello")
	if m := r.said(anna, "echo: hello"); !m.Replied {
		t.Errorf("it is not by the reply token: %+v", m)
	}
	r.line.Say(group, anna, "not for you")
	r.line.Mention(group, anna, "for you")
	r.said(group, "for you")
	if r.line.Loading(anna) == 0 || len(r.line.Shown(anna)) != 1 || len(r.line.Shown(group)) != 1 {
		t.Errorf("at work %d times; shown %+v, %+v", r.line.Loading(anna), r.line.Shown(anna), r.line.Shown(group))
	}
	forged := []byte(`{"destination":"x","events":[{"type":"message","message":{"type":"text","id":"1","text":"forged"}}]}`)
	for _, signature := range []string{"", "bm8="} {
		if status, err := r.line.Post(forged, signature); err != nil || status != http.StatusUnauthorized {
			t.Errorf("signed %q: %d, %v", signature, status, err)
		}
	}
	asked := len(r.model.Requests())
	r.line.Say(anna, anna, "take your time")
	if !eventually(patience, func() bool { return len(r.model.Requests()) > asked }) {
		t.Fatal("the model is not asked")
	}
	r.line.EndTokens()
	if m := r.said(anna, "echo: take your time"); m.Replied {
		t.Errorf("it is by a token that has ended: %+v", m)
	}
	r.fine()
}

// TestLineButtons: a button is pressed, and what it was made with comes back.
func TestLineButtons(t *testing.T) {
	t.Parallel()
	r := newLineRig(t, settings{policy: "open"}, "")
	anna := r.line.Person("Anna")
	r.set.extra = strings.Replace(r.set.extra, "channel_secret", fmt.Sprintf("allow: [%q], channel_secret", anna), 1)
	twoModels(r.rig)
	r.up()
	r.line.Say(anna, anna, "/model")
	m := r.said(anna, "To choose another")
	if len(m.Buttons) != 1 || m.Buttons[0].Label != "other" {
		t.Fatalf("the buttons are %+v", m.Buttons)
	}
	r.line.Press(anna, m.Buttons[0].Data)
	r.said(anna, "From now on I use")
	r.fine()
}

// TestLineFile: 20 MB come in and go out again. The platform takes no file from a
// bot: it fetches films under a link of the gateway's, and people fetch what it has
// no message for. Nobody else does.
func TestLineFile(t *testing.T) {
	t.Parallel()
	r := newLineRig(t, settings{script: sendBack, agent: []string{"tools: [files]"}}, "")
	anna := r.line.Person("Anna")
	r.set.extra = strings.Replace(r.set.extra, "channel_secret", fmt.Sprintf("allow: [%q], channel_secret", anna), 1)
	r.configure()
	r.up()
	film := append([]byte("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"), noise(20<<20)...)
	for _, tt := range []struct {
		name, shown, mime, how string
		content                []byte
	}{
		{"backup.bin", "template", "application/octet-stream", "attachment; filename=backup.bin", noise(20 << 20)},
		{"clip.mp4", "video", "video/mp4", "inline; filename=clip.mp4", film},
	} {
		r.line.Attach(anna, tt.name, tt.content)
		m := r.shows(anna, tt.shown)
		got, header, err := r.line.Open(m.URL)
		if err != nil || !bytes.Equal(got, tt.content) {
			t.Fatalf("%s: %d bytes came back under %s, %v", tt.name, len(got), m.URL, err)
		}
		if header.Get("Content-Type") != tt.mime || header.Get("Content-Disposition") != tt.how {
			t.Errorf("%s: %v", tt.name, header)
		}
		if m.Preview != "" {
			if got, header, err := r.line.Open(m.Preview); err != nil || header.Get("Content-Type") != "image/png" || !bytes.HasPrefix(got, []byte("\x89PNG")) {
				t.Errorf("what it shows before: %d bytes, %v, %v", len(got), header, err)
			}
		}
		link, _, _ := strings.Cut(m.URL, "?")
		if _, _, err := r.line.Open(link[:len(link)-1] + "."); err == nil || !strings.Contains(err.Error(), "404") {
			t.Errorf("another link: %v", err)
		}
	}
	if said := r.verb("audit", "list", "--kind", "egress"); strings.Count(said, "lent") < 3 || strings.Contains(said, "backup.bin") {
		t.Errorf("the audit log says\n%s", said)
	}
	r.fine()
}

// shows waits for a message of a type.
func (r *lineRig) shows(chat, kind string) linetest.Shown {
	r.t.Helper()
	var found linetest.Shown
	if !eventually(patience, func() bool {
		r.line.Redeliver()
		for _, m := range r.line.Shown(chat) {
			if m.Type == kind {
				found = m
				return true
			}
		}
		return false
	}) {
		r.t.Fatalf("no %s: shown are %+v; problems: %q\n%s", kind, r.line.Shown(chat), r.line.Problems(), r.verb("status"))
	}
	return found
}

// TestLineCrash: killed in the midst of an answer, it answers once; what was said
// meanwhile is delivered again by the platform. A push whose end is not known is
// made again under its retry key, and a reply is marked.
func TestLineCrash(t *testing.T) {
	t.Parallel()
	r := newLineRig(t, settings{script: agenttest.Slow(agenttest.Echo, 300*time.Millisecond, 0, 1)}, "")
	anna := r.line.Person("Anna")
	r.up()
	asked := len(r.model.Requests())
	r.line.Say(anna, anna, "first.")
	if !eventually(patience, func() bool { return len(r.model.Requests()) > asked }) {
		t.Fatal("the model is not asked")
	}
	r.kill()
	r.line.Say(anna, anna, "while you were away.")
	r.up()
	r.said(anna, "first.")
	r.said(anna, "while you were away.") // with the one before, or after it

	r.line.Fail(linetest.Fault{Path: "/message/push", After: true})
	asked = len(r.model.Requests())
	r.line.Say(anna, anna, "pushed.")
	if !eventually(patience, func() bool { return len(r.model.Requests()) > asked }) {
		t.Fatal("the model is not asked")
	}
	r.line.EndTokens()
	r.said(anna, "echo: pushed.")
	r.line.Say(anna, anna, "last.")
	r.said(anna, "echo: last.")
	for _, text := range []string{"first.", "while you were away.", "pushed.", "last."} {
		n := 0
		for _, m := range r.line.Shown(anna) {
			if strings.Contains(m.Text, text) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%q is answered %d times", text, n)
		}
	}
	r.fine()
}
