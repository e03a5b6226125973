package sandbox

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"
)

// defaultSlots leaves one of the processors to everything that is no guest. If
// guests held all of them, the runtime would look at the network only every
// 10 ms, and each step of each message would wait for that.
func defaultSlots() int { return max(1, runtime.GOMAXPROCS(0)-1) }

// brief is what a call may burn before it counts as a long one: some 3 ms,
// twice what a guest in Go needs for a message.
const brief = 64 * slice

// A long call pauses after each turn, some 2 ms, and then goes to the end of the
// queue. It keeps its slot while it pauses: what runs on the same processor, or
// waits for the network to be looked at, is no guest and stands in no queue.
const (
	turn  = 40 * slice
	pause = time.Millisecond
)

// slots are the right to run guest code. Calls that have hardly begun are served
// before long ones, and those of one kind as they came.
type slots struct {
	mu    sync.Mutex
	free  int
	fresh []chan struct{}
	long  []chan struct{}
}

// enter waits for a slot.
func (s *slots) enter(ctx context.Context, long bool) error {
	s.mu.Lock()
	if s.free > 0 {
		s.free--
		s.mu.Unlock()
		return nil
	}
	called := make(chan struct{})
	queue := s.queue(long)
	*queue = append(*queue, called)
	s.mu.Unlock()
	select {
	case <-called:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(*queue, called); i >= 0 {
		*queue = slices.Delete(*queue, i, i+1)
	} else {
		s.leaveLocked() // it came in the same moment
	}
	return context.Cause(ctx)
}

func (s *slots) queue(long bool) *[]chan struct{} {
	if long {
		return &s.long
	}
	return &s.fresh
}

// leave gives a slot to whoever waits for one.
func (s *slots) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaveLocked()
}

func (s *slots) leaveLocked() {
	for _, queue := range []*[]chan struct{}{&s.fresh, &s.long} {
		if all := *queue; len(all) > 0 {
			close(all[0])
			*queue = slices.Delete(all, 0, 1)
			return
		}
	}
	s.free++
}

// crowded tells whether anybody waits.
func (s *slots) crowded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.fresh)+len(s.long) > 0
}

// stepAside lets others run: at every look everything that is no guest, and, when
// this call has become a long one, after each turn of it the calls that wait for
// its slot.
func (c *call) stepAside() {
	runtime.Gosched()
	if c.used() < c.pausing {
		return
	}
	c.pausing = c.used() + turn
	rest := time.NewTimer(pause)
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-c.Done():
	}
	if c.box.slots.crowded() {
		c.handOver()
	}
}

// handOver gives the call's slot to others and waits for the next. An instance
// that waits needs room; without that the call keeps its slot.
func (c *call) handOver() {
	size := int64(c.memory.Size())
	if !c.box.aside.take(size) {
		return
	}
	defer c.box.aside.giveBack(size)
	ctx, cancel := context.WithDeadline(c.Context, c.deadline)
	defer cancel()
	c.free()
	c.enterAgain(ctx)
}

// enterAgain waits for a slot in the middle of a call, and ends the call if there
// is none in time.
func (c *call) enterAgain(ctx context.Context) {
	if c.box.slots.enter(ctx, c.used() >= brief) != nil {
		c.lookAtClock()
		panic(stopf(KindWall, "found no slot within %s", c.lim.Wall))
	}
	c.slotted = true
}

// free leaves the call's slot, if it has one.
func (c *call) free() {
	if c.slotted {
		c.slotted = false
		c.box.slots.leave()
	}
}
