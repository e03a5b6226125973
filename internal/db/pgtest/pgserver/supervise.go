package pgserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

const (
	// linger is how long a server waits for the next reference: longer than
	// the pause between two packages of one run, short enough not to bother.
	linger = 10 * time.Second
	// watchInterval is how often the references are looked at.
	watchInterval = 500 * time.Millisecond
)

// Supervise runs the server until nobody refers to it any more or ctx ends.
// It writes one line to out, which it then closes, when the server answers,
// could not be had, or is supervised already.
func Supervise(ctx context.Context, out io.WriteCloser) error {
	// The server asks the kernel for a signal at the end of its parent thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	p, err := locate()
	if err != nil {
		return tell(out, report{Fault: err.Error()})
	}
	lock, err := tryLock(p.supervisor())
	if errors.Is(err, errBusy) {
		return tell(out, report{Busy: true})
	}
	if err != nil {
		return tell(out, report{Fault: err.Error()})
	}
	defer func() { _ = lock.Close() }()

	c, err := p.bringUp(ctx)
	if err != nil {
		return tell(out, report{Fault: err.Error()})
	}
	defer c.stop()
	s := state{URL: c.url}
	if err := p.writeState(s); err != nil {
		return tell(out, report{Fault: err.Error()})
	}
	defer func() { _ = os.Remove(p.state()) }()
	if err := tell(out, report{state: s}); err != nil {
		return err
	}
	return p.watch(ctx, c)
}

// bringUp forgets an earlier server, installs what is missing and starts.
func (p places) bringUp(ctx context.Context) (*cluster, error) {
	if err := os.Remove(p.state()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("server state: %w", err)
	}
	if err := os.Truncate(p.log(), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("server log: %w", err)
	}
	tree, err := p.install(ctx)
	if err != nil {
		return nil, err
	}
	return start(ctx, tree)
}

// watch returns when the last reference has been gone for a while, with the
// state removed under the references' lock: whoever takes a reference later
// finds no server and starts another.
func (p places) watch(ctx context.Context, c *cluster) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	used := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.done:
			return fmt.Errorf("postgres ended by itself: %w", c.end)
		case <-tick.C:
		}
		lock, err := tryLock(p.references())
		if errors.Is(err, errBusy) {
			used = time.Now()
			continue
		}
		if err != nil {
			return err
		}
		idle := time.Since(used) >= linger
		if idle {
			_ = os.Remove(p.state())
		}
		_ = lock.Close()
		if idle {
			return nil
		}
	}
}

func tell(out io.WriteCloser, r report) error {
	text, err := json.Marshal(r)
	if err == nil {
		_, err = out.Write(append(text, '\n'))
	}
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
