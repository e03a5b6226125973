package channeltest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

// mutant is Loop with one mistake. A field that is nil leaves Loop as it is.
type mutant struct {
	name string
	in   string // the case that must fail
	says string // and what it must say, which is where it ends

	hasty bool // the mistake shows itself by what comes too early

	accept   func(ctx context.Context, h *channeltest.Host, b channels.Batch, next acceptFunc) error
	event    func(e *channels.Event)
	send     func(ctx context.Context, h *channeltest.Host, p channels.Part, next sendFunc) (channels.Receipt, error)
	run      func(ctx context.Context, h *channeltest.Host, next func(context.Context) error) error
	report   func(x channels.Health) (channels.Health, bool)
	unheard  bool
	features func(f *channels.Features)
	wrap     func(c channels.Channel) channels.Channel
	driver   func(d channels.Driver) channels.Driver
	suite    func(s *channeltest.Suite)
}

// inVain is what the suite says when it notices by waiting in vain.
const inVain = "waited"

// isNoticed reports whether the suite said what it must. A wait that is cut
// short says so in other words where a context ends it.
func (m mutant) isNoticed(text string) bool {
	return strings.Contains(text, m.says) ||
		m.says == inVain && (strings.Contains(text, context.DeadlineExceeded.Error()) || strings.Contains(text, "did not return"))
}

type (
	acceptFunc = func(context.Context, channels.Batch) error
	sendFunc   = func(context.Context, channels.Part) (channels.Receipt, error)
)

// mutantDriver opens mutants.
type mutantDriver struct {
	channeltest.Loop
	m mutant
}

func (d mutantDriver) Open(ctx context.Context, h channels.Host, cfg json.RawMessage) (channels.Channel, error) {
	mh := &mutantHost{Host: h.(*channeltest.Host), m: d.m}
	c, err := d.Loop.Open(ctx, mh, cfg)
	if err != nil {
		return nil, err
	}
	c = &mutantChannel{Channel: c, h: mh, m: d.m}
	if d.m.wrap != nil {
		c = d.m.wrap(c)
	}
	return c, nil
}

type mutantHost struct {
	*channeltest.Host
	m mutant
}

func (h *mutantHost) Report(x channels.Health) {
	if h.m.report != nil {
		var ok bool
		if x, ok = h.m.report(x); !ok {
			return
		}
	}
	h.Host.Report(x)
}

func (h *mutantHost) Heard() {
	if !h.m.unheard {
		h.Host.Heard()
	}
}

type mutantChannel struct {
	channels.Channel
	h *mutantHost
	m mutant
}

func (c *mutantChannel) Unwrap() channels.Channel { return c.Channel }

func (c *mutantChannel) Features(a channels.Address) channels.Features {
	f := c.Channel.Features(a)
	if c.m.features != nil {
		c.m.features(&f)
	}
	return f
}

func (c *mutantChannel) Run(ctx context.Context, s channels.Sink) error {
	next := func(ctx context.Context) error { return c.Channel.Run(ctx, &mutantSink{s, c}) }
	if c.m.run != nil {
		return c.m.run(ctx, c.h.Host, next)
	}
	return next(ctx)
}

func (c *mutantChannel) Send(ctx context.Context, p channels.Part) (channels.Receipt, error) {
	if c.m.send != nil {
		return c.m.send(ctx, c.h.Host, p, c.Channel.Send)
	}
	return c.Channel.Send(ctx, p)
}

type mutantSink struct {
	channels.Sink
	c *mutantChannel
}

func (s *mutantSink) Accept(ctx context.Context, b channels.Batch) error {
	if s.c.m.event != nil {
		for i := range b.Events {
			s.c.m.event(&b.Events[i])
		}
	}
	if s.c.m.accept != nil {
		return s.c.m.accept(ctx, s.c.h.Host, b, s.Sink.Accept)
	}
	return s.Sink.Accept(ctx, b)
}

// part is a mutant that changes what it sends.
func part(name, in, says string, change func(p *channels.Part)) mutant {
	return mutant{
		name: name, in: in, says: says,
		send: func(ctx context.Context, _ *channeltest.Host, p channels.Part, next sendFunc) (channels.Receipt, error) {
			change(&p)
			return next(ctx, p)
		},
	}
}

// kind is a mutant that takes one kind of failure for another.
func kind(name, in string, from, to channels.Kind) mutant {
	return mutant{
		name: name, in: in, says: "the kind is",
		send: func(ctx context.Context, _ *channeltest.Host, p channels.Part, next sendFunc) (channels.Receipt, error) {
			rec, err := next(ctx, p)
			var e *channels.Error
			if errors.As(err, &e) && e.Kind == from {
				e.Kind = to
			}
			return rec, err
		},
	}
}

