//go:build !nowhatsapp

package whatsapp

import (
	"context"
	"errors"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/link"
)

// recheck is how often a channel without a device looks whether another process
// has linked one.
const recheck = 5 * time.Second

// Run implements channels.Channel. It returns only when ctx ends: a device that
// was logged out waits for a person to link it again.
func (c *Channel) Run(ctx context.Context, sink channels.Sink) error {
	c.setRunning(true)
	defer c.setRunning(false)
	c.health.Report(channels.Health{Phase: channels.Connecting})
	var pause link.Backoff
	for ctx.Err() == nil {
		dev, err := c.device(ctx)
		switch {
		case err != nil:
			c.health.Report(channels.Health{Phase: channels.Retrying, Err: err})
			_ = pause.Wait(ctx, 0)
		case dev == nil:
			c.waitForDevice(ctx)
			pause.Reset()
		default:
			c.rest(ctx, c.serve(ctx, sink, dev, &pause), &pause)
		}
	}
	return nil
}

func (c *Channel) setRunning(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = on
}

// device is the linked device, or nil.
func (c *Channel) device(ctx context.Context) (*store.Device, error) {
	s, err := c.keys()
	if err != nil {
		return nil, err
	}
	dev, err := s.Device(ctx, quiet{c.host.Log()})
	if err == nil {
		c.mu.Lock()
		if c.unlinked = dev == nil; c.unlinked {
			close(c.changed)
			c.changed = make(chan struct{})
		}
		c.mu.Unlock()
	}
	return dev, err
}

var errUnlinked = errors.New("no phone is linked")

func (c *Channel) waitForDevice(ctx context.Context) {
	c.health.Report(channels.Health{
		Phase: channels.Broken, Err: errUnlinked,
		Fix: "Link a phone: `gatehouse channels link " + string(c.host.ID()) + "`, or Link on the console's page of channels.",
	})
	t := time.NewTimer(recheck)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-c.woken:
	case <-t.C:
	}
}

// rest says why a connection ended, and pauses before the next.
func (c *Channel) rest(ctx context.Context, err error, pause *link.Backoff) {
	if ctx.Err() != nil || err == nil {
		return
	}
	h := channels.Health{Phase: channels.Retrying, Err: err}
	var wait time.Duration
	if o := (*outage)(nil); errors.As(err, &o) {
		h.Phase, h.Fix, wait = o.phase, o.fix, o.wait
		if o.gone {
			c.forget(ctx)
		}
	}
	c.health.Report(h)
	if h.Phase == channels.Broken && wait == 0 {
		return // the device is gone; the next round waits for another
	}
	_ = pause.Wait(ctx, max(wait, channels.RetryAfter(err)))
}

// forget removes everything of a device that is no longer linked.
func (c *Channel) forget(ctx context.Context) {
	s, err := c.keys()
	if err == nil {
		err = s.DeleteDevice(ctx, nil)
	}
	if err != nil {
		c.host.Log().WarnContext(ctx, "the keys of a device that was logged out are still there", "err", err)
	}
}

// serve keeps one connection until it ends or ctx does, and returns why.
func (c *Channel) serve(ctx context.Context, sink channels.Sink, dev *store.Device, pause *link.Backoff) error {
	s, err := c.connect(ctx, dev, func(s *session, e any) bool { return c.handle(ctx, s, sink, e) })
	defer s.close()
	if err != nil {
		return err
	}
	if keys, err := c.keys(); err == nil {
		keys.OnFailure(func(err error) { s.end(err) })
		defer keys.OnFailure(nil)
	}
	pause.Reset()
	c.setSession(s)
	c.health.Report(channels.Health{Phase: channels.Connected, As: named(dev)})
	select {
	case <-s.ctx.Done():
		c.setSession(nil)
	case <-ctx.Done():
		c.setSession(nil)
		s.quiesce(finishing)
		s.settle()
	}
	return context.Cause(s.ctx)
}

// named is the account as its owner knows it.
func named(dev *store.Device) string { return "+" + dev.ID.User }

