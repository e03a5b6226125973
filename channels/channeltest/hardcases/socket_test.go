package hardcases_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

// A guest speaks a protocol that lives on one long connection: it must identify
// with a token that it may not see, beat in time, and resume where it was after
// a crash. The guest is a pure function, made anew for every frame; the adapter
// around it holds the connection; the place in the stream is durable together
// with the events that it follows.

// guestIn is what the adapter tells a guest; State is what Batch.State stored.
type guestIn struct {
	Kind  string // open, frame or tick
	State map[string]string
	Token string // a placeholder
	Frame json.RawMessage
}

// guestOut is what a guest wants: frames to send and a batch to accept first.
type guestOut struct {
	Send  []json.RawMessage
	Batch channels.Batch
	Tick  time.Duration // from now on; 0: as before
}

type wire struct {
	Op      string `json:"op"`
	Seq     int    `json:"s,omitempty"`
	Session string `json:"session,omitempty"`
	Token   string `json:"token,omitempty"`
	Text    string `json:"text,omitempty"`
	Every   int    `json:"every,omitempty"` // milliseconds
}

// guest is the module: no I/O, no clock, no memory of its own.
func guest(in guestIn) (out guestOut) {
	seq := 0
	_, _ = fmt.Sscan(in.State["seq"], &seq)
	switch in.Kind {
	case "open":
		w := wire{Op: "identify", Token: in.Token}
		if in.State["session"] != "" {
			w = wire{Op: "resume", Token: in.Token, Session: in.State["session"], Seq: seq}
		}
		out.Send = append(out.Send, encode(w))
	case "tick":
		out.Send = append(out.Send, encode(wire{Op: "beat", Seq: seq}))
	case "frame":
		var w wire
		if json.Unmarshal(in.Frame, &w) != nil {
			return out
		}
		switch w.Op {
		case "hello":
			out.Tick = time.Duration(w.Every) * time.Millisecond
		case "ready":
			out.Batch.State = []channels.Write{{Key: "session", Value: []byte(w.Session)}}
		case "event":
			out.Batch.Events = []channels.Event{event(fmt.Sprintf("%s/%d", in.State["session"], w.Seq), channels.Message{Text: w.Text})}
			out.Batch.State = []channels.Write{{Key: "seq", Value: fmt.Append(nil, w.Seq)}}
		}
	}
	return out
}

// holder is the adapter around the guest.
type holder struct {
	channels.Channel // what this case does not call
	host             channels.Host
	open             channels.Socketer
}

var _ channels.Channel = (*holder)(nil)

// Run connects again until ctx ends.
func (h *holder) Run(ctx context.Context, sink channels.Sink) error {
	for ctx.Err() == nil {
		if err := h.session(ctx, sink); err != nil && ctx.Err() == nil {
			h.host.Report(channels.Health{Phase: channels.Retrying, Err: err})
			t := time.NewTimer(time.Second)
			select {
			case <-t.C:
			case <-ctx.Done():
			}
			t.Stop()
		}
	}
	return nil
}

