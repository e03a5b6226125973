package sqlite

import (
	"context"
	"time"
)

// sweepEvery is how often a waiting lease looks for what another process wrote.
const sweepEvery = time.Second

// mayServe reports whether something due may be there for x already.
func (e *Engine) mayServe(x *waiter) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	next, known := e.ahead[x.want.Queue]
	return !e.asked || (known && next <= e.now().UnixMicro())
}

// ahead returns when the first order of each queue falls due. It fills old.
func (w *writer) ahead(old map[string]int64) map[string]int64 {
	clear(old)
	for id, l := range w.lanes {
		if next, known := old[id.queue]; !known || l.next < next {
			old[id.queue] = l.next
		}
	}
	return old
}

// nextFor returns when the first order falls due that one of the waiters takes.
func (w *writer) nextFor(waiters []*waiter) int64 {
	next := int64(never)
	for id, l := range w.lanes {
		if l.next >= next {
			continue
		}
		for _, x := range waiters {
			if x.takes(id) {
				next = l.next
				break
			}
		}
	}
	return next
}

// arm sets the alarm for a waiter that has just begun to wait.
func (e *Engine) arm() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rearm()
}

// rearm sets the alarm to the next order that falls due, but at the latest to
// the next look at the file; off when nobody waits. The caller holds e.mu.
func (e *Engine) rearm() {
	if len(e.waiters) == 0 || e.closed {
		return // an alarm that rings for nobody does nothing
	}
	now := e.now()
	at := now.Add(sweepEvery)
	if e.next != never {
		at = earlier(at, fromMicros(e.next))
	}
	if at.Before(e.retry) {
		at = e.retry
	}
	if !e.armed.IsZero() && !at.Before(e.armed) {
		return
	}
	e.armed = at
	e.alarm.Reset(max(0, at.Sub(now)))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// ring runs on the alarm's own goroutine.
func (e *Engine) ring() {
	e.mu.Lock()
	e.armed = time.Time{}
	if e.closed || len(e.waiters) == 0 {
		e.mu.Unlock()
		return
	}
	e.ringing.Add(1)
	e.mu.Unlock()
	defer e.ringing.Done()
	if err := e.commit(context.Background(), func(w *writer) error { return w.refresh() }); err != nil && !e.isClosed() {
		e.log.Warn("cannot look for due work", "err", err)
	}
	e.arm()
}
