package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
)

// table is what `make bench` shows in the end.
type table struct {
	mu   sync.Mutex
	rows [][3]string // what, figure, target
}

var figures table

func (f *table) add(what, target, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	row := [3]string{what, fmt.Sprintf(format, args...), target}
	if i := slices.IndexFunc(f.rows, func(r [3]string) bool { return r[0] == what }); i >= 0 {
		f.rows[i] = row
		return
	}
	f.rows = append(f.rows, row)
}

// String is the table as text; empty when no benchmark ran.
func (f *table) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.rows) == 0 {
		return ""
	}
	var b strings.Builder
	line := func(r [3]string) { fmt.Fprintf(&b, "| %-46s | %-34s | %-24s |\n", r[0], r[1], r[2]) }
	line([3]string{"what", "measured", "target"})
	line([3]string{strings.Repeat("-", 46), strings.Repeat("-", 34), strings.Repeat("-", 24)})
	for _, r := range f.rows {
		line(r)
	}
	return b.String()
}

// load is one way to use the gateway.
type load struct {
	name        string
	chats       int
	alone       bool          // one chat after the other
	messages    int           // in all
	delay       time.Duration // of the model
	latency     time.Duration // of the Bot API
	rate, tails string        // the targets
}

var loads = []load{
	{name: "one chat after the other", chats: 32, alone: true, messages: 3000, rate: "600/s", tails: "p99 6 ms"},
	{name: "32 chats at once", chats: 32, messages: 6000, rate: "1,500/s", tails: "p99 40 ms"},
	{name: "32 chats, a model of 200 ms", chats: 32, messages: 1600, delay: 200 * time.Millisecond, rate: "140/s"},
	{name: "32 chats, a Bot API of 100 ms", chats: 32, messages: 1600, latency: 100 * time.Millisecond, rate: "150/s"},
}

// BenchmarkMessages lets people write in closed loops: each writes again when
// the answer is there. The whole way is measured, in at one end of the emulator
// and out at the other.
func BenchmarkMessages(b *testing.B) {
	for _, l := range loads {
		b.Run(l.name, func(b *testing.B) { l.run(b) })
	}
}

func (l load) run(b *testing.B) {
	s := newStage(b, l.delay, l.latency)
	s.up()
	s.play(l.chats, l.alone, l.chats*8) // to get warm
	cpu, commits := s.cpu(), s.metric("gatehouse_store_commits_total")
	b.ResetTimer()
	began := time.Now()
	waits := s.play(l.chats, l.alone, l.messages)
	took := time.Since(began)
	b.StopTimer()
	n := float64(len(waits))
	cpu = s.cpu() - cpu
	rate, p50, p99 := n/took.Seconds(), quantile(waits, 0.5), quantile(waits, 0.99)
	perThousand := cpu.Seconds() / n * 1000
	commits = (s.metric("gatehouse_store_commits_total") - commits) / n
	b.ReportMetric(rate, "msg/s")
	b.ReportMetric(ms(p50), "p50-ms")
	b.ReportMetric(ms(p99), "p99-ms")
	b.ReportMetric(perThousand, "cpu-s/1000msg")
	b.ReportMetric(commits, "commits/msg")
	b.ReportMetric(0, "ns/op")
	target := "at least " + l.rate
	if l.tails != "" {
		target += ", " + l.tails
	}
	figures.add(l.name, target, "%.0f/s, p50 %.1f ms, p99 %.1f ms", rate, ms(p50), ms(p99))
	figures.add(fmt.Sprintf("processor time for 1,000, %s", l.name), "at most 1.2 s", "%.2f s", perThousand)
	if l.delay+l.latency > 0 {
		return
	}
	figures.add(fmt.Sprintf("commits a message, %s", l.name), "at most 4", "%.2f", commits)
	figures.add(fmt.Sprintf("durable accept, %s", l.name), "p99 under 10 ms", "p50 ≤ %s s, p99 ≤ %s s",
		s.quantile("gatehouse_accept_duration_seconds", 0.5), s.quantile("gatehouse_accept_duration_seconds", 0.99))
	figures.add(fmt.Sprintf("resident after it, %s", l.name), "", "%.1f MiB", s.resident())
}

