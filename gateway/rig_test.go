package gateway_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/vault/leak"
)

// rig is a gateway with one channel that the test speaks and listens on. It
// runs in a synctest bubble, so waiting costs nothing.
type rig struct {
	t    *testing.T
	bus  bus.Engine
	dir  *identity.Directory
	gw   *gateway.Gateway
	chat *chat
	stop func()
}

type rigOptions struct {
	policy identity.Policy
	agent  gateway.AgentSettings
	stream bool
	rate   channels.Rate
	engine bus.Engine // nil: a new one
	wrap   func(*chat) channels.Channel
	keep   gateway.Retention
	others bool // gateways on the same engine

	leave []gateway.Offboarder
	shred []gateway.Shredder

	metrics *gateway.Metrics
	leaks   *leak.Guard
	audit   audit.Recorder
	log     *slog.Logger // nil: nobody reads it
}

// member is a policy that admits the sender "anna" everywhere it matters.
var open = identity.Policy{DM: identity.DMOpen, Groups: identity.GroupsOpen, Mention: true}

func newRig(t *testing.T, o rigOptions) *rig {
	t.Helper()
	r := &rig{t: t, bus: o.engine, chat: newChat()}
	if r.bus == nil {
		r.bus = inprocess.New(inprocess.Options{})
	}
	log := cmp.Or(o.log, slog.New(slog.DiscardHandler))
	var err error
	if r.dir, err = identity.Open(t.Context(), r.bus, "main", time.Now, log); err != nil {
		t.Fatal(err)
	}
	if o.agent.Runner == nil {
		o.agent.Runner = echo
	}
	if o.agent.Queue == "" {
		o.agent.Queue = gateway.Steer
	}
	if o.policy.DM == "" {
		o.policy = open
	}
	r.chat.rate = o.rate
	var ch channels.Channel = r.chat
	if o.wrap != nil {
		ch = o.wrap(r.chat)
	}
	r.gw = gateway.New(gateway.Options{Bus: r.bus, Zone: time.UTC, Directory: r.dir, Agent: o.agent, Retention: o.keep, Replicas: o.others, Version: "test", Log: log, Metrics: o.metrics, Leaks: o.leaks, Audit: o.audit, Offboard: o.leave, Shred: o.shred})
	cfg := gateway.ChannelConfig{ID: "chat", Driver: driver{ch}, Policy: o.policy, Stream: o.stream, Section: json.RawMessage("{}")}
	if err := r.gw.Apply(t.Context(), []gateway.ChannelConfig{cfg}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.gw.Run(ctx) }()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}
	t.Cleanup(r.stop)
	return r
}

// bubble runs a test with fake time and stops the rig at its end.
func bubble(t *testing.T, o func() rigOptions, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, o())
		f(r)
		r.stop()
		_ = r.bus.Close()
	})
}

// said makes an event of a direct chat.
func said(who, key, text string) channels.Event {
	return channels.Event{
		Key: key, At: time.Now(), Where: channels.Address{Channel: "chat", Conversation: channels.ConversationID("dm-" + who)},
		Room: channels.Room{Direct: true}, Who: channels.Sender{ID: who, Name: who}, Addressed: true,
		Content: channels.Message{ID: channels.MessageID(key), Text: text},
	}
}

// saidIn makes an event of a room.
func saidIn(room, who, key, text string, addressed bool) channels.Event {
	e := said(who, key, text)
	e.Where.Conversation, e.Room, e.Addressed = channels.ConversationID(room), channels.Room{Title: room}, addressed
	return e
}

func ordered(who, key, name, args string) channels.Event {
	e := said(who, key, "")
	e.Content = channels.Command{ID: channels.MessageID(key), Name: name, Args: args}
	return e
}

func (r *rig) accept(events ...channels.Event) {
	r.t.Helper()
	if err := r.gw.Sink("chat").Accept(r.t.Context(), channels.Batch{Events: events}); err != nil {
		r.t.Fatalf("accept: %v", err)
	}
}

