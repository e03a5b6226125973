package gateway_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
)

// lonely is a channel that must run at one place at a time.
type lonely struct {
	*chat
	runs    *atomic.Int32 // of all
	crowded *atomic.Bool
	here    atomic.Bool
}

var _ channels.Sole = (*lonely)(nil)

func (*lonely) Sole() bool { return true }

func (l *lonely) Run(ctx context.Context, s channels.Sink) error {
	if l.runs.Add(1) > 1 {
		l.crowded.Store(true)
	}
	l.here.Store(true)
	defer func() { l.here.Store(false); l.runs.Add(-1) }()
	return l.chat.Run(ctx, s)
}

// severed is an engine that cannot be reached any more once it is cut.
type severed struct {
	bus.Engine
	cut atomic.Bool
}

var errCut = errors.New("no route to the database")

func (s *severed) Get(ctx context.Context, space, key string) (bus.Entry, error) {
	if s.cut.Load() {
		return bus.Entry{}, errCut
	}
	return s.Engine.Get(ctx, space, key)
}

func (s *severed) Write(ctx context.Context, w ...bus.Write) error {
	if s.cut.Load() {
		return errCut
	}
	return s.Engine.Write(ctx, w...)
}

// TestOneGatewayReceives: of several gateways on one database, one runs a
// channel that must not run twice. Another one takes its place when it ends, in
// order or not, and never before.
func TestOneGatewayReceives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := inprocess.New(inprocess.Options{})
		var runs atomic.Int32
		var crowded atomic.Bool
		start := func() (*rig, *lonely, *severed) {
			var l *lonely
			line := &severed{Engine: shared}
			r := newRig(t, rigOptions{engine: line, others: true, wrap: func(c *chat) channels.Channel {
				l = &lonely{chat: c, runs: &runs, crowded: &crowded}
				return l
			}})
			return r, l, line
		}
		first, a, _ := start()
		first.after(time.Second)
		second, b, wire := start()
		second.after(time.Minute)
		if !a.here.Load() || b.here.Load() {
			t.Fatal("the second gateway has taken the place of one that lives")
		}
		if is := second.gw.Ready(); !is.Ready || is.Channels[0].Phase != channels.Standby {
			t.Errorf("the second says %+v", is)
		}
		first.stop()
		second.after(2 * time.Second)
		if !b.here.Load() {
			t.Fatal("nobody took the place of the gateway that was stopped")
		}
		third, c, _ := start()
		third.after(time.Minute)
		wire.cut.Store(true)
		third.after(10 * time.Second)
		if b.here.Load() || !c.here.Load() {
			t.Errorf("10 s after the second was cut off, it receives: %v, the third: %v", b.here.Load(), c.here.Load())
		}
		wire.cut.Store(false)
		third.after(time.Minute)
		if b.here.Load() || !c.here.Load() {
			t.Error("the second came back and took its place again")
		}
		if crowded.Load() {
			t.Error("two received at the same time")
		}
		second.stop()
		third.stop()
		_ = shared.Close()
	})
}

// TestAGatewayAloneNeedsNobodysLeave: nothing is asked where no other gateway
// can be.
func TestAGatewayAloneNeedsNobodysLeave(t *testing.T) {
	var runs atomic.Int32
	var crowded atomic.Bool
	bubble(t, func() rigOptions {
		return rigOptions{wrap: func(c *chat) channels.Channel { return &lonely{chat: c, runs: &runs, crowded: &crowded} }}
	}, func(r *rig) {
		r.after(time.Second)
		if runs.Load() != 1 {
			t.Error("it does not receive")
		}
		if rows, err := r.bus.List(t.Context(), "receiver", "", "", 0); err != nil || len(rows) != 0 {
			t.Errorf("%d rows, %v", len(rows), err)
		}
	})
}
