package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
)

// TestAppliedWhileAChannelEnds: a channel that takes its time to end holds
// nobody up, and is replaced only when it has ended.
func TestAppliedWhileAChannelEnds(t *testing.T) {
	var slow *lingering
	bubble(t, func() rigOptions {
		return rigOptions{wrap: func(c *chat) channels.Channel { slow = &lingering{chat: c, ended: make(chan struct{})}; return slow }}
	}, func(r *rig) {
		r.settle()
		other := newChat()
		done := make(chan error, 1)
		go func() {
			done <- r.gw.Apply(r.t.Context(), []gateway.ChannelConfig{{
				ID: "chat", Driver: driver{other}, Policy: open, Section: json.RawMessage(`{"changed":true}`),
			}})
		}()
		r.settle()
		began := time.Now()
		r.accept(said("anna", "1", "hello"))
		if _, err := r.gw.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.settle()
		if d := time.Since(began); d != 0 {
			t.Errorf("intake and status waited %v", d)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		select {
		case <-slow.ended:
		default:
			t.Error("the new channel runs beside the old one")
		}
		r.after(time.Minute)
		if n := len(r.chat.sent()) + len(other.sent()); n != 1 {
			t.Errorf("%d answers, want 1", n)
		}
	})
}

// lingering takes seven seconds to end.
type lingering struct {
	*chat
	ended chan struct{}
}

func (l *lingering) Run(ctx context.Context, _ channels.Sink) error {
	<-ctx.Done()
	<-time.After(7 * time.Second)
	close(l.ended)
	return nil
}

// refusing is a driver whose channels cannot be opened.
type refusing struct{ driver }

func (refusing) Open(context.Context, channels.Host, json.RawMessage) (channels.Channel, error) {
	return nil, errors.New("no")
}

// TestApplyIsAllOrNothing: the last good channels stay.
func TestApplyIsAllOrNothing(t *testing.T) {
	bubble(t, plain, func(r *rig) {
		err := r.gw.Apply(t.Context(), []gateway.ChannelConfig{
			{ID: "chat", Driver: driver{newChat()}, Policy: identity.Policy{}, Section: json.RawMessage(`{"changed":true}`)},
			{ID: "new", Driver: refusing{}, Section: json.RawMessage("{}")},
		})
		if err == nil {
			t.Fatal("applied")
		}
		r.accept(said("anna", "1", "hello"))
		if got := r.wait(1); got[0].Text != "echo: hello" {
			t.Errorf("told %q", got[0].Text)
		}
	})
}
