package wasm

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// What a guest may ask of timers.
const (
	maxTimers   = 16
	soonest     = 100 * time.Millisecond
	maxTimerKey = 64
)

// timers are those of a channel, which ring while it runs. Each rings in the goroutine of run,
// one after the other, so that a guest that is slow to answer delays its own
// timers alone. Its methods may be called concurrently.
type timers struct {
	mu   sync.Mutex
	all  map[string]alarm
	wake chan struct{}
}

type alarm struct {
	at    time.Time
	every time.Duration // 0: once
}

func newTimers() *timers { return &timers{all: map[string]alarm{}, wake: make(chan struct{}, 1)} }

// set starts, replaces or removes a timer.
func (t *timers) set(w wire.TimerSet) {
	t.mu.Lock()
	defer t.mu.Unlock()
	every, after := milliseconds(w.EveryMS), milliseconds(w.AfterMS)
	if w.EveryMS > 0 {
		every = max(every, soonest)
	}
	if after == 0 {
		after = every
	}
	delete(t.all, w.Name)
	if after > 0 && len(t.all) < maxTimers {
		t.all[w.Name] = alarm{time.Now().Add(max(after, soonest)), every}
	}
	t.nudge()
}

// clear removes all timers.
func (t *timers) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.all)
	t.nudge()
}

func (t *timers) nudge() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// next is the timer that rings first, which is due if wait is not positive, and
// then is set anew or removed.
func (t *timers) next() (name string, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	wait = time.Hour
	now := time.Now()
	for n, a := range t.all {
		if d := a.at.Sub(now); d < wait {
			name, wait = n, d
		}
	}
	if wait > 0 {
		return name, wait
	}
	a := t.all[name]
	if a.every == 0 {
		delete(t.all, name)
		return name, 0
	}
	if a.at = a.at.Add(a.every); a.at.Before(now) { // what was missed is not made up for
		a.at = now.Add(a.every)
	}
	t.all[name] = a
	return name, 0
}

// run rings until ctx ends.
func (t *timers) run(ctx context.Context, ring func(context.Context, string)) {
	for ctx.Err() == nil {
		name, wait := t.next()
		if wait <= 0 {
			ring(ctx, name)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-t.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// setTimer answers timer_set.
func (h *call) setTimer(in sandbox.Payload) error {
	var w wire.TimerSet
	if json.Unmarshal(in.Header, &w) != nil || w.Name == "" || len(w.Name) > maxTimerKey || w.AfterMS < 0 || w.EveryMS < 0 {
		return sandbox.Invalid
	}
	if len(h.timers) == maxTimers {
		return sandbox.Quota
	}
	h.timers = append(h.timers, w)
	return nil
}

// after carries out what a call that succeeded wants of its timers and its
// connection.
func (p *poller) after(h *call) {
	for _, w := range h.timers {
		p.timers.set(w)
	}
	if c := p.socket.Load(); h.closing && c != nil {
		_ = c.Close()
	}
}

// ring calls the guest for one of its timers. A failure is for the log: the
// timer rings again, or the connection ends.
func (p *poller) ring(ctx context.Context, name string) {
	if _, _, err := p.receive(ctx, sandbox.OpTimer, wire.In{Timer: name}, nil); err != nil && ctx.Err() == nil {
		p.h.Log().WarnContext(ctx, "a timer of the guest failed", "module", p.g.pkg.Manifest.ID, "err", err)
	}
}

// lastCall is how long a guest has when its channel stops.
const lastCall = 2 * time.Second

// shutdown tells the guest that its channel stops, if it wants to know.
func (p *poller) shutdown(ctx context.Context) {
	if !p.g.terms.can(canShutdown) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCall)
	defer cancel()
	if err := p.small(ctx, sandbox.OpShutdown, wire.In{}); err != nil {
		p.h.Log().WarnContext(ctx, "the guest did not stop as it should", "module", p.g.pkg.Manifest.ID, "err", err)
	}
}
