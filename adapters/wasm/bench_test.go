package wasm_test

import (
	"crypto/ed25519"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/stagetest"
	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/internal/cputest"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/module/project"
)

// golang is the channel that a project in Go begins with.
var golang = kit{
	lang:  "go",
	needs: func() error { return nil },
	build: func(dir string) (string, error) { return filepath.Join(dir, "build", "module.wasm"), nil },
}

// goPackage builds what `adapter new --lang go` makes.
func goPackage(b *testing.B) (path, publisher string) {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "echo")
	if _, err := project.New(b.Context(), dir, golang.lang, "channel", "echo"); err != nil {
		b.Fatal(err)
	}
	p, err := project.Open(dir, nil)
	if err != nil {
		b.Fatal(err)
	}
	code, err := p.Build(b.Context(), io.Discard, false)
	if err != nil {
		b.Fatal(err)
	}
	unsigned, _, err := p.Pack(code)
	if err != nil {
		b.Fatal(err)
	}
	public, key, _ := ed25519.GenerateKey(nil)
	pkg, err := module.Sign(unsigned, key)
	if err != nil {
		b.Fatal(err)
	}
	path = filepath.Join(dir, "echo.gwm")
	if err := os.WriteFile(path, pkg, 0o600); err != nil {
		b.Fatal(err)
	}
	return path, module.Publisher(public).String()
}

// pair measures two ways to do the same in turns, and reports the least
// processor time of each that a turn found: what else the machine does makes a
// turn dearer, never cheaper. A turn does the same that many times.
func pair(b *testing.B, turns, each int, native, guest func() error) {
	b.Helper()
	least := []time.Duration{1 << 62, 1 << 62}
	var extra []time.Duration
	for b.Loop() {
		for range turns {
			var took [2]time.Duration
			for i, do := range []func() error{native, guest} {
				began := cputest.Process()
				for range each {
					if err := do(); err != nil {
						b.Fatal(err)
					}
				}
				took[i] = (cputest.Process() - began) / time.Duration(each)
				least[i] = min(least[i], took[i])
			}
			extra = append(extra, took[1]-took[0])
		}
	}
	slices.Sort(extra)
	µs := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	b.ReportMetric(µs(least[0]), "native-µs")
	b.ReportMetric(µs(least[1]), "guest-µs")
	b.ReportMetric(µs(least[1]-least[0]), "over-µs")
	b.ReportMetric(µs(extra[len(extra)/2]), "median-over-µs")
	b.ReportMetric(0, "ns/op") // of all turns, which says nothing
}

func sender(b *testing.B, d channels.Driver, host []channeltest.HostOption, cfg json.RawMessage, to channels.Address) func() error {
	b.Helper()
	ch, err := d.Open(b.Context(), channeltest.NewHost(b, host...), cfg)
	if err != nil {
		b.Fatal(err)
	}
	p := channels.Part{Key: "k", To: to, Body: markup.Plain("Good morning, everybody.")}
	send := func() error {
		_, err := ch.Send(b.Context(), p)
		return err
	}
	if err := send(); err != nil { // it is loaded now
		b.Fatal(err)
	}
	return send
}

// BenchmarkSend is one message to a platform on this machine: by the adapter in
// Go that is part of the suite, and by the same logic as a guest in each
// language. The difference is what the sandbox costs.
func BenchmarkSend(b *testing.B) {
	loop := channeltest.LoopSuite()
	d := wasm.NewDriver(wasm.Options{CacheDir: cacheDir(b)})
	b.Cleanup(func() { _ = d.Close() })
	to := channels.Address{Channel: "test", Conversation: "room"}
	for _, k := range []kit{c, rust, assemblyScript, javaScript, golang} {
		b.Run(k.lang, func(b *testing.B) {
			build := func() (string, string) { return buildKit(b, k) }
			if k.lang == golang.lang {
				build = func() (string, string) { return goPackage(b) }
			}
			path, publisher := build()
			h := loop.New(b, "")
			b.Cleanup(h.Close)
			section := map[string]string{}
			_ = json.Unmarshal(h.Config, &section)
			native := sender(b, channeltest.Loop{}, h.Host, h.Config, to)
			section["module"], section["publisher"] = path, publisher
			cfg, _ := json.Marshal(section)
			pair(b, 60, 100, native, sender(b, d, h.Host, cfg, to))
		})
	}
}

// BenchmarkIdleChannels is what 1,000 channels of one module hold while nothing
// happens: the memory of the process, after those of the module itself.
func BenchmarkIdleChannels(b *testing.B) {
	const n = 1000
	d := newDriver(b, "telegram")
	s := stagetest.New(b, "webhook")
	b.Cleanup(s.Close)
	cfg := s.Config("module", "telegram")
	open := func(n int) []channels.Channel {
		all := make([]channels.Channel, n)
		for i := range all {
			ch, err := d.Open(b.Context(), channeltest.NewHost(b, s.Host()...), cfg)
			if err != nil {
				b.Fatal(err)
			}
			all[i] = ch
		}
		return all
	}
	first := open(1)
	before := held()
	for b.Loop() {
		all := open(n)
		b.ReportMetric(float64(held()-before)/n/1024, "KiB/channel")
		runtime.KeepAlive(all)
	}
	runtime.KeepAlive(first)
	b.ReportMetric(0, "ns/op")
}

// held is how much memory is in use after a collection.
func held() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse) //nolint:gosec // far from the limit
}
