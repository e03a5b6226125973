package channeltest

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Recorder is a testing.TB that keeps what a test says instead of passing it
// on. With it a suite is shown to fail where it must.
type Recorder struct {
	testing.TB // the real test: names, temporary folders and contexts

	ctx    context.Context // ends before the cleanups, as a test's does
	cancel context.CancelFunc
	until  string // the failure that is enough; "": none is

	mu       sync.Mutex
	failed   bool
	skipped  bool
	lines    []string
	cleanups []func()
}

// Record runs f as a test of its own, cleanups included, and returns what it
// came to. A panic counts as a failure.
func Record(t testing.TB, f func(t testing.TB)) *Recorder { return RecordUntil(t, "", f) }

// RecordUntil is Record, and lets nothing be waited for any more as soon as f
// has failed with this text: what comes after a mistake may never come.
func RecordUntil(t testing.TB, text string, f func(t testing.TB)) *Recorder {
	ctx, cancel := context.WithCancel(t.Context())
	r := &Recorder{TB: t, ctx: ctx, cancel: cancel, until: text}
	r.run(func() { f(r) })
	cancel()
	for {
		r.mu.Lock()
		n := len(r.cleanups)
		if n == 0 {
			r.mu.Unlock()
			return r
		}
		last := r.cleanups[n-1]
		r.cleanups = r.cleanups[:n-1]
		r.mu.Unlock()
		r.run(last)
	}
}

// run calls f in a goroutine of its own, because FailNow ends it.
func (r *Recorder) run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				r.Errorf("panic: %v", p)
			}
		}()
		f()
	}()
	<-done
}

// Text is everything that was said, one line each.
func (r *Recorder) Text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

func (r *Recorder) say(text string, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, strings.TrimSuffix(text, "\n"))
	r.failed = r.failed || failed
	if failed && r.until != "" && strings.Contains(text, r.until) {
		r.cancel()
	}
}

// Cleanup implements testing.TB.
func (r *Recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

// Context implements testing.TB.
func (r *Recorder) Context() context.Context { return r.ctx }

// Failed implements testing.TB.
func (r *Recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// Skipped implements testing.TB.
func (r *Recorder) Skipped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.skipped
}

// FailNow implements testing.TB.
func (r *Recorder) FailNow() { r.Fail(); runtime.Goexit() }

// Fail implements testing.TB.
func (r *Recorder) Fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

// SkipNow implements testing.TB.
func (r *Recorder) SkipNow() {
	r.mu.Lock()
	r.skipped = true
	r.mu.Unlock()
	runtime.Goexit()
}

// The rest of testing.TB that says something.

func (r *Recorder) Error(args ...any)                 { r.say(fmt.Sprintln(args...), true) }
func (r *Recorder) Errorf(format string, args ...any) { r.say(fmt.Sprintf(format, args...), true) }
func (r *Recorder) Fatal(args ...any)                 { r.Error(args...); r.FailNow() }
func (r *Recorder) Fatalf(format string, args ...any) { r.Errorf(format, args...); r.FailNow() }
func (r *Recorder) Log(args ...any)                   { r.say(fmt.Sprintln(args...), false) }
func (r *Recorder) Logf(format string, args ...any)   { r.say(fmt.Sprintf(format, args...), false) }
func (r *Recorder) Skip(args ...any)                  { r.Log(args...); r.SkipNow() }
func (r *Recorder) Skipf(format string, args ...any)  { r.Logf(format, args...); r.SkipNow() }
func (r *Recorder) Helper()                           {}
