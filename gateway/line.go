package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
)

// line is one running channel: its connection, its intake and its courier.
type line struct {
	g       *Gateway
	id      channels.ID
	host    *host
	ch      channels.Channel
	sink    *intake
	courier *delivery.Courier

	cancel context.CancelFunc // set, as done, when it is started
	done   chan struct{}      // closed when everything of the line has ended; nil before start

	mended chan struct{} // holds one: somebody has done something about why it ended

	mu  sync.Mutex
	cfg ChannelConfig
}

// newLine opens a channel, without I/O.
func (g *Gateway) newLine(ctx context.Context, c ChannelConfig) (*line, error) {
	l := &line{g: g, id: c.ID, cfg: c, sink: &intake{g: g, id: c.ID}, mended: make(chan struct{}, 1)}
	l.host = newHost(g, c)
	ch, err := c.Driver.Open(ctx, l.host, c.Section)
	if err != nil {
		return nil, err
	}
	l.ch = ch
	l.courier = delivery.New(delivery.Options{
		Bus: g.bus, Channel: ch, Files: g.blobs, ID: c.ID, Seals: g.seals, Unlimited: c.Unlimited, Now: g.now, Log: g.log, Observer: g.metrics,
	})
	return l, nil
}

// start starts a line, for as long as ctx lasts. The sends that are under way
// at its end finish while the channel still runs: some platforms are spoken to
// on the connection on which they are heard.
func (l *line) start(ctx context.Context) {
	ctx, l.cancel = context.WithCancel(ctx)
	l.done = make(chan struct{})
	go func() {
		defer close(l.done)
		receiving, end := context.WithCancel(context.WithoutCancel(ctx))
		defer end()
		var all sync.WaitGroup
		if l.tied() {
			all.Go(func() { l.register(ctx) })
			l.receive(ctx)
			all.Wait()
			return
		}
		all.Go(func() { l.receive(receiving) })
		all.Go(func() { l.register(receiving) })
		_ = l.courier.Run(ctx) // returns when ctx ends
		end()
		all.Wait()
	}()
}

// stop ends a line and waits until nothing of it runs any more.
func (l *line) stop() {
	if l.done == nil {
		return
	}
	l.cancel()
	<-l.done
}

// The pauses before a channel that gave up is started again.
const (
	reopenFirst = 2 * time.Second
	reopenMost  = 5 * time.Minute
)

// receive keeps the channel's Run going. One channel's failures never touch
// another's.
func (l *line) receive(ctx context.Context) {
	pause, said := reopenFirst, ""
	for {
		began := l.g.now()
		err := l.run(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errReplaced) {
			l.g.log.Warn("another gateway has taken over; waiting for its end", "channel", l.id)
			continue
		}
		if l.g.now().Sub(began) > reopenMost {
			pause, said = reopenFirst, ""
		}
		if h := l.host.Health(); h.Phase != channels.Broken {
			l.host.Report(channels.Health{Phase: channels.Retrying, Err: err, Fix: h.Fix, As: h.As})
		}
		if reason := fmt.Sprint(err); reason != said {
			l.g.log.Error("channel ended; it is started again until it stays", "channel", l.id, "err", err)
			said = reason
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
			pause = min(2*pause, reopenMost)
		case <-l.mended:
			t.Stop()
			pause = reopenFirst
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

var errPanicked = errors.New("the adapter panicked")

// run runs the channel, where it must not run twice as soon as no other gateway
// does.
func (l *line) run(ctx context.Context) error {
	if l.alone() {
		return l.receiveAlone(ctx)
	}
	return l.runOnce(ctx)
}

// alone reports whether one of several gateways runs the channel.
func (l *line) alone() bool {
	s, ok := channels.As[channels.Sole](l.ch)
	return ok && l.g.replicas && s.Sole()
}

// tied reports whether that one also delivers for it, and nobody else.
func (l *line) tied() bool {
	t, ok := channels.As[channels.Tied](l.ch)
	return ok && l.alone() && t.Tied()
}

// runOnce shields the process from an adapter that panics.
func (l *line) runOnce(ctx context.Context) (err error) {
	defer l.recovered(&err)
	return l.ch.Run(ctx, l.sink)
}

func (l *line) registerOnce(ctx context.Context, c channels.Commander) (err error) {
	defer l.recovered(&err)
	return c.Register(ctx, commandSpecs())
}

// recovered makes an error of an adapter's panic. It is to be deferred.
func (l *line) recovered(err *error) {
	if p := recover(); p != nil {
		l.g.log.Error("adapter panicked", "channel", l.id, "err", p, "stack", string(debug.Stack()))
		*err = errPanicked
	}
}

// register shows the commands natively, once the channel is connected.
func (l *line) register(ctx context.Context) {
	c, ok := channels.As[channels.Commander](l.ch)
	if !ok {
		return
	}
	pause := reopenFirst
	for l.host.waitConnected(ctx) == nil {
		err := l.registerOnce(ctx, c)
		if err == nil || ctx.Err() != nil {
			return
		}
		l.g.log.Warn("register commands", "channel", l.id, "err", err)
		t := time.NewTimer(max(pause, channels.RetryAfter(err)))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
		pause = min(2*pause, reopenMost)
	}
}

// fits reports whether a changed configuration asks nothing of the adapter.
func (l *line) fits(c ChannelConfig) bool {
	return l.alike(c) && bytes.Equal(c.Section, l.config().Section)
}

// alike reports whether the channel need not be opened anew, if its adapter
// takes the section.
func (l *line) alike(c ChannelConfig) bool {
	old := l.config()
	return c.Driver.Name() == old.Driver.Name() && c.Unlimited == old.Unlimited && c.Public == old.Public &&
		c.Policy.Workspace == old.Policy.Workspace && c.Edition == old.Edition
}

// take applies a changed configuration in place and reports whether it could.
// Two calls never run at the same time; others read the configuration meanwhile.
func (l *line) take(ctx context.Context, c ChannelConfig) bool {
	old := l.config()
	if !l.alike(c) || !bytes.Equal(c.Section, old.Section) && !l.reload(ctx, c.Section) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !reflect.DeepEqual(c.Policy, old.Policy) || c.Stream != old.Stream || !bytes.Equal(c.Section, old.Section) {
		l.g.log.Info("channel takes a changed configuration", "channel", c.ID)
	}
	l.cfg = c
	return true
}

func (l *line) reload(ctx context.Context, section []byte) bool {
	r, ok := channels.As[channels.Reloader](l.ch)
	if !ok {
		return false
	}
	var err error
	func() {
		defer l.recovered(&err)
		err = r.Reload(ctx, section)
	}()
	return err == nil
}

func (l *line) config() ChannelConfig {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cfg
}
