package channeltest

import (
	"context"
	"sync"
	"testing"
	"time"
)

// Deadline is how long the waits of this package last before they fail the
// test. It is only ever reached by a test that fails.
const Deadline = time.Minute

// board is a mutex whose changes can be waited for.
type board struct {
	patience time.Duration // of wait

	mu      sync.Mutex
	changed chan struct{} // closed and replaced with every change
}

func newBoard() *board { return &board{patience: Deadline, changed: make(chan struct{})} }

// change runs f under the lock and wakes everyone who waits.
func (b *board) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
	close(b.changed)
	b.changed = make(chan struct{})
}

// read runs f under the lock.
func (b *board) read(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// until blocks until cond, which runs under the lock, holds.
func (b *board) until(ctx context.Context, cond func() bool) error {
	for {
		b.mu.Lock()
		ok, changed := cond(), b.changed
		b.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// wait is until with a deadline; it ends the test when that passes, or the
// test's context ends.
// say describes what was waited for and how far it came; it runs under the lock.
func (b *board) wait(t testing.TB, cond func() bool, say func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), b.patience)
	defer cancel()
	if b.until(ctx, cond) == nil {
		return
	}
	var text string
	b.read(func() { text = say() })
	t.Fatalf("waited %s for %s", b.patience, text)
}

// Eventually polls cond until it holds and ends the test when it does not
// within [Deadline], also in a function of Cleanup. It is for emulators that cannot
// signal; call it from the test's goroutine.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	await(context.WithoutCancel(t.Context()), t, Deadline, what, cond) // which is over in Cleanup
}

func await(ctx context.Context, t testing.TB, patience time.Duration, what string, cond func() bool) {
	t.Helper()
	if !poll(ctx, patience, cond) {
		t.Fatalf("waited %s for %s", patience, what)
	}
}

func poll(ctx context.Context, patience time.Duration, cond func() bool) bool {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if cond() {
			return true
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return cond()
		case <-ctx.Done():
			return cond()
		}
	}
}