// session is the life of one connection. Frames are read one after the other,
// each durable before the next; beats go out beside them, however long an
// Accept takes.
func (h *holder) session(ctx context.Context, sink channels.Sink) error {
	sock, err := h.open.Socket(ctx, "a", "wss://gateway.example.org", nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	every := make(chan time.Duration, 1)
	var beats sync.WaitGroup
	beats.Go(func() { h.beat(ctx, sock, every) })
	defer beats.Wait()
	defer cancel()
	defer func() { _ = sock.Close() }()
	if err := h.ask(ctx, sock, sink, guestIn{Kind: "open"}, every); err != nil {
		return err
	}
	h.host.Report(channels.Health{Phase: channels.Connected})
	for {
		frame, err := sock.Read(ctx)
		if err != nil {
			return err
		}
		h.host.Heard()
		if err := h.ask(ctx, sock, sink, guestIn{Kind: "frame", Frame: frame}, every); err != nil {
			return err // also when Accept fails: the resume brings the frame again
		}
	}
}

func (h *holder) ask(ctx context.Context, sock channels.Socket, sink channels.Sink, in guestIn, every chan<- time.Duration) error {
	if err := h.fill(ctx, &in); err != nil {
		return err
	}
	out := guest(in)
	if len(out.Batch.Events)+len(out.Batch.State) > 0 {
		if err := sink.Accept(ctx, out.Batch); err != nil {
			return err
		}
	}
	if out.Tick > 0 {
		every <- out.Tick
	}
	for _, f := range out.Send {
		if err := sock.Write(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// fill gives the guest what is durable: an instance before it may have died.
func (h *holder) fill(ctx context.Context, in *guestIn) error {
	token, err := h.host.Secret(ctx, "secret://bot")
	if err != nil {
		return err
	}
	ws, err := h.host.State().List(ctx, "", "", 0)
	if err != nil {
		return err
	}
	in.Token, in.State = token.Reveal(), map[string]string{}
	for _, w := range ws {
		in.State[w.Key] = string(w.Value)
	}
	return nil
}

func (h *holder) beat(ctx context.Context, sock channels.Socket, every <-chan time.Duration) {
	var tick *time.Ticker
	select {
	case d := <-every:
		tick = time.NewTicker(d)
	case <-ctx.Done():
		return
	}
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		in := guestIn{Kind: "tick"}
		if h.fill(ctx, &in) != nil {
			return
		}
		for _, f := range guest(in).Send {
			if sock.Write(ctx, f) != nil {
				return
			}
		}
	}
}

// gatewayHost is a host whose sockets end at an emulated platform. Like the
// gateway's it fills secrets into text messages.
type gatewayHost struct {
	*channeltest.Host
	to *hub
}

var _ channels.Socketer = gatewayHost{}

func (g gatewayHost) Socket(context.Context, channels.AccountID, string, http.Header) (channels.Socket, error) {
	s := &sock{h: g.Host, to: g.to, in: make(chan []byte, 64), done: make(chan struct{})}
	s.push(wire{Op: "hello", Every: 1000})
	return s, nil
}

// hub is the platform: a stream of events, and who may resume where.
type hub struct {
	token string

	mu     sync.Mutex
	log    []wire
	seen   []string // what clients sent
	client *sock
}

func (b *hub) say(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := wire{Op: "event", Seq: len(b.log) + 1, Text: text}
	b.log = append(b.log, w)
	if b.client != nil {
		b.client.push(w)
	}
}

// take is what the platform does with a frame of a client.
func (b *hub) take(s *sock, w wire) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = append(b.seen, fmt.Sprintf("%s %d", w.Op, w.Seq))
	if w.Op == "beat" {
		return
	}
	if w.Token != b.token {
		s.shut()
		return
	}
	from := w.Seq
	if w.Op == "identify" {
		s.push(wire{Op: "ready", Session: "s1"})
		from = len(b.log)
	}
	for _, missed := range b.log[from:] {
		s.push(missed)
	}
	b.client = s
}

func (b *hub) frames(op string) (out []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.seen {
		if strings.HasPrefix(s, op+" ") {
			out = append(out, s)
		}
	}
	return out
}

// sock is one connection to the hub.
type sock struct {
	h    *channeltest.Host
	to   *hub
	in   chan []byte
	once sync.Once
	done chan struct{}
}

func (s *sock) push(w wire) {
	select {
	case s.in <- encode(w):
	case <-s.done:
	}
}

func (s *sock) shut() { s.once.Do(func() { close(s.done) }) }

func (s *sock) Read(ctx context.Context) ([]byte, error) {
	select {
	case b := <-s.in:
		return b, nil
	case <-s.done:
		return nil, io.EOF
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Write is the boundary: only here does the value take the placeholder's place.
func (s *sock) Write(ctx context.Context, message []byte) error {
	p, err := s.h.Secret(ctx, "secret://bot")
	if err != nil {
		return err
	}
	var w wire
	filled := strings.ReplaceAll(string(message), p.Reveal(), s.h.SecretValue("secret://bot"))
	if err := json.Unmarshal([]byte(filled), &w); err != nil {
		return err
	}
	s.to.take(s, w)
	return nil
}

func (s *sock) Close() error { s.shut(); return nil }

// process is one life of the channel.
type process struct {
	host *channeltest.Host
	sink *channeltest.Sink
	stop context.CancelFunc
	done chan error
}

func startHolder(t *testing.T, b *hub, snap channeltest.Snapshot) *process {
	t.Helper()
	h := channeltest.NewHost(t, channeltest.WithID("c"), channeltest.Restore(snap), channeltest.WithSecret("secret://bot", b.token))
	p := &process{host: h, sink: channeltest.NewSink(h), done: make(chan error, 1)}
	gh := gatewayHost{h, b}
	ctx, cancel := context.WithCancel(t.Context())
	p.stop = cancel
	ch := &holder{host: gh, open: gh}
	go func() { p.done <- ch.Run(ctx, p.sink) }()
	return p
}

func (p *process) end(t *testing.T) {
	t.Helper()
	p.stop()
	if err := <-p.done; err != nil {
		t.Errorf("Run returned %v", err)
	}
}

func texts(es []channels.Event) (out []string) {
	for _, e := range es {
		out = append(out, e.Content.(channels.Message).Text)
	}
	return out
}

func TestGuestThatHoldsASocket(t *testing.T) {
	for _, committed := range []bool{false, true} {
		t.Run(fmt.Sprintf("crash with the commit made: %v", committed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &hub{token: "real-bot-token"}
				p := startHolder(t, b, channeltest.Snapshot{})
				synctest.Wait()
				b.say("one")
				p.sink.WaitEvents(1)
				synctest.Wait()
				hold := p.sink.Block
				if committed {
					hold = p.sink.BlockCommitted
				}
				held := hold()
				b.say("two")
				held.Wait()
				b.say("three")
				snap := p.host.Crash()
				p.end(t)

				p = startHolder(t, b, snap)
				b.say("four")
				got := texts(p.sink.WaitEvents(4))
				if d := cmp.Diff([]string{"one", "two", "three", "four"}, got); d != "" {
					t.Errorf("events (-said +kept):\n%s", d)
				}
				p.end(t)
				at := map[bool]string{false: "resume 1", true: "resume 2"}[committed]
				if d := cmp.Diff([]string{at}, b.frames("resume")); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

// TestGuestBeatsWhileAcceptIsSlow: back-pressure must not cost the connection.
func TestGuestBeatsWhileAcceptIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &hub{token: "real-bot-token"}
		p := startHolder(t, b, channeltest.Snapshot{})
		synctest.Wait()
		b.say("one")
		p.sink.WaitEvents(1)
		synctest.Wait()
		held := p.sink.Block()
		b.say("two")
		held.Wait()
		before := len(b.frames("beat"))
		<-time.After(3500 * time.Millisecond)
		synctest.Wait()
		beats := b.frames("beat")[before:]
		if d := cmp.Diff([]string{"beat 1", "beat 1", "beat 1"}, beats); d != "" {
			t.Errorf("beats while an Accept is held, with the last durable place:\n%s", d)
		}
		held.Release()
		p.sink.WaitEvents(2)
		p.end(t)
	})
}

// TestGuestNeverSeesItsToken: what goes into the guest is a placeholder, and a
// wrong one gets no further than the platform's door.
func TestGuestNeverSeesItsToken(t *testing.T) {
	h := channeltest.NewHost(t, channeltest.WithSecret("secret://bot", "real-bot-token"))
	in := guestIn{Kind: "open"}
	if err := (&holder{host: h}).fill(t.Context(), &in); err != nil {
		t.Fatal(err)
	}
	if s := string(guest(in).Send[0]); strings.Contains(s, "real-bot-token") || !strings.Contains(s, "0:gh-") {
		t.Errorf("the guest made %s", s)
	}
}
