package gateway

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
)

// line is one running channel: its connection, its intake and its courier.
type line struct {
	g       *Gateway
	host    *host
	ch      channels.Channel
	sink    *intake
	courier *delivery.Courier

	mu     sync.Mutex
	cfg    ChannelConfig
	cancel context.CancelFunc
	done   chan struct{} // closed when everything of the line has ended; nil before start
}

// newLine opens a channel, without I/O.
func (g *Gateway) newLine(ctx context.Context, c ChannelConfig) (*line, error) {
	l := &line{g: g, cfg: c, sink: &intake{g: g, id: c.ID}}
	l.host = newHost(g, c)
	ch, err := c.Driver.Open(ctx, l.host, c.Section)
	if err != nil {
		return nil, err
	}
	l.ch = ch
	l.courier = delivery.New(delivery.Options{
		Bus: g.bus, Channel: ch, ID: c.ID, Unlimited: c.Unlimited, Now: g.now, Log: g.log, Observer: g.metrics,
	})
	return l, nil
}

// startLocked starts a line; the caller holds g.mu and g.ctx is set.
func (g *Gateway) startLocked(l *line) {
	if l.done != nil {
		return
	}
	ctx, cancel := context.WithCancel(g.ctx)
	l.cancel, l.done = cancel, make(chan struct{})
	g.draining.Add(1)
	go func() {
		defer g.draining.Done()
		defer close(l.done)
		var all sync.WaitGroup
		all.Go(func() { l.receive(ctx) })
		all.Go(func() { _ = l.courier.Run(ctx) })
		all.Go(func() { l.register(ctx) })
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
	pause := reopenFirst
	for {
		began := l.g.now()
		err := l.runOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if l.g.now().Sub(began) > reopenMost {
			pause = reopenFirst
		}
		if h := l.host.Health(); h.Phase != channels.Broken {
			l.host.Report(channels.Health{Phase: channels.Retrying, Err: err, Fix: h.Fix, As: h.As})
		}
		l.g.log.Error("channel ended; it will be started again", "channel", l.cfg.ID, "err", err, "duration", pause)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
		pause = min(2*pause, reopenMost)
	}
}

var errPanicked = errors.New("the adapter panicked")

// runOnce shields the process from an adapter that panics.
func (l *line) runOnce(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			l.g.log.Error("adapter panicked", "channel", l.cfg.ID, "err", p)
			err = errPanicked
		}
	}()
	return l.ch.Run(ctx, l.sink)
}

// register shows the commands natively, once the channel is connected.
func (l *line) register(ctx context.Context) {
	c, ok := channels.As[channels.Commander](l.ch)
	if !ok {
		return
	}
	pause := reopenFirst
	for l.host.waitConnected(ctx) == nil {
		err := c.Register(ctx, commandSpecs())
		if err == nil || ctx.Err() != nil {
			return
		}
		l.g.log.Warn("register commands", "channel", l.cfg.ID, "err", err)
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

// take applies a changed configuration in place and reports whether it could.
func (l *line) take(ctx context.Context, c ChannelConfig) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	same := c.Driver == l.cfg.Driver && c.Unlimited == l.cfg.Unlimited && c.Public == l.cfg.Public
	if !same {
		return false
	}
	if !bytes.Equal(c.Section, l.cfg.Section) {
		r, ok := channels.As[channels.Reloader](l.ch)
		if !ok || r.Reload(ctx, c.Section) != nil {
			return false
		}
	}
	if !reflect.DeepEqual(c, l.cfg) {
		l.g.log.Info("channel takes a changed configuration", "channel", c.ID)
	}
	l.cfg = c
	return true
}

func (l *line) config() ChannelConfig {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cfg
}
