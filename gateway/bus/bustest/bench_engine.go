package bustest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/internal/cputest"
)

// Benchmark measures an engine: publications with one and with 64 publishers,
// and the whole way of a message, which is publish, lease, settle with one
// emission, lease, settle. commits counts the engine's commits; nil where nobody
// counts.
func Benchmark(b *testing.B, open func(b *testing.B) (e bus.Engine, commits func() int64)) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("publish/publishers=%d", n), func(b *testing.B) {
			e, commits := open(b)
			benchPublish(b, e, commits, n)
		})
	}
	for _, n := range []int{1, 32} {
		b.Run(fmt.Sprintf("cycle/chats=%d", n), func(b *testing.B) {
			e, commits := open(b)
			benchCycle(b, e, commits, n)
		})
	}
}

// benchBody is an event of 600 bytes.
var benchBody = json.RawMessage(`{"text":"` + strings.Repeat("x", 589) + `"}`)

func benchRec(queue string, order int, n int64) bus.Record {
	return bus.Record{
		Workspace: "default", Channel: "support", Account: "7527593", Queue: queue,
		Key: fmt.Sprintf("update/%d/%d", order, n), Order: fmt.Sprintf("support/dm:%d", order), Body: benchBody,
	}
}

func benchPublish(b *testing.B, e bus.Engine, commits func() int64, publishers int) {
	var n atomic.Int64
	before, cpu := count(commits), cputest.Process()
	times := make([][]time.Duration, publishers)
	var wg sync.WaitGroup
	b.ResetTimer()
	for p := range publishers {
		wg.Go(func() {
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				start := time.Now()
				if err := e.Publish(context.Background(), bus.Batch{Records: []bus.Record{benchRec(bus.Inbox, int(i%1000), i)}}); err != nil {
					b.Error(err)
					return
				}
				times[p] = append(times[p], time.Since(start))
			}
		})
	}
	wg.Wait()
	report(b, slices.Concat(times...), count(commits)-before, cputest.Process()-cpu)
}

// benchCycle sends each chat's next message when its reply has been settled.
func benchCycle(b *testing.B, e bus.Engine, commits func() int64, chats int) {
	ctx, cancel := context.WithCancel(context.Background())
	arrived := make([]chan struct{}, chats)
	for i := range arrived {
		arrived[i] = make(chan struct{}, 1)
	}
	var workers sync.WaitGroup
	for range min(chats, 8) {
		workers.Go(func() {
			benchWork(ctx, b, e, bus.Inbox, func(r bus.Record) []bus.Record {
				r.Queue = bus.Outbox
				r.Key = "reply/" + r.Key
				return []bus.Record{r}
			})
		})
		workers.Go(func() {
			benchWork(ctx, b, e, bus.Outbox, func(r bus.Record) []bus.Record {
				var chat int
				_, _ = fmt.Sscanf(r.Order, "support/dm:%d", &chat)
				arrived[chat] <- struct{}{}
				return nil
			})
		})
	}
	before, cpu := count(commits), cputest.Process()
	times := make([][]time.Duration, chats)
	var n atomic.Int64
	var senders sync.WaitGroup
	b.ResetTimer()
	for c := range chats {
		senders.Go(func() {
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				start := time.Now()
				if err := e.Publish(ctx, bus.Batch{Records: []bus.Record{benchRec(bus.Inbox, c, i)}}); err != nil {
					b.Error(err)
					return
				}
				<-arrived[c]
				times[c] = append(times[c], time.Since(start))
			}
		})
	}
	senders.Wait()
	b.StopTimer()
	cancel()
	workers.Wait()
	report(b, slices.Concat(times...), count(commits)-before, cputest.Process()-cpu)
}

// benchWork settles what it leases, with what f makes of it, and then tells f's
// side of it that the message has gone its way.
func benchWork(ctx context.Context, b *testing.B, e bus.Engine, queue string, f func(bus.Record) []bus.Record) {
	for {
		ls, err := e.Lease(ctx, bus.Want{Queue: queue, N: 4})
		if err != nil {
			if ctx.Err() == nil {
				b.Error(err)
			}
			return
		}
		for _, l := range ls {
			o := all(l, bus.Verdict{Fate: bus.Ack})
			if queue == bus.Inbox {
				for _, r := range l.Records {
					o.Emit = append(o.Emit, f(r)...)
				}
			}
			if err := e.Settle(context.WithoutCancel(ctx), l, o); err != nil {
				b.Error(err)
				return
			}
			if queue == bus.Outbox {
				for _, r := range l.Records {
					f(r)
				}
			}
		}
	}
}

func count(f func() int64) int64 {
	if f == nil {
		return 0
	}
	return f()
}

func report(b *testing.B, times []time.Duration, commits int64, cpu time.Duration) {
	if len(times) == 0 {
		return
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(len(times))/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(cpu.Microseconds())/float64(len(times)), "cpu-µs/msg")
	if commits > 0 {
		b.ReportMetric(float64(commits)/float64(len(times)), "commits/msg")
	}
}