// settle lets everything that can happen at this moment happen.
func (r *rig) settle() { synctest.Wait() }

// after lets time pass, and everything that it brings.
func (r *rig) after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// wait lets time pass until n messages were sent, at most a minute.
func (r *rig) wait(n int) []sent {
	r.t.Helper()
	for range 600 {
		synctest.Wait()
		if got := r.chat.sent(); len(got) >= n {
			return got
		}
		<-time.After(100 * time.Millisecond)
	}
	r.t.Fatalf("%d messages were sent, want %d: %+v", len(r.chat.sent()), n, r.chat.sent())
	return nil
}

func (r *rig) owner() (sc owner) {
	r.t.Helper()
	s, err := r.dir.Operator(r.t.Context(), identity.OwnerID)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// sent is what the platform got.
type sent struct {
	To       channels.ConversationID
	Text     string
	ReplyTo  channels.MessageID
	Replaces channels.MessageID
	Plain    bool
}

// chat is a platform in memory. It answers sends as its script says.
type chat struct {
	rate channels.Rate

	mu     sync.Mutex
	log    []sent
	script []error // answers to the next sends; nil: success
	took   []bool  // whether a failing send arrived all the same
	typed  int
}

func newChat() *chat { return &chat{} }

func (c *chat) fail(arrived bool, errs ...error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range errs {
		c.script, c.took = append(c.script, e), append(c.took, arrived)
	}
}

func (c *chat) sent() []sent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]sent(nil), c.log...)
}

func (c *chat) Features(channels.Address) channels.Features {
	return channels.Features{
		Dialect: markup.PlainText, MaxText: 4096, Drafts: true, DraftEvery: time.Second, TypingFor: 5 * time.Second,
		ReplyTo: true, Rate: c.rate,
	}
}

func (c *chat) Run(ctx context.Context, _ channels.Sink) error { <-ctx.Done(); return nil }

func (c *chat) Type(context.Context, channels.Address) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.typed++
	return nil
}

func (c *chat) Send(_ context.Context, p channels.Part) (channels.Receipt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	arrived := true
	if len(c.script) > 0 {
		err, arrived = c.script[0], c.took[0]
		c.script, c.took = c.script[1:], c.took[1:]
		arrived = arrived || err == nil
	}
	if arrived {
		c.log = append(c.log, sent{
			To: p.To.Conversation, Text: markup.PlainText.Render(p.Body), ReplyTo: p.ReplyTo, Replaces: p.Replaces, Plain: p.Plain,
		})
	}
	return channels.Receipt{ID: channels.MessageID(fmt.Sprintf("m%d", len(c.log))), At: time.Now()}, err
}

type driver struct{ c channels.Channel }

func (driver) Name() string                           { return "chat" }
func (driver) Schema() []byte                         { return []byte("{}") }
func (driver) Check(json.RawMessage) []channels.Fault { return nil }
func (d driver) Open(context.Context, channels.Host, json.RawMessage) (channels.Channel, error) {
	return d.c, nil
}

// runner is an agent in a function.
type runner func(ctx context.Context, t agent.Turn, p agent.Port) (agent.Result, error)

func (f runner) Run(ctx context.Context, t agent.Turn, p agent.Port) (agent.Result, error) {
	return f(ctx, t, p)
}

// echo answers with everything that it was asked.
var echo = runner(func(_ context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
	return reply("echo: " + texts(t.Events)), nil
})

func reply(text string) agent.Result { return agent.Result{Replies: []agent.Reply{{Markdown: text}}} }

func texts(events []channels.Event) string {
	s := ""
	for i, e := range events {
		if i > 0 {
			s += " | "
		}
		switch c := e.Content.(type) {
		case channels.Message:
			s += c.Text
		case channels.Edit:
			s += "edit " + c.Text
		default:
			s += channels.ContentType(c)
		}
	}
	return s
}
