//go:build unix

package bustest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

// RunProcesses has several processes of this test binary work on one storage
// (see [Worker]) while one is killed and one is frozen past its lease and
// continued. The effects are emissions in fenced settlements, so the outbox
// tells whether any was lost, doubled or reordered.
func RunProcesses(t *testing.T, e bus.Engine, storage string) {
	orders, each := 200, 40
	if testing.Short() || slow {
		orders, each = 60, 15
	}
	p := &processes{T: t, e: e, storage: storage, orders: orders, each: each}
	killed, frozen := p.start(), p.start()

	published := make(chan error, 1)
	go func() { published <- p.publish() }()

	p.reach(orders * each / 10)
	p.signal(killed, syscall.SIGKILL)
	p.start()
	for n := 2; n <= 5 && frozen.lost.Load() == 0; n++ {
		p.reach(orders * each * n / 10)
		p.signal(frozen, syscall.SIGSTOP)
		pass(t.Context(), e, 3*workerLease)
		// One that is frozen in the middle of a commit may hold the others up,
		// who give up when that lasts.
		p.within(2*time.Second, orders*each*n/10+1)
		p.signal(frozen, syscall.SIGCONT)
		pass(t.Context(), e, workerLease/4)
	}
	p.reach(orders * each)
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	p.check()
	t.Logf("settlements fenced off: %d", frozen.lost.Load())
}

type processes struct {
	*testing.T
	e            bus.Engine
	storage      string
	orders, each int
}

type process struct {
	*exec.Cmd
	lost   lineCount // settlements that were fenced off
	faults bytes.Buffer
}

// lineCount counts the lines written to it.
type lineCount struct{ atomic.Int64 }

func (c *lineCount) Write(p []byte) (int, error) {
	c.Add(int64(bytes.Count(p, []byte("\n"))))
	return len(p), nil
}

func (p *processes) start() *process {
	p.Helper()
	exe, err := os.Executable()
	if err != nil {
		p.Fatal(err)
	}
	w := &process{Cmd: exec.Command(exe)}
	w.Env = append(os.Environ(), workerEnv+"="+p.storage)
	w.Stdout, w.Stderr = &w.lost, &w.faults
	if err := w.Start(); err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() {
		_ = w.Process.Signal(syscall.SIGCONT)
		_ = w.Process.Kill()
		var exit *exec.ExitError
		if err := w.Wait(); err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 0) {
			p.Errorf("a worker ended with %v: %s", err, w.faults.String())
		}
	})
	return w
}

func (p *processes) signal(w *process, s syscall.Signal) {
	p.Helper()
	if err := w.Process.Signal(s); err != nil {
		p.Fatal(err)
	}
}

// publish publishes all records in order, one in twenty twice.
func (p *processes) publish() error {
	for n := range p.each {
		for o := 0; o < p.orders; o += 10 {
			var b bus.Batch
			for i := o; i < min(o+10, p.orders); i++ {
				b.Records = append(b.Records, rec(orderKey(i, n)))
			}
			if n > 0 && (o+n)%2 == 0 {
				b.Records = append(b.Records, rec(orderKey(o, n-1)))
			}
			if err := p.e.Publish(p.Context(), b); err != nil {
				return fmt.Errorf("publish: %w", err)
			}
		}
	}
	return nil
}

// reach waits until there are n effects.
func (p *processes) reach(n int) {
	p.Helper()
	if got := p.within(3*time.Minute, n); got < n {
		p.Fatalf("%d effects, want %d", got, n)
	}
}

// within waits until there are n effects, or for as long as d, and returns how
// many there are.
func (p *processes) within(d time.Duration, n int) int {
	p.Helper()
	deadline := time.Now().Add(d)
	for {
		got := p.effects()
		if got >= n || time.Now().After(deadline) {
			return got
		}
		pass(p.Context(), p.e, 20*time.Millisecond)
	}
}

func (p *processes) effects() int {
	p.Helper()
	ds, err := p.e.Depths(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	n := 0
	for _, d := range ds {
		if d.Queue == bus.Outbox {
			n += d.Count
		}
	}
	return n
}

func (p *processes) check() {
	p.Helper()
	ls, err := p.e.Replies(context.WithoutCancel(p.Context()), "c", "")
	if err != nil {
		p.Fatal(err)
	}
	got := map[string][]string{}
	for _, l := range ls {
		key, _, _ := strings.Cut(l.Key, " ")
		got[l.Order] = append(got[l.Order], key)
	}
	for o := range p.orders {
		var want []string
		for n := range p.each {
			want = append(want, orderKey(o, n))
		}
		if d := cmp.Diff(want, got[fmt.Sprintf("o%d", o)]); d != "" {
			p.Errorf("effects in order %d (-want +got):\n%s", o, d)
		}
	}
}
