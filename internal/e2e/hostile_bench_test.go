package e2e_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	guests "github.com/gatehouse-chat/gatehouse/internal/module"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

// hogs are modules that do no wrong for which they could be left alone: they
// burn what they may in each poll, and are polled again at once.
func hogs() map[string]villain {
	const fuel = 9_000_000_000 // of the 10,000,000,000 that a manifest can ask for
	burn := func(cost int64, parts ...[]byte) []byte {
		m := newAsker(1)
		left := m.Global(I64, fuel/cost)
		return m.handles(Loop(), body(parts...), GlobalGet(left), I64Const(1), Op(0x7d), GlobalSet(left),
			GlobalGet(left), I64Const(0), I64Ne, Op(0x0d, 0), End())
	}
	all := map[string]villain{}
	for n := range 5 {
		all[fmt.Sprintf("hog-%d", n)] = villain{code: burn(12), fuel: 1e10}
	}
	const filled = 16 << 20
	all["hog-memory"] = villain{code: burn(filled,
		I32Const(256), MemoryGrow, Drop, I32Const(0), I32Const(7), I32Const(filled), MemoryFill), fuel: 1e10}
	return all
}

// besiege writes the configuration with further channels and lets the gateway
// read it.
func (s *stage) besiege(sections string) {
	s.tb.Helper()
	path := filepath.Join(s.dir, "gatehouse.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		s.tb.Fatal(err)
	}
	own, _, _ := bytes.Cut(text, []byte("# further channels\n"))
	if err := os.WriteFile(path, append(own, "# further channels\n"+sections...), 0o600); err != nil {
		s.tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, release(s.tb), "config", "reload", "--config", path) //nolint:gosec // a binary of ours
	cmd.Env = bare(s.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.tb.Fatalf("config reload: %v\n%s", err, out)
	}
}

// siege are the sections of hostile channels.
func (s *stage) siege(silent string) string {
	s.tb.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		s.tb.Fatal(err)
	}
	all := villains(silent)
	for name, v := range hogs() {
		all[name] = v
	}
	var b strings.Builder
	for name, v := range all {
		fmt.Fprintf(&b, "  %s:\n    adapter: wasm\n    module: %q\n    publisher: %q\n    dm: open\n", name, v.write(s.tb, s.dir, name, key), guests.Publisher(public))
		if v.keys != "" {
			fmt.Fprintf(&b, "    %s\n", v.keys)
		}
	}
	return b.String()
}

// BenchmarkBesideHostile is ordinary traffic on a native channel, in turns without
// and with hostile modules at work in the same process: all those of
// TestHostileModules, which begin anew in each turn, and some that do nothing but
// compute and are never left alone, since they stay within what they may.
func BenchmarkBesideHostile(b *testing.B) {
	const turns, chats, each = 5, 8, 400
	s := newStage(b, 50*time.Millisecond, 0)
	s.up()
	siege := s.siege(silence(b))
	s.play(chats, false, each) // to get warm
	var alone, beside []time.Duration
	var cpu, took time.Duration
	for b.Loop() {
		for range turns {
			alone = append(alone, s.play(chats, false, each)...)
			s.besiege(siege)
			used, began := s.cpu(), time.Now()
			beside = append(beside, s.play(chats, false, each)...)
			cpu, took = cpu+s.cpu()-used, took+time.Since(began)
			s.besiege("")
		}
	}
	report := func(what, target string, all []time.Duration) (p50, p99 float64) {
		p50, p99 = ms(quantile(all, 0.5)), ms(quantile(all, 0.99))
		b.ReportMetric(p50, strings.Fields(what)[0]+"-p50-ms")
		b.ReportMetric(p99, strings.Fields(what)[0]+"-p99-ms")
		figures.add("8 chats, a model of 50 ms, "+what, target, "p50 %.1f ms, p99 %.1f ms", p50, p99)
		return p50, p99
	}
	a50, a99 := report("alone", "", alone)
	h50, h99 := report("beside hostile modules", fmt.Sprintf("p99 of %.1f ms at most", a99+50), beside)
	b.ReportMetric(h50-a50, "p50-moved-ms")
	b.ReportMetric(h99-a99, "p99-moved-ms")
	b.ReportMetric(cpu.Seconds()/took.Seconds(), "cores-beside")
	b.ReportMetric(0, "ns/op")
}
