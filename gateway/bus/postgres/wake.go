package postgres

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// topic is the name that replicas listen on.
const topic = "gatehouse_bus"

const (
	// notifyEvery bounds how often an engine tells the others: what happens in
	// between shares the next notification.
	notifyEvery = 2 * time.Millisecond
	// sweepEvery is how often a waiting lease looks by itself.
	sweepEvery = time.Second
)

// wakeups lets waiting leases know that they should look again. Those of the
// same engine learn it at once, those of other replicas by a notification.
type wakeups struct {
	pool *pgxpool.Pool
	log  *slog.Logger
	stop context.CancelFunc
	done sync.WaitGroup
	tell chan struct{} // the notifier has something to send
	self string        // what this engine's notifications say, to know them again

	mu      sync.Mutex
	changed chan struct{} // closed and replaced on each change
	closed  bool
}

// listen starts the notifier and the listener; close ends them.
func listen(pool *pgxpool.Pool, log *slog.Logger) *wakeups {
	ctx, stop := context.WithCancel(context.Background())
	w := &wakeups{pool: pool, log: log, stop: stop, tell: make(chan struct{}, 1), self: rand.Text(), changed: make(chan struct{})}
	w.done.Go(func() { w.notifier(ctx) })
	w.done.Go(func() { w.listener(ctx) })
	return w
}

// close reports whether this call closed it.
func (w *wakeups) close() bool {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return false
	}
	w.closed = true
	close(w.changed)
	w.mu.Unlock()
	w.stop()
	w.done.Wait()
	return true
}

func (w *wakeups) isClosed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

// watch returns what is closed at the next change.
func (w *wakeups) watch() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

// wake makes this engine's leases look again.
func (w *wakeups) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		close(w.changed)
		w.changed = make(chan struct{})
	}
}

// signal wakes this engine's leases and has the other replicas told.
func (w *wakeups) signal() {
	w.wake()
	select {
	case w.tell <- struct{}{}:
	default: // the next notification says it too
	}
}

func (w *wakeups) notifier(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.tell:
		}
		// A lost notification costs the others a second, so nobody is told.
		if _, err := w.pool.Exec(ctx, `SELECT pg_notify($1, $2)`, topic, w.self); err != nil && ctx.Err() == nil {
			w.log.Warn("cannot notify the other replicas", "err", err)
		}
		pause(ctx, notifyEvery)
	}
}

func (w *wakeups) listener(ctx context.Context) {
	for ctx.Err() == nil {
		if err := w.receive(ctx); err != nil && ctx.Err() == nil {
			w.log.Warn("cannot listen for the other replicas", "err", err)
			pause(ctx, sweepEvery)
		}
	}
}

// receive listens until the connection fails or ctx ends.
func (w *wakeups) receive(ctx context.Context) error {
	c, err := w.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	// The connection listens for good, so it does not go back to the pool.
	conn := c.Hijack()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(ctx, `LISTEN `+topic); err != nil {
		return err
	}
	w.wake() // what came before we listened
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		if n.Payload != w.self {
			w.wake()
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