// The capabilities that a mutant only pretends to have.
type (
	deafEditor     struct{ channels.Channel }
	deafDeleter    struct{ channels.Channel }
	deafReactor    struct{ channels.Channel }
	deafTyper      struct{ channels.Channel }
	deafAnswerer   struct{ channels.Channel }
	deafCommander  struct{ channels.Channel }
	sureReconciler struct{ channels.Channel }
	cutFetcher     struct{ channels.Channel }
	otherProber    struct{ channels.Channel }
)

func (c deafEditor) Unwrap() channels.Channel     { return c.Channel }
func (c deafDeleter) Unwrap() channels.Channel    { return c.Channel }
func (c deafReactor) Unwrap() channels.Channel    { return c.Channel }
func (c deafTyper) Unwrap() channels.Channel      { return c.Channel }
func (c deafAnswerer) Unwrap() channels.Channel   { return c.Channel }
func (c deafCommander) Unwrap() channels.Channel  { return c.Channel }
func (c sureReconciler) Unwrap() channels.Channel { return c.Channel }
func (c cutFetcher) Unwrap() channels.Channel     { return c.Channel }
func (c otherProber) Unwrap() channels.Channel    { return c.Channel }

func (deafEditor) Edit(context.Context, channels.Address, channels.MessageID, channels.Part) error {
	return nil
}

func (deafDeleter) Delete(context.Context, channels.Address, channels.MessageID) error { return nil }

func (deafReactor) React(context.Context, channels.Address, channels.MessageID, string) error {
	return nil
}
func (deafTyper) Type(context.Context, channels.Address) error               { return nil }
func (deafAnswerer) Answer(context.Context, channels.Press, string) error    { return nil }
func (deafCommander) Register(context.Context, []channels.CommandSpec) error { return nil }
func (otherProber) Probe(context.Context) (channels.Identity, error)         { return channels.Identity{}, nil }

func (sureReconciler) Sent(context.Context, channels.Part, time.Time) (channels.Receipt, bool, error) {
	return channels.Receipt{ID: "m1"}, true, nil
}

func (c cutFetcher) Fetch(ctx context.Context, f channels.File) (io.ReadCloser, error) {
	in, _ := channels.As[channels.Fetcher](c.Channel)
	rc, err := in.Fetch(ctx, f)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(rc, 4096), rc}, nil
}

// Drivers with mistakes of their own.
type (
	carelessDriver struct{ channels.Driver }
	eagerDriver    struct{ channels.Driver }
	opaqueDriver   struct{ channels.Driver }
)

func (carelessDriver) Check(json.RawMessage) []channels.Fault { return nil }
func (opaqueDriver) Schema() []byte                           { return []byte(`{"type":"object"}`) }
func (d eagerDriver) Open(ctx context.Context, h channels.Host, cfg json.RawMessage) (channels.Channel, error) {
	if resp, err := h.Client("").Get("http://127.0.0.1:1/"); err == nil {
		_ = resp.Body.Close()
	}
	return d.Driver.Open(ctx, h, cfg)
}

// TestMutants shows that the suite notices: each mutant fails its case, for the
// reason that is its mistake, and Loop itself passes the same case.
func TestMutants(t *testing.T) {
	cases := map[string]channeltest.Case{}
	for _, c := range channeltest.Cases() {
		cases[c.Name] = c
	}
	killed := map[string]bool{}
	for _, group := range [][]mutant{acceptMutants(), intakeMutants(), sendMutants(), failureMutants(), lifeMutants()} {
		for _, m := range group {
			killed[m.in] = true
			t.Run(m.name, func(t *testing.T) {
				if m.in != "life/a shutdown leaves no goroutine" { // which counts everybody's
					t.Parallel()
				}
				c, ok := cases[m.in]
				if !ok {
					t.Fatalf("there is no case %q", m.in)
				}
				s := channeltest.LoopSuite()
				if m.says == inVain {
					s.Patience = time.Second
				}
				if m.hasty {
					s.Hasty = channeltest.Deadline
				}
				s.Driver = mutantDriver{m: m}
				if m.driver != nil {
					s.Driver = m.driver(s.Driver)
				}
				if m.suite != nil {
					m.suite(&s)
				}
				rec := channeltest.RecordUntil(t, m.says, func(t testing.TB) { c.Run(t, s) })
				if !rec.Failed() || !m.isNoticed(rec.Text()) {
					t.Errorf("the suite failed: %v; it said %q, want %q", rec.Failed(), rec.Text(), m.says)
				}
			})
		}
	}
	for name := range cases {
		if !killed[name] {
			t.Errorf("no mutant shows that %q can fail", name)
		}
	}
}
