package bus

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Work says how a station works off a queue.
type Work struct {
	Want     Want          // N is ignored: Parallel decides
	Parallel int           // leases at a time
	Grace    time.Duration // for work that is under way when ctx ends
	Log      *slog.Logger
	// Do works off one lease and settles it. stopping ends when no new effect
	// may begin, work when even what is under way must end.
	Do func(stopping, work context.Context, l *Lease)
}

// The pauses between calls of an engine that fails.
const (
	shortPause = 50 * time.Millisecond
	longPause  = 5 * time.Second
)

// Run leases and works until ctx ends, waits for what is under way, and
// returns nil. An engine that fails is asked again, more and more slowly.
func (w Work) Run(ctx context.Context, b Bus) error {
	var wg sync.WaitGroup
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer func() { // returning means that ctx has ended
		defer time.AfterFunc(w.Grace, cancel).Stop()
		wg.Wait()
	}()
	crew := &crew{hand: make(chan *Lease), all: &wg, do: func(l *Lease) { w.Do(ctx, work, l) }}
	defer close(crew.hand)
	slots := make(chan struct{}, w.Parallel)
	crew.done = func() { release(slots, 1) }
	pause := shortPause
	for {
		n := acquire(ctx, slots)
		if n == 0 {
			return nil
		}
		want := w.Want
		want.N = n
		leases, err := b.Lease(ctx, want)
		release(slots, n-len(leases))
		switch {
		case ctx.Err() != nil && len(leases) == 0:
			return nil
		case err != nil:
			w.Log.Error("lease", "queue", want.Queue, "err", err)
			sleep(ctx, pause)
			pause = min(2*pause, longPause)
			continue
		}
		pause = shortPause
		for _, l := range leases {
			crew.take(l)
		}
	}
}

// crew works off leases. Its goroutines stay for a while when they have nothing
// to do: the work goes deep, and a new goroutine would grow its stack again for
// each lease, at a twentieth of what a message costs.
type crew struct {
	hand chan *Lease // to whoever is idle
	all  *sync.WaitGroup
	do   func(*Lease)
	done func()
}

// idleFor is how long a goroutine without work stays.
const idleFor = 30 * time.Second

// take has the lease worked off, by a new goroutine if nobody is idle.
func (c *crew) take(l *Lease) {
	select {
	case c.hand <- l:
	default:
		c.all.Go(func() { c.work(l) })
	}
}

func (c *crew) work(l *Lease) {
	idle := time.NewTimer(idleFor)
	defer idle.Stop()
	for l != nil {
		c.one(l)
		idle.Reset(idleFor)
		select {
		case l = <-c.hand: // nil when it is closed
		case <-idle.C:
			return
		}
	}
}

func (c *crew) one(l *Lease) {
	defer c.done()
	c.do(l)
}

// acquire takes one slot, and all others that happen to be free; 0 when ctx ended.
func acquire(ctx context.Context, slots chan struct{}) int {
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	n := 1
	for {
		select {
		case slots <- struct{}{}:
			n++
		default:
			return n
		}
	}
}

func release(slots chan struct{}, n int) {
	for range n {
		<-slots
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
