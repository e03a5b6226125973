package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// running knows the turns that run in this process, so that /stop finds them.
type running struct {
	mu    sync.Mutex
	turns map[string]*run // by the conversation's order
}

type run struct {
	scope  scope.Scope
	head   int64 // position of the event that began it
	began  time.Time
	cancel context.CancelCauseFunc
}

func newRunning() *running { return &running{turns: map[string]*run{}} }

func (r *running) add(order string, t *run) (remove func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turns[order] = t
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.turns[order] == t {
			delete(r.turns, order)
		}
	}
}

func (r *running) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.turns)
}

// lasting reports whether a turn has been running for longer than d.
func (r *running) lasting(now time.Time, d time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.turns {
		if now.Sub(t.began) > d {
			return true
		}
	}
	return false
}

// since returns when the turn in a conversation began, and whether there is one.
func (r *running) since(order string) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, ok := r.turns[order]
	if !ok {
		return time.Time{}, false
	}
	return t.began, true
}

// stopped says what became of a /stop.
type stopped int

const (
	nothingRuns stopped = iota
	notTheirs
	wasStopped
)

// stop ends the turn of a conversation that was there before the /stop, when
// it is the speaker's own or the speaker administers the workspace.
func (r *running) stop(order string, by stopper) stopped {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, ok := r.turns[order]
	switch {
	case !ok, t.head > by.Seq:
		return nothingRuns
	case t.scope.Member() != by.Member && !by.Administers:
		return notTheirs
	}
	t.cancel(agent.ErrStopped)
	return wasStopped
}

// end ends every turn of somebody who was removed.
func (r *running) end(workspace, member string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.turns {
		if t.scope.Workspace() == workspace && t.scope.Member() == member {
			t.cancel(errLeft)
		}
	}
}

// bell wakes everybody who waits, each time it rings. Replicas ring their own,
// so a wait is never longer than a second.
type bell struct {
	mu sync.Mutex
	ch chan struct{}
}

func newBell() *bell { return &bell{ch: make(chan struct{})} }

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ch)
	b.ch = make(chan struct{})
}

func (b *bell) wait(ctx context.Context) error {
	b.mu.Lock()
	ch := b.ch
	b.mu.Unlock()
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-ch:
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
