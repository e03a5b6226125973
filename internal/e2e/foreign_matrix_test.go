package e2e_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/internal/emulate/matrixtest"
)

const ada, bo = "@ada:example.org", "@bo:example.org"

// matrixRig is a gateway with an account on a homeserver, whose channel is the
// example in C.
type matrixRig struct {
	*rig
	home *matrixtest.Server
}

func newMatrixRig(t *testing.T, set settings, keys string) *matrixRig {
	t.Helper()
	home := matrixtest.NewServer(t)
	set.binary = release(t) // the race detector has nothing to see in a guest
	set.extra += fmt.Sprintf("  rooms: {adapter: wasm, module: matrix, dm: open, groups: open, send_rate: unlimited, base_url: %q, token: %q%s}\n",
		home.URL(), home.Token(), keys)
	r := &matrixRig{newRig(t, set), home}
	foreign(r.rig, set.binary, "matrix")
	return r
}

// shows waits until the bot's messages in a room are as they should be.
func (r *matrixRig) shows(what string, room *matrixtest.Room, ok func([]matrixtest.Shown) bool) []matrixtest.Shown {
	r.t.Helper()
	if !r.home.Until(patience, func() bool { return ok(room.Shown()) }) {
		r.t.Fatalf("%s: shown are %+v; problems: %q\n%s", what, room.Shown(), r.home.Problems(), r.verb("status"))
	}
	return room.Shown()
}

