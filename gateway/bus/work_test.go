package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func publish(t *testing.T, e bus.Engine, order string, keys ...string) {
	t.Helper()
	for _, k := range keys {
		r := bus.Record{Workspace: "w", Channel: "c", Queue: bus.Inbox, Key: k, Order: order, Body: json.RawMessage("{}")}
		if err := e.Publish(t.Context(), bus.Batch{Records: []bus.Record{r}}); err != nil {
			t.Fatal(err)
		}
	}
}

func work(parallel int, grace time.Duration, do func(stopping, work context.Context, l *bus.Lease)) bus.Work {
	return bus.Work{
		Want: bus.Want{Queue: bus.Inbox, For: time.Minute}, Parallel: parallel, Grace: grace,
		Log: slog.New(slog.DiscardHandler), Do: do,
	}
}

// opaque is a context of a foreign kind: what depends on it hears of its end a
// little later than whoever waits on Done.
type opaque struct{ context.Context }

func (opaque) Value(any) any { return nil }

// TestWorkEndsAfterItsGrace: work that listens to its context is cut off when
// the grace is over, every time, however the end of ctx and the return of the
// loop fall together.
func TestWorkEndsAfterItsGrace(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			e := inprocess.New(inprocess.Options{})
			publish(t, e, "o", "1")
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				done <- work(2, 5*time.Second, func(_, work context.Context, _ *bus.Lease) { <-work.Done() }).Run(opaque{ctx}, e)
			}()
			synctest.Wait()
			began := time.Now()
			cancel()
			select {
			case err := <-done:
				if d := time.Since(began); err != nil || d != 5*time.Second {
					t.Fatalf("ended after %v with %v", d, err)
				}
			case <-time.After(time.Hour):
				t.Fatal("the grace never ended")
			}
		})
	}
}

func TestWorkThatIsDoneEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := inprocess.New(inprocess.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- work(2, 5*time.Second, nil).Run(ctx, e) }()
		synctest.Wait()
		began := time.Now()
		cancel()
		if err := <-done; err != nil || time.Since(began) != 0 {
			t.Errorf("ended after %v with %v", time.Since(began), err)
		}
	})
}

func TestWorkKeepsToItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := inprocess.New(inprocess.Options{})
		for i := range 20 {
			publish(t, e, fmt.Sprint("o", i), fmt.Sprint(i))
		}
		var mu sync.Mutex
		running, most, all := 0, 0, 0
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- work(3, time.Second, func(_, work context.Context, l *bus.Lease) {
				mu.Lock()
				running++
				all++
				most = max(most, running)
				mu.Unlock()
				<-time.After(time.Second)
				mu.Lock()
				running--
				mu.Unlock()
				_ = e.Settle(work, l, bus.Outcome{Verdicts: map[string]bus.Verdict{l.Records[0].Key: {Fate: bus.Ack}}})
			}).Run(ctx, e)
		}()
		<-time.After(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if most != 3 || all != 20 {
			t.Errorf("%d at a time and %d in all, want 3 and 20", most, all)
		}
	})
}

// broken fails to lease for a while.
type broken struct {
	bus.Engine
	mu    sync.Mutex
	fails int
	asked []time.Time
}

func (b *broken) Lease(ctx context.Context, w bus.Want) ([]*bus.Lease, error) {
	b.mu.Lock()
	b.asked = append(b.asked, time.Now())
	failing := b.fails > 0
	b.fails--
	b.mu.Unlock()
	if failing {
		return nil, errors.New("disk on fire")
	}
	return b.Engine.Lease(ctx, w)
}

func TestWorkAsksABrokenEngineMoreAndMoreSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &broken{Engine: inprocess.New(inprocess.Options{}), fails: 12}
		publish(t, e, "o", "1")
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan string, 1)
		done := make(chan error, 1)
		go func() {
			done <- work(1, time.Second, func(_, _ context.Context, l *bus.Lease) { got <- l.Records[0].Key }).Run(ctx, e)
		}()
		if k := <-got; k != "1" {
			t.Errorf("got %q", k)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		first, last := e.asked[1].Sub(e.asked[0]), e.asked[12].Sub(e.asked[11])
		if first != 50*time.Millisecond || last != 5*time.Second {
			t.Errorf("it was asked again after %v first and %v last", first, last)
		}
	})
}