// play has n messages written and answered, and returns how long each took.
func (s *stage) play(chats int, alone bool, n int) []time.Duration {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	answers := make([]chan struct{}, chats)
	people, rooms := make([]*telegramtest.User, chats), make([]*telegramtest.Chat, chats)
	for i := range answers {
		answers[i] = make(chan struct{}, 1)
		people[i] = s.bot.User(int64(1001+i), fmt.Sprintf("Person %d", i))
		rooms[i] = s.bot.Private(people[i])
	}
	var reading sync.WaitGroup
	follow, stop := context.WithCancel(ctx)
	reading.Go(func() { s.listen(follow, answers) })
	defer reading.Wait()
	defer stop()
	waits := make([][]time.Duration, chats)
	one := func(i int) bool {
		began := time.Now()
		rooms[i].Say(people[i], "hello")
		select {
		case <-answers[i]:
			waits[i] = append(waits[i], time.Since(began))
			return true
		case <-ctx.Done():
			s.tb.Errorf("no answer in chat %d\n%s", i, s.gate.log)
			return false
		}
	}
	if alone {
		for i := 0; i < n && one(i%chats); i++ {
		}
	} else {
		var all sync.WaitGroup
		for c := range chats {
			all.Go(func() {
				for range n / chats {
					if !one(c) {
						return
					}
				}
			})
		}
		all.Wait()
	}
	if s.tb.Failed() {
		s.tb.FailNow()
	}
	return slices.Concat(waits...)
}

// listen tells each chat of its answers.
func (s *stage) listen(ctx context.Context, answers []chan struct{}) {
	for ctx.Err() == nil {
		more, err := s.bot.After(ctx, s.seen)
		if err != nil {
			return
		}
		s.seen += len(more)
		for _, d := range more.Of(telegramtest.Sent) {
			answers[d.Chat-1001] <- struct{}{}
		}
	}
}

func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// BenchmarkStart measures from the start of the process until it is ready.
func BenchmarkStart(b *testing.B) {
	s := newStage(b, 0, 0)
	first := s.up()
	s.stop()
	var later []time.Duration
	for range 15 {
		later = append(later, s.up())
		s.stop()
	}
	p50 := quantile(later, 0.5)
	b.ReportMetric(ms(p50), "ms")
	b.ReportMetric(0, "ns/op")
	figures.add("start to ready, median of 15", "under 100 ms", "%.0f ms (the best %.0f ms)", ms(p50), ms(slices.Min(later)))
	figures.add("  the very first, on an empty folder", "", "%.0f ms", ms(first))
}

func (s *stage) stop() {
	s.tb.Helper()
	if err := s.gate.Term(); err != nil {
		s.tb.Fatalf("after SIGTERM: %v\n%s", err, s.gate.log)
	}
}

// BenchmarkIdle measures the memory of a gateway that nobody writes to.
func BenchmarkIdle(b *testing.B) {
	s := newStage(b, 0, 0)
	s.up()
	<-time.After(10 * time.Second) // idleness is what is measured
	fresh := s.resident()
	cpu := s.cpu()
	<-time.After(5 * time.Second) // as above
	cpu = s.cpu() - cpu
	b.ReportMetric(fresh, "MiB")
	b.ReportMetric(0, "ns/op")
	figures.add("idle resident memory, one channel, after 10 s", "under 40 MiB", "%.1f MiB", fresh)
	figures.add("  processor time while idle", "", "%.1f %% of a core", 100*cpu.Seconds()/5)
}

// BenchmarkSize measures the binary.
func BenchmarkSize(b *testing.B) {
	i, err := os.Stat(release(b))
	if err != nil {
		b.Fatal(err)
	}
	mb := float64(i.Size()) / 1e6
	b.ReportMetric(mb, "MB")
	b.ReportMetric(0, "ns/op")
	figures.add("binary, stripped", "under 60 MB", "%.1f MB", mb)
}

// BenchmarkFsync measures what the disk takes to keep 4 KiB, beside everything
// else: no commit is faster.
func BenchmarkFsync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	var all []time.Duration
	for range 500 {
		began := time.Now()
		_, err := f.Write(page)
		if err == nil {
			err = f.Sync()
		}
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, time.Since(began))
	}
	b.ReportMetric(ms(quantile(all, 0.5)), "p50-ms")
	b.ReportMetric(ms(quantile(all, 0.99)), "p99-ms")
	b.ReportMetric(0, "ns/op")
	figures.add("fsync of 4 KiB on this disk", "", "p50 %.2f ms, p99 %.2f ms", ms(quantile(all, 0.5)), ms(quantile(all, 0.99)))
}
