package slack_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/slack/codec"
	"github.com/gatehouse-chat/gatehouse/adapters/slack/slacktest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// sent asks the channel whether a part was sent.
func (r *run) sent(p channels.Part, since time.Time) (channels.Receipt, bool, error) {
	r.t.Helper()
	return r.ch.(channels.Reconciler).Sent(r.t.Context(), p, since)
}

// TestSentIsFound among what others said since, within threads and beside them,
// on whatever page it stands; and what is older is not looked at.
func TestSentIsFound(t *testing.T) {
	r := start(t, "socket", nil)
	began := time.Now()
	r.Room.Say(r.Alice, r.Team.Mention()+" hello")
	e := r.hear("hello")
	beside := e.Where
	beside.Thread = ""
	for name, at := range map[string]channels.Address{"in a thread": e.Where, "beside them": beside} {
		p := channels.Part{Key: "turn/" + name, To: at, Body: markup.Plain("an answer")}
		want := r.send(p)
		thread := []slacktest.SayOption(nil)
		if at.Thread != "" {
			thread = append(thread, slacktest.InThread(string(at.Thread)))
		}
		for i := range 250 { // more than a page
			r.Room.Say(r.Alice, fmt.Sprint("said ", i), thread...)
		}
		got, was, err := r.sent(p, began)
		if err != nil || !was || got.ID != want.ID || got.At.IsZero() {
			t.Errorf("%s: %+v, %v, %v; want %s", name, got, was, err, want.ID)
		}
		p.Key = "another"
		if _, was, err := r.sent(p, began); was || err != nil {
			t.Errorf("%s: what was never sent: %v, %v", name, was, err)
		}
		p.Key = "turn/" + name
		if _, was, err := r.sent(p, time.Now().Add(time.Hour)); was || err != nil {
			t.Errorf("%s: what is older: %v, %v", name, was, err)
		}
	}
}

// TestNobodyCanTell of messages that Slack keeps in no history, nor where the app
// may not read it.
func TestNobodyCanTell(t *testing.T) {
	blind := slices.DeleteFunc(codec.Wanted(), func(s string) bool { return s == "channels:history" })
	r := start(t, "socket", nil, slacktest.WithScopes(blind...))
	r.Room.Say(r.Alice, r.Team.Mention()+" hello")
	e := r.hear("hello")
	for name, p := range map[string]channels.Part{
		"the scope is missing": {Key: "a", To: e.Where, Body: markup.Plain("x")},
		"for one person":       {Key: "a", To: e.Where, Body: markup.Plain("x"), Audience: channels.Audience{Only: r.Alice.ID}},
		"a file":               {Key: "a", To: e.Where, Files: []channels.File{{Name: "a.txt"}}},
		"without a key":        {To: e.Where, Body: markup.Plain("x")},
	} {
		if _, was, err := r.sent(p, time.Now()); was || !errors.Is(err, channels.ErrCannotTell) {
			t.Errorf("%s: %v, %v", name, was, err)
		}
	}
}
