package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
)

// TestAnswersElsewhere: what a channel is asked is answered in another
// channel's conversation, and whoever waits for the answer can read it.
func TestAnswersElsewhere(t *testing.T) {
	slow := runner(func(_ context.Context, t agent.Turn, p agent.Port) (agent.Result, error) {
		p.Draft("something that is long enough to be shown as a draft")
		<-time.After(10 * time.Second)
		return reply("echo: " + texts(t.Events)), nil
	})
	bubble(t, func() rigOptions { return rigOptions{agent: gateway.AgentSettings{Runner: slow}} }, func(r *rig) {
		hook := newChat()
		cfg := func(id channels.ID, c *chat, to *channels.Address) gateway.ChannelConfig {
			return gateway.ChannelConfig{ID: id, Driver: driver{c}, Policy: open, Section: json.RawMessage("{}"), Stream: id == "hook", ReplyTo: to}
		}
		to := channels.Address{Channel: "chat", Conversation: "ops", Thread: "7"}
		if err := r.gw.Apply(t.Context(), []gateway.ChannelConfig{cfg("chat", r.chat, nil), cfg("hook", hook, &to)}); err != nil {
			t.Fatal(err)
		}
		e := said("build", "1", "it broke")
		e.Where = channels.Address{Channel: "hook", Conversation: "ci"}
		if err := r.gw.Sink("hook").Accept(t.Context(), channels.Batch{Events: []channels.Event{e, e}}); err != nil {
			t.Fatal(err)
		}
		r.wait(1)
		r.after(time.Minute)
		if d := cmp.Diff([]sent{{To: "ops", Text: "echo: it broke"}}, r.chat.sent()); d != "" {
			t.Error(d)
		}
		if len(hook.sent()) != 0 || hook.typed != 0 {
			t.Errorf("where it came from there are %+v, and typing %d times", hook.sent(), hook.typed)
		}
		n := 0
		for p, err := range r.gw.Sink("hook").Replies(t.Context(), "", "1") {
			if err != nil || p.To != to {
				t.Errorf("%+v %v", p.To, err)
			}
			n++
		}
		if n != 1 {
			t.Errorf("%d replies can be read", n)
		}
		// A command is answered there as well.
		c := ordered("build", "2", "whoami", "")
		c.Where = e.Where
		if err := r.gw.Sink("hook").Accept(t.Context(), channels.Batch{Events: []channels.Event{c}}); err != nil {
			t.Fatal(err)
		}
		if got := r.wait(2); got[1].To != "ops" {
			t.Errorf("the command is answered in %q", got[1].To)
		}
	})
}

// recognises is a platform that knows a part that comes again.
type recognises struct {
	*chat
	lasts time.Duration
}

func (r recognises) Idempotent() time.Duration { return r.lasts }

// TestRepeatedWithoutDoubt: where a repetition does no harm, a send whose end is
// unknown is repeated for as long as it takes, and not marked.
func TestRepeatedWithoutDoubt(t *testing.T) {
	bubble(t, func() rigOptions {
		return rigOptions{wrap: func(c *chat) channels.Channel { return recognises{c, 0} }}
	}, func(r *rig) {
		lost := &channels.Error{Op: "send", Channel: "chat", Kind: channels.Ambiguous, Err: errors.New("no answer")}
		r.chat.fail(true, lost, lost, lost, lost)
		r.accept(said("anna", "1", "hello"))
		r.after(10 * time.Minute)
		for _, text := range sentTexts(r.chat.sent()) {
			if text != "echo: hello" {
				t.Errorf("it reads %q", text)
			}
		}
		if n := len(r.chat.sent()); n != 5 {
			t.Errorf("it was sent %d times", n)
		}
	})
}

// TestRepeatedWithoutDoubtForAWhile: once the platform may have forgotten the
// first, a repetition is marked, and there is one.
func TestRepeatedWithoutDoubtForAWhile(t *testing.T) {
	bubble(t, func() rigOptions {
		return rigOptions{wrap: func(c *chat) channels.Channel { return recognises{c, 3 * time.Second} }}
	}, func(r *rig) {
		lost := &channels.Error{Op: "send", Channel: "chat", Kind: channels.Ambiguous, Err: errors.New("no answer"), RetryAfter: 2 * time.Second}
		r.chat.fail(true, lost, lost)
		r.accept(said("anna", "1", "hello"))
		r.after(10 * time.Minute)
		got := sentTexts(r.chat.sent())
		if len(got) != 3 || got[0] != "echo: hello" || got[1] != "echo: hello" || got[2] == "echo: hello" {
			t.Errorf("it was sent as %q", got)
		}
	})
}