// setSession says which connection stands, or that none does.
func (c *Channel) setSession(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = s
	close(c.changed)
	c.changed = make(chan struct{})
}

// reconnecting is how long a send waits for a connection that was cut: most
// come back in less.
const reconnecting = 3 * time.Second

// session is the connection that stands, or that comes back at once; the error
// says why there is none. Its release follows.
func (c *Channel) session(ctx context.Context, op string) (*session, error) {
	t := time.NewTimer(reconnecting)
	defer t.Stop()
	for {
		c.mu.Lock()
		s, unlinked, running, changed := c.now, c.unlinked, c.running, c.changed
		c.mu.Unlock()
		absent := c.fail(op, channels.Transient, errors.New("not connected to WhatsApp"))
		switch {
		case unlinked:
			return nil, c.fail(op, channels.Unauthorized, errUnlinked)
		case s != nil && s.acquire():
			return s, nil
		case !running:
			return nil, absent
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, absent
		case <-t.C:
			return nil, absent
		}
	}
}

// handle takes in what came over a connection. false leaves it unacknowledged,
// so that WhatsApp brings it again.
func (c *Channel) handle(ctx context.Context, s *session, sink channels.Sink, e any) bool {
	switch e := e.(type) {
	case *events.Message:
		return c.receive(ctx, s, sink, e)
	case *events.GroupInfo:
		if e.Name != nil {
			c.setTitle(e.JID, e.Name.Name)
		}
	}
	return true
}

// receive has a message accepted.
func (c *Channel) receive(ctx context.Context, s *session, sink channels.Sink, m *events.Message) bool {
	c.learnName(s, m)
	d := decoder{channel: c.host.ID(), self: s.self, ids: c.ids, device: s.client.Store.ID.Device}
	e, ok := d.event(m)
	if !ok {
		return true
	}
	if !e.Room.Direct {
		e.Room.Title = c.title(s, m.Info.Chat)
	}
	if _, isMessage := e.Content.(channels.Message); isMessage && m.Message != nil {
		c.recent.put(m.Info.ID, message{body: m.Message})
	}
	if !c.accept(ctx, s, sink, e) {
		return false
	}
	c.noteUnread(e.Where.Conversation, m.Info)
	return true
}

// learnName keeps the name under which the owner writes: the device has to use
// it, too.
func (c *Channel) learnName(s *session, m *events.Message) {
	dev := s.client.Store
	s.mu.Lock()
	defer s.mu.Unlock()
	if !m.Info.IsFromMe || m.Info.PushName == "" || m.Info.PushName == dev.PushName {
		return
	}
	dev.PushName = m.Info.PushName
	if err := dev.Save(s.ctx); err != nil {
		c.host.Log().Debug("the owner's name is not kept; the next message brings it again", "err", err)
	}
}

// patience is how long one message may be tried again on one connection. After
// five minutes whatsmeow would go on with the next one.
const patience = 4 * time.Minute

// accept tries until the gateway has the event, or the connection or Run ends.
func (c *Channel) accept(ctx context.Context, s *session, sink channels.Sink, e channels.Event) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	var pause link.Backoff
	for {
		_, err := channels.Offer(ctx, sink, channels.Batch{Events: []channels.Event{e}})
		if err == nil {
			return true
		}
		if pause.Wait(ctx, channels.RetryAfter(err)) != nil {
			s.end(err) // those behind it must not overtake it
			return false
		}
	}
}

// title is a group's name; "" while it cannot be asked for.
func (c *Channel) title(s *session, id types.JID) string {
	c.mu.Lock()
	t, ok := c.titles[id]
	c.mu.Unlock()
	if ok {
		return t
	}
	ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
	defer cancel()
	g, err := s.client.GetGroupInfo(ctx, id)
	if err != nil {
		return ""
	}
	c.setTitle(id, g.Name)
	return g.Name
}

func (c *Channel) setTitle(id types.JID, title string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.titles) >= 1000 {
		clear(c.titles)
	}
	c.titles[id] = title
}
