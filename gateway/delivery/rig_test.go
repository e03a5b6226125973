package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var here = channels.Address{Channel: "c", Account: "a", Conversation: "room"}

const repeatMark = "(This may be a repetition: I could not tell whether it reached you.)"

// platform takes parts in memory. Each send is answered by answer, which says
// whether the part arrived.
type platform struct {
	feat   channels.Features
	answer func(n int, p channels.Part) (arrived bool, err error) // n counts from 1; nil: all arrive

	mu    sync.Mutex
	calls int
	took  []channels.Part
}

func (p *platform) Features(channels.Address) channels.Features { return p.feat }

func (*platform) Run(ctx context.Context, _ channels.Sink) error { <-ctx.Done(); return nil }

func (p *platform) Send(_ context.Context, part channels.Part) (channels.Receipt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	arrived, err := true, error(nil)
	if p.answer != nil {
		arrived, err = p.answer(p.calls, part)
	}
	if arrived {
		p.took = append(p.took, part)
	}
	return channels.Receipt{ID: channels.MessageID(fmt.Sprint("m", p.calls)), At: time.Now()}, err
}

func (p *platform) parts() []channels.Part {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]channels.Part(nil), p.took...)
}

func (p *platform) texts() []string {
	var out []string
	for _, x := range p.parts() {
		out = append(out, markup.PlainText.Render(x.Body))
	}
	return out
}

// knowing is a platform that can tell whether a part arrived.
type knowing struct {
	*platform
	asked int
	err   error
}

func (k *knowing) Sent(_ context.Context, part channels.Part, _ time.Time) (channels.Receipt, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	if k.err != nil {
		return channels.Receipt{}, false, k.err
	}
	for _, x := range k.took {
		if x.Key == part.Key {
			return channels.Receipt{ID: "known"}, true, nil
		}
	}
	return channels.Receipt{}, false, nil
}

func failure(k channels.Kind, wait time.Duration) error {
	return &channels.Error{Op: "send", Channel: "c", Kind: k, RetryAfter: wait}
}

// outcomes counts what an observer is told.
type outcomes struct {
	mu  sync.Mutex
	all map[delivery.Outcome]int
}

func (o *outcomes) Send(_ channels.ID, out delivery.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = map[delivery.Outcome]int{}
	}
	o.all[out]++
}

// rig is a courier with its bus and platform, in a bubble of fake time.
type rig struct {
	t    *testing.T
	bus  bus.Engine
	seen *outcomes
	stop func()
}

func plainFeatures() channels.Features {
	return channels.Features{Dialect: markup.PlainText, MaxText: 4096, MaxFile: 1 << 20, MaxButtons: 3, MaxButtonData: 64}
}

func newRig(t *testing.T, b bus.Engine, ch channels.Channel) *rig {
	t.Helper()
	if b == nil {
		b = inprocess.New(inprocess.Options{})
	}
	r := &rig{t: t, bus: b, seen: &outcomes{}}
	r.stop = start(b, ch, r.seen)
	return r
}

// start runs a courier and returns what ends it.
func start(b bus.Engine, ch channels.Channel, seen *outcomes) (stop func()) {
	c := delivery.New(delivery.Options{
		Bus: b, Channel: ch, ID: "c", Seals: seals{}, Now: time.Now, Log: slog.New(slog.DiscardHandler), Observer: seen,
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	return func() { cancel(); <-done }
}

// bubble runs f with fake time and ends the courier.
func bubble(t *testing.T, ch func() channels.Channel, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil, ch())
		f(r)
		r.stop()
	})
}

// seals turns bytes around, and knows what they were sealed for.
type seals struct{}

func (seals) Seal(_ context.Context, workspace, domain string, plain []byte) ([]byte, error) {
	out := slices.Clone(plain)
	slices.Reverse(out)
	return append([]byte(workspace+"|"+domain+"|"), out...), nil
}

func (seals) Open(_ context.Context, workspace, domain string, sealed []byte) ([]byte, error) {
	out, ok := bytes.CutPrefix(sealed, []byte(workspace+"|"+domain+"|"))
	if !ok {
		return nil, errors.New("sealed for something else")
	}
	out = slices.Clone(out)
	slices.Reverse(out)
	return out, nil
}

func sealed(t *testing.T, v channels.Via) *channels.Via {
	t.Helper()
	out, err := delivery.SealVia(t.Context(), seals{}, "w", here, v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (r *rig) put(key string, o delivery.Outbound) {
	r.t.Helper()
	put(r.t, r.bus, key, o)
}

func put(t *testing.T, b bus.Engine, key string, o delivery.Outbound) {
	t.Helper()
	if o.To == (channels.Address{}) {
		o.To = here
	}
	if o.Made.IsZero() {
		o.Made = time.Now()
	}
	rec, err := delivery.Record("w", key, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), bus.Batch{Records: []bus.Record{rec}}); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (r *rig) dead() []bus.Letter {
	r.t.Helper()
	all, err := r.bus.DeadLetters(r.t.Context(), bus.Outbox, 0, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

var errKilled = errors.New("killed")

// mortal is the bus as one process sees it. The process is killed at the nth
// boundary: before or after a commit. From then on nothing of it gets through.
type mortal struct {
	bus.Engine
	mu     sync.Mutex
	left   int
	killed bool
}

// step reports whether the process lives on past one more boundary.
func (m *mortal) step() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left--
	m.killed = m.killed || m.left == 0
	return !m.killed
}

func (m *mortal) dead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.killed
}

func (m *mortal) Lease(ctx context.Context, w bus.Want) ([]*bus.Lease, error) {
	if m.dead() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	ls, err := m.Engine.Lease(ctx, w)
	if err == nil && !m.step() {
		return nil, errKilled
	}
	return ls, err
}

func (m *mortal) Hold(ctx context.Context, l *bus.Lease, h bus.Hold) ([]bus.Record, error) {
	if !m.step() {
		return nil, errKilled
	}
	rs, err := m.Engine.Hold(ctx, l, h)
	if !m.step() {
		return nil, errKilled
	}
	return rs, err
}

func (m *mortal) Settle(ctx context.Context, l *bus.Lease, o bus.Outcome) error {
	if !m.step() {
		return errKilled
	}
	err := m.Engine.Settle(ctx, l, o)
	if !m.step() {
		return errKilled
	}
	return err
}

// mortalPlatform is the platform as one process reaches it.
type mortalPlatform struct {
	*platform
	life *mortal
}

func (m mortalPlatform) Send(ctx context.Context, p channels.Part) (channels.Receipt, error) {
	if !m.life.step() {
		return channels.Receipt{}, failure(channels.Transient, 0)
	}
	r, err := m.platform.Send(ctx, p)
	if !m.life.step() {
		return channels.Receipt{}, failure(channels.Ambiguous, 0)
	}
	return r, err
}

// paragraphs is a text of n paragraphs that fill a part each.
func paragraphs(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "part %d %s\n\n", i, strings.Repeat("x", 300))
	}
	return b.String()
}

func smallParts() channels.Features {
	f := plainFeatures()
	f.MaxText = 420
	return f
}