// said waits for a message of the bot that contains a text.
func (r *matrixRig) said(room *matrixtest.Room, text string) matrixtest.Shown {
	r.t.Helper()
	var found matrixtest.Shown
	r.shows(fmt.Sprintf("%q", text), room, func(all []matrixtest.Shown) bool {
		for _, m := range all {
			if strings.Contains(m.Text, text) {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

func (r *matrixRig) fine() {
	r.t.Helper()
	r.term()
	if bad := r.home.Problems(); len(bad) > 0 {
		r.t.Errorf("the homeserver refused: %q", bad)
	}
}

// TestMatrix: a module that somebody made outside of the repository talks to
// people in direct chats, in rooms and in threads.
func TestMatrix(t *testing.T) {
	t.Parallel()
	r := newMatrixRig(t, settings{}, `, stream: "off"`)
	direct, lounge := r.home.Direct(ada, "Ada"), r.home.Room("Lounge", map[string]string{ada: "Ada", bo: "Bo"})
	direct.Say(ada, "written before you came in")
	lounge.Say(bo, "not for you")
	r.up()
	r.said(direct, "echo: written before you came in")
	if typed, read := direct.Typed(); typed > 0 && read == "" {
		t.Errorf("it typed %d times, and has read nothing", typed)
	}
	root := lounge.Mention(bo, "what is this", "")
	if m := r.said(lounge, "echo: Bo: bot: what is this"); m.ReplyTo != root || m.Thread != "" {
		t.Errorf("the answer to %s is %+v", root, m)
	}
	lounge.Mention(ada, "in here", root)
	if m := r.said(lounge, "bot: in here"); m.Thread != root {
		t.Errorf("the answer in the thread of %s is %+v", root, m)
	}
	direct.Say(ada, "/whoami")
	r.said(direct, ada)
	direct.Encrypted(ada)
	r.said(direct, "cannot read messages that are encrypted")
	direct.Encrypted(ada)
	direct.Say(ada, "**bold**")
	if m := r.said(direct, "bold"); !strings.Contains(m.HTML, "<strong>bold</strong>") || strings.Contains(m.Text, "*") {
		t.Errorf("in two forms: %+v", m)
	}
	notices := 0
	for _, m := range direct.Shown() {
		if m.Notice {
			notices++
		}
	}
	if notices != 1 || len(lounge.Shown()) != 2 {
		t.Errorf("%d notices, and in the lounge %+v", notices, lounge.Shown())
	}
	r.fine()
}

// TestMatrixDrafts: an answer grows by replacing what stands there.
func TestMatrixDrafts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("and so it went on. ", 40)
	script := agenttest.Slow(func(*agenttest.Request) agenttest.Answer { return agenttest.Say(long + "The end.") }, 0, 400*time.Millisecond, 12)
	r := newMatrixRig(t, settings{script: script}, `, stream: edit`)
	direct := r.home.Direct(ada, "Ada")
	r.up()
	direct.Say(ada, "tell me")
	all := r.shows("the end", direct, func(all []matrixtest.Shown) bool {
		return len(all) > 0 && strings.Contains(all[len(all)-1].Text, "The end.")
	})
	if len(all) != 1 || all[0].Edits == 0 {
		t.Errorf("shown are %+v", all)
	}
	r.fine()
}

// TestMatrixButtons: the platform has no buttons, so that what would be one is
// something to write.
func TestMatrixButtons(t *testing.T) {
	t.Parallel()
	r := newMatrixRig(t, settings{}, fmt.Sprintf(", allow: [%q]", ada))
	twoModels(r.rig)
	direct := r.home.Direct(ada, "Ada")
	r.up()
	direct.Say(ada, "/model")
	r.said(direct, "To choose another, write /model")
	direct.Say(ada, "/model other")
	r.said(direct, "From now on I use")
	r.fine()
}

// TestMatrixFile: 20 MB come in and go out again, past a guest of 32 MB.
func TestMatrixFile(t *testing.T) {
	t.Parallel()
	r := newMatrixRig(t, settings{script: sendBack, agent: []string{"tools: [files]"}}, fmt.Sprintf(", allow: [%q]", ada))
	direct := r.home.Direct(ada, "Ada")
	r.up()
	content := noise(20 << 20)
	direct.Attach(ada, "keep this", matrixtest.File{Name: "backup.bin", MIME: "application/octet-stream", Bytes: content})
	all := r.shows("the file", direct, func(all []matrixtest.Shown) bool {
		for _, m := range all {
			if m.File != nil {
				return true
			}
		}
		return false
	})
	for _, m := range all {
		if m.File != nil && (!bytes.Equal(m.File.Bytes, content) || m.File.Name != "backup.bin") {
			t.Errorf("%s with %d bytes came back", m.File.Name, len(m.File.Bytes))
		}
	}
	r.said(direct, "There you are.")
	r.fine()
}

// TestMatrixCrash: killed in the midst of answers, it answers each message once:
// the homeserver knows a transaction that comes again, so that nothing is marked.
func TestMatrixCrash(t *testing.T) {
	t.Parallel()
	r := newMatrixRig(t, settings{script: agenttest.Slow(agenttest.Echo, 300*time.Millisecond, 0, 1)}, "")
	direct := r.home.Direct(ada, "Ada")
	r.up()
	direct.Say(ada, "first.")
	r.said(direct, "echo: first.")
	for n, fault := range []matrixtest.Fault{{}, {Path: "/send/m.room.message/", After: true}} {
		if fault.Path != "" {
			r.home.Fail(fault)
		}
		text := fmt.Sprintf("text %d.", n)
		asked := len(r.model.Requests())
		direct.Say(ada, text)
		if !eventually(patience, func() bool { return len(r.model.Requests()) > asked }) {
			t.Fatal("the model is not asked")
		}
		if fault.Path == "" {
			r.kill()
			direct.Say(ada, "while you were away.")
			r.up()
			r.said(direct, "while you were away.") // with the one before, or after it
		}
		r.said(direct, text)
	}
	direct.Say(ada, "last.")
	r.said(direct, "last.")
	all := ""
	for _, m := range direct.Shown() {
		all += m.Text + "\n"
	}
	for _, text := range []string{"first.", "text 0.", "while you were away.", "text 1.", "last."} {
		if n := strings.Count(all, text); n != 1 {
			t.Errorf("%q is answered %d times:\n%s", text, n, all)
		}
	}
	if strings.Contains(all, "repetition") {
		t.Errorf("something is marked:\n%s", all)
	}
	r.fine()
}
