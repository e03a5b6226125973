package discord_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/discordtest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

func slashed(l *live) channels.Event {
	return l.sink.WaitEvent("a command", func(e channels.Event) bool { _, ok := e.Content.(channels.Command); return ok })
}

// A command is acknowledged once it is durable, and the first part of its reply
// takes the place of "… is thinking"; what follows are messages.
func TestSlashCommand(t *testing.T) {
	l := newLive(t)
	hold := l.sink.Block()
	l.Room.Slash(l.Alice, "model", "fast")
	hold.Wait()
	if l.Srv.Answered() != 0 {
		t.Error("it was acknowledged before it was durable")
	}
	hold.Release()
	e := slashed(l)
	if c := e.Content.(channels.Command); c.Name != "model" || c.Args != "fast" || e.Via == nil || !e.Addressed {
		t.Errorf("%+v", e)
	}
	first := channels.Part{Key: "turn/0", To: e.Where, Via: e.Via, Body: markup.Plain("the model is fast")}
	r := l.send(t, first)
	if again := l.send(t, first); again.ID != r.ID {
		t.Errorf("the same part is %s and %s", r.ID, again.ID)
	}
	l.send(t, channels.Part{Key: "turn/1", To: e.Where, Via: e.Via, Body: markup.Plain("and cheap")})
	if got := strings.Join(l.Room.Said(), "|"); got != "the model is fast|and cheap" {
		t.Errorf("the room reads %q", got)
	}
	if l.Srv.Answered() != 1 || l.Srv.Thinking() != 0 {
		t.Errorf("%d answers, %d are still waited for", l.Srv.Answered(), l.Srv.Thinking())
	}
	l.send(t, channels.Part{Key: "turn/0", To: e.Where, Via: e.Via, Replaces: r.ID, Body: markup.Plain("changed")})
	if got := l.Room.Said()[0]; got != "changed" {
		t.Errorf("the reply reads %q", got)
	}
}

// A reply whose interaction has ended goes the ordinary way.
func TestReplyAfterTheInteraction(t *testing.T) {
	l := newLive(t)
	l.Srv.Fail("POST callback", discordtest.Status(404, 10062).Always())
	l.Srv.DM(l.Alice).Slash(l.Alice, "help", "")
	e := slashed(l)
	l.send(t, channels.Part{Key: "turn/0", To: e.Where, Via: e.Via, Body: markup.Plain("late, but there")})
	if got := l.Srv.DM(l.Alice).Said(); len(got) != 1 || got[0] != "late, but there" {
		t.Errorf("%q", got)
	}
}

// An acknowledgement that meets a failing platform is tried again.
func TestAcknowledgementIsTriedAgain(t *testing.T) {
	l := newLive(t)
	l.Srv.Fail("POST callback", discordtest.Status(502, 0).Times(2))
	l.Srv.DM(l.Alice).Slash(l.Alice, "help", "")
	eventually(t, "the acknowledgement", func() bool { return l.Srv.Answered() == 1 })
}

func TestInteractionsByHTTP(t *testing.T) {
	l := newLive(t)
	front := httptest.NewServer(l.ch.Receive(l.sink))
	defer front.Close()
	if err := l.Srv.Endpoint(front.URL); err != nil {
		t.Fatal(err)
	}
	l.Thread.Slash(l.Alice, "help", "me")
	e := slashed(l)
	if e.Where.Conversation != channels.ConversationID(l.Room.ID) || e.Where.Thread != channels.ThreadID(l.Thread.ID) {
		t.Errorf("%+v", e.Where)
	}
	eventually(t, "the acknowledgement", func() bool { return l.Srv.Answered() == 1 })
	l.send(t, channels.Part{Key: "turn/0", To: e.Where, Via: e.Via, Body: markup.Plain("help")})
	if got := strings.Join(l.Thread.Said(), "|"); got != "help" {
		t.Errorf("the thread reads %q", got)
	}
	r := l.send(t, channels.Part{Key: "turn/1", To: e.Where, Body: markup.Plain("sure?"), Buttons: []channels.Button{{Label: "Yes", Data: "y"}}})
	l.Thread.Press(l.Alice, string(r.ID), "Yes")
	l.sink.WaitEvent("the press", func(e channels.Event) bool { p, ok := e.Content.(channels.Press); return ok && p.Data == "y" })
	l.sink.FailNext(context.DeadlineExceeded)
	before := l.Srv.Answered()
	l.Thread.Slash(l.Alice, "help", "again")
	l.sink.WaitAttempts(4)
	if l.Srv.Answered() > before+1 {
		t.Error("it was acknowledged although it was not kept")
	}
}

func TestHTTPFailsClosed(t *testing.T) {
	l := newLive(t)
	h := l.ch.Receive(l.sink)
	for name, tt := range map[string]struct {
		method, body string
		header       map[string]string
		want         int
	}{
		"unsigned":       {"POST", `{"type":1}`, nil, http.StatusUnauthorized},
		"a wrong method": {"GET", "", nil, http.StatusMethodNotAllowed},
		"garbage": {"POST", `{"type":1}`, map[string]string{
			"X-Signature-Ed25519": "zz", "X-Signature-Timestamp": "1",
		}, http.StatusUnauthorized},
		"a signature of nothing": {"POST", `{"type":1}`, map[string]string{
			"X-Signature-Ed25519": strings.Repeat("0", 128), "X-Signature-Timestamp": "1767225600",
		}, http.StatusUnauthorized},
		"huge": {"POST", strings.Repeat(" ", 2<<20), nil, http.StatusRequestEntityTooLarge},
	} {
		req := httptest.NewRequestWithContext(t.Context(), tt.method, "/hooks/support", strings.NewReader(tt.body))
		for k, v := range tt.header {
			req.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code != tt.want {
			t.Errorf("%s: status %d, want %d", name, w.Code, tt.want)
		}
	}
	if n := len(l.sink.Events()); n != 0 {
		t.Errorf("%d events", n)
	}
}
