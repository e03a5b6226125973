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

// corded is a lonely channel whose sends leave over the connection of Run.
type corded struct {
	*lonely
	lost    *atomic.Int32 // sends that were asked for without one
	sending chan struct{} // gets a token when a send begins
	hold    chan struct{} // what a send waits for; nil: nothing
}

var _ channels.Tied = (*corded)(nil)

func (*corded) Tied() bool { return true }

func (c *corded) Send(ctx context.Context, p channels.Part) (channels.Receipt, error) {
	if !c.here.Load() {
		c.lost.Add(1)
		return channels.Receipt{}, &channels.Error{Kind: channels.Rejected, Err: errors.New("no connection")}
	}
	if c.hold != nil {
		c.sending <- struct{}{}
		<-c.hold
		if !c.here.Load() {
			c.lost.Add(1)
		}
	}
	return c.chat.Send(ctx, p)
}

// TestTheOneThatRunsDelivers: where a send needs the connection, the gateway
// that has it sends what all of them answered. One that ends finishes its sends
// on the connection first; the next one goes on.
func TestTheOneThatRunsDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := inprocess.New(inprocess.Options{})
		var runs, lost atomic.Int32
		var crowded atomic.Bool
		start := func(hold chan struct{}) (*rig, *corded) {
			var l *corded
			r := newRig(t, rigOptions{engine: shared, others: true, wrap: func(c *chat) channels.Channel {
				l = &corded{lonely: &lonely{chat: c, runs: &runs, crowded: &crowded}, lost: &lost, sending: make(chan struct{}, 8), hold: hold}
				return l
			}})
			return r, l
		}
		hold := make(chan struct{})
		first, a := start(hold)
		first.after(time.Second)
		second, _ := start(nil)
		second.after(time.Second)
		second.accept(said("anna", "1", "one"))
		<-a.sending
		second.after(20 * time.Second)
		if got := second.chat.sent(); len(got) > 0 || lost.Load() > 0 {
			t.Fatalf("the gateway without the connection sent %+v, and %d sends were lost", got, lost.Load())
		}
		ended := make(chan struct{})
		go func() { defer close(ended); first.stop() }()
		second.after(5 * time.Second)
		if !a.here.Load() {
			t.Error("the connection ended before what was sent over it")
		}
		close(hold)
		<-ended
		if got := first.chat.sent(); len(got) != 1 {
			t.Errorf("the first sent %+v", got)
		}
		second.accept(said("anna", "2", "two"))
		if got := second.wait(1); len(got) != 1 || got[0].Text != "echo: two" {
			t.Errorf("the second sent %+v", got)
		}
		second.after(time.Minute)
		if n := len(second.chat.sent()); n != 1 || lost.Load() > 0 || crowded.Load() {
			t.Errorf("the second sent %d, %d were lost, two ran: %v", n, lost.Load(), crowded.Load())
		}
		second.stop()
		_ = shared.Close()
	})
}
