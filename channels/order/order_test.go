package order_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/order"
)

func in(rooms ...string) (events []channels.Event) {
	for _, id := range rooms {
		events = append(events, channels.Event{Where: channels.Address{Conversation: channels.ConversationID(id)}})
	}
	return events
}

// crowd notes who is in.
type crowd struct {
	t  *testing.T
	mu sync.Mutex
	in []string
}

func (c *crowd) enter(p *order.Place, name string, events []channels.Event) {
	go func() {
		if err := p.Enter(c.t.Context(), events); err != nil {
			c.t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.in = append(c.in, name)
	}()
}

func (c *crowd) want(names ...string) {
	c.t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.in, names) {
		c.t.Errorf("%q are in, want %q", c.in, names)
	}
}

// TestOrder: who arrives first is accepted first, though it takes longer to be
// read; others go on beside it.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line order.Line
		c := &crowd{t: t}
		a, b, other := line.Arrive(), line.Arrive(), line.Arrive()
		c.enter(b, "b", in("x"))
		c.enter(other, "other", in("y"))
		c.want() // a has not been read yet
		c.enter(a, "a", in("x", "x"))
		synctest.Wait()
		slices.Sort(c.in) // in whichever order those two came
		c.want("a", "other")
		a.Leave()
		c.want("a", "other", "b")
		b.Leave()
		other.Leave()
	})
}

// TestSeveralConversations: who is in one of them and waits for another lets
// nobody pass, and nobody waits in a circle.
func TestSeveralConversations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line order.Line
		c := &crowd{t: t}
		a, b, d := line.Arrive(), line.Arrive(), line.Arrive()
		c.enter(a, "a", in("x"))
		c.want("a")
		c.enter(b, "b", in("y", "x"))
		c.want("a")
		c.enter(d, "d", in("y"))
		c.want("a")
		a.Leave()
		c.want("a", "b")
		b.Leave()
		c.want("a", "b", "d")
		d.Leave()
	})
}

// TestNobodyHoldsUpTheLine: one that takes too long is overtaken, one that leaves
// or says nothing is not waited for, and one that gives up lets others pass.
func TestNobodyHoldsUpTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line order.Line
		c := &crowd{t: t}
		slow, b := line.Arrive(), line.Arrive()
		began := time.Now()
		if err := b.Enter(t.Context(), in("x")); err != nil || time.Since(began) < time.Second || time.Since(began) > 3*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		d, gone := line.Arrive(), line.Arrive()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := d.Enter(ctx, in("x")); !errors.Is(err, context.Canceled) { // it queues behind b
			t.Error(err)
		}
		d.Leave()
		if err := gone.Enter(t.Context(), nil); err != nil {
			t.Error(err)
		}
		gone.Leave()
		gone.Leave()
		e := line.Arrive()
		c.enter(e, "e", in("x"))
		c.want()
		b.Leave()
		c.want("e")
		e.Leave()
		slow.Leave()
	})
}

// TestAnyOrder: whatever arrives, and however long it takes, nobody is in a
// conversation with another, each comes in its turn, and the line is empty in
// the end.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(rt, "requests")
		rooms, delay := make([][]channels.Event, n), make([]time.Duration, n)
		for i := range n {
			for _, r := range rapid.SliceOfN(rapid.IntRange(0, 3), 0, 4).Draw(rt, "rooms") {
				rooms[i] = append(rooms[i], in(strconv.Itoa(r))...)
			}
			delay[i] = time.Duration(rapid.IntRange(0, 100).Draw(rt, "delay")) * time.Millisecond
		}
		synctest.Test(t, func(t *testing.T) {
			var line order.Line
			var mu sync.Mutex
			var all sync.WaitGroup
			inside, last := map[channels.Address]bool{}, map[channels.Address]int{}
			for i := range n {
				p := line.Arrive()
				all.Go(func() {
					defer p.Leave()
					time.Sleep(delay[i]) // in the bubble
					if err := p.Enter(t.Context(), rooms[i]); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, e := range rooms[i] {
						if inside[e.Where] || last[e.Where] > i {
							t.Errorf("%d in %s: another is in, or a later one has been", i, e.Where.Conversation)
						}
						last[e.Where] = i
					}
					for _, e := range rooms[i] {
						inside[e.Where] = true
					}
					mu.Unlock()
					time.Sleep(time.Millisecond)
					mu.Lock()
					for _, e := range rooms[i] {
						inside[e.Where] = false
					}
					mu.Unlock()
				})
			}
			all.Wait()
		})
	})
}
