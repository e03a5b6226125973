package e2e_test

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	core "github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/sqlite"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/cputest"
	bundle "github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/module/project"
)

// BenchmarkGuestWay is the whole way of a message, polled, durable in SQLite,
// answered and sent, on the platform that the kits' examples are for: once with
// the adapter in Go that is part of the conformance suite, once with the same
// logic as a guest. The two gateways live in this process and take turns. There is no
// model, the answer is an echo: what a model takes would hide the difference.
func BenchmarkGuestWay(b *testing.B) {
	guests := wasm.NewDriver(wasm.Options{})
	b.Cleanup(func() { _ = guests.Close() })
	for _, lang := range []string{"c", "rust"} {
		b.Run(lang, func(b *testing.B) {
			path, publisher := kitPackage(b, lang)
			ways := []*way{
				newWay(b, channeltest.Loop{}, nil),
				newWay(b, guests, map[string]string{"module": path, "publisher": publisher}),
			}
			const turns, each = 30, 40
			var native, guest []time.Duration
			var share []float64
			for b.Loop() {
				for turn := range turns + 1 {
					n, g := ways[0].pass(each)/each, ways[1].pass(each)/each
					if turn > 0 { // the first is to get warm
						native, guest, share = append(native, n), append(guest, g), append(share, 100*float64(n)/float64(g))
					}
				}
			}
			µs := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
			b.ReportMetric(µs(median(native)), "native-µs")
			b.ReportMetric(µs(median(guest)), "guest-µs")
			b.ReportMetric(median(share), "%-of-native")
			b.ReportMetric(0, "ns/op")
			figures.add("whole way with a guest in "+lang+", no model", "at least 90 % of native", "%.0f %%, %.0f and %.0f µs", median(share), µs(median(native)), µs(median(guest)))
		})
	}
}

func median[T cmp.Ordered](all []T) T {
	slices.Sort(all)
	return all[len(all)/2]
}

// kitPackage is what a project in a language begins as, built, packed and signed.
func kitPackage(b *testing.B, lang string) (path, publisher string) {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "echo")
	if _, err := project.New(b.Context(), dir, lang, "channel", "echo"); err != nil {
		b.Fatal(err)
	}
	p, err := project.Open(dir, nil)
	if err != nil {
		b.Fatal(err)
	}
	code, err := p.Build(b.Context(), io.Discard, false)
	if err != nil {
		b.Fatalf("the kit for %s cannot be built here: %v; make needs installs what it takes", lang, err)
	}
	unsigned, _, err := p.Pack(code)
	if err != nil {
		b.Fatal(err)
	}
	public, key, _ := ed25519.GenerateKey(nil)
	pkg, err := bundle.Sign(unsigned, key)
	if err != nil {
		b.Fatal(err)
	}
	path = filepath.Join(dir, "echo.gwm")
	if err := os.WriteFile(path, pkg, 0o600); err != nil {
		b.Fatal(err)
	}
	return path, bundle.Publisher(public).String()
}

// way is a gateway with one channel, and the platform that it is connected to.
type way struct {
	b    *testing.B
	h    *channeltest.Harness
	sent int
}

func newWay(b *testing.B, d channels.Driver, more map[string]string) *way {
	b.Helper()
	w := &way{b: b, h: channeltest.LoopSuite().New(b, "")}
	b.Cleanup(w.h.Close)
	section := map[string]string{}
	if err := json.Unmarshal(w.h.Config, &section); err != nil {
		b.Fatal(err)
	}
	for key, value := range more {
		section[key] = value
	}
	cfg, _ := json.Marshal(section)
	log := slog.New(slog.DiscardHandler)
	engine, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "bus.db"), sqlite.Options{Exclusive: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = engine.Close() })
	dir, err := identity.Open(b.Context(), engine, "home", time.Now, log)
	if err != nil {
		b.Fatal(err)
	}
	host := channeltest.NewHost(b, w.h.Host...)
	gw := core.New(core.Options{
		Bus: engine, Directory: dir, Version: "test", Log: log, Zone: time.UTC,
		Outside: func(core.ChannelConfig) core.Outside { return host },
		Agent:   core.AgentSettings{Runner: parrot{}, Queue: core.Followup},
	})
	err = gw.Apply(b.Context(), []core.ChannelConfig{{
		ID: "test", Driver: d, Section: cfg, Unlimited: true,
		Policy: identity.Policy{DM: identity.DMOpen, Groups: identity.GroupsOpen},
	}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- gw.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	return w
}

// pass has n messages said and answered, and returns the processor time of all
// of it.
func (w *way) pass(n int) time.Duration {
	w.b.Helper()
	began := cputest.Process()
	for i := range n {
		w.sent++
		w.h.Say(channeltest.Said{By: []string{channeltest.Alice, channeltest.Bob}[i%2], Text: fmt.Sprint("message ", w.sent)})
	}
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for deadline := time.After(time.Minute); w.answered() < w.sent; {
		select {
		case <-look.C:
		case <-deadline:
			w.b.Fatalf("%d of %d messages were answered", w.answered(), w.sent)
		}
	}
	return cputest.Process() - began
}

func (w *way) answered() (n int) {
	for _, who := range []channels.ConversationID{channeltest.Alice, channeltest.Bob} {
		n += len(w.h.Shown(channels.Address{Channel: "test", Conversation: "direct-" + who}))
	}
	return n
}

// parrot answers each message with itself.
type parrot struct{}

var _ agent.Runner = parrot{}

// Run implements agent.Runner.
func (parrot) Run(_ context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
	text := ""
	for _, e := range t.Events {
		if m, ok := e.Content.(channels.Message); ok {
			text += m.Text
		}
	}
	return agent.Result{Replies: []agent.Reply{{Markdown: text}}}, nil
}
