package sqlite

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// maxBatch bounds how long the first in line works for the others.
const maxBatch = 256

// Rider takes part in every transaction, with work of its own that the writes
// made possible. Its methods are called by one goroutine at a time.
type Rider interface {
	// Ride adds to the transaction, after the writes. An error rolls everything
	// back. It is not called when a write has failed already.
	Ride(tx *Tx) error
	// Arrive is called after the end of every transaction, whether Ride was
	// called or not: with nil when it is durable, else with what rolled it back.
	// With again, the same writes are tried once more before their callers are told.
	Arrive(err error, again bool)
}

// SetRider attaches the rider. It is called before the first write.
func (d *DB) SetRider(r Rider) { d.rider = r }

type job struct {
	f    func(*Tx) error
	err  error
	done chan struct{}
	// state keeps a caller whose context ends from leaving a write that has begun.
	state atomic.Int32 // 0 queued, 1 claimed
}

func (j *job) claim() bool { return j.state.CompareAndSwap(0, 1) }

func (j *job) finish(err error) {
	j.err = err
	close(j.done)
}

// Write runs f in a transaction and returns when it is durable, or f's error.
// Several writes may share a transaction; each stands or falls alone. f may run
// twice, the first time for nothing, and must not call the database otherwise.
// When ctx ends before f has begun, nothing happens; later, the outcome counts.
func (d *DB) Write(ctx context.Context, f func(*Tx) error) error {
	j, err := d.enqueue(f)
	if err != nil {
		return err
	}
	return d.see(ctx, j)
}

// WriteWithin is Write for what nobody waits for: it goes with the next write of
// somebody else, and by itself when there has been none for as long as patience.
func (d *DB) WriteWithin(ctx context.Context, patience time.Duration, f func(*Tx) error) error {
	j, err := d.enqueue(f)
	if err != nil {
		return err
	}
	company := time.NewTimer(patience)
	defer company.Stop()
	select {
	case <-j.done:
		return j.err
	case <-company.C:
	case <-ctx.Done():
	}
	return d.see(ctx, j)
}

func (d *DB) enqueue(f func(*Tx) error) (*job, error) {
	j := &job{f: f, done: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	d.queue = append(d.queue, j)
	return j, nil
}

// see to it that j is committed, by this caller if nobody else does.
func (d *DB) see(ctx context.Context, j *job) error {
	select {
	case <-j.done:
		return j.err
	case d.turn <- struct{}{}:
		d.lead(j)
		return j.err
	case <-ctx.Done():
	}
	if j.claim() {
		return ctx.Err()
	}
	<-j.done
	return j.err
}

// lead commits what is queued, the leader's own job included, then gives the
// turn to the next.
func (d *DB) lead(own *job) {
	defer func() { <-d.turn }()
	for !own.finished() {
		d.commit(d.drain())
		d.relieve()
	}
}

func (j *job) finished() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// drain takes the jobs whose callers still wait.
func (d *DB) drain() []*job {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(d.queue), maxBatch)
	batch := make([]*job, 0, n)
	for _, j := range d.queue[:n] {
		if j.claim() {
			batch = append(batch, j)
		}
	}
	d.queue = append(d.queue[:0], d.queue[n:]...)
	return batch
}

// errPanicked is what the other callers get when a write panics.
var errPanicked = errors.New("sqlite: a write of the same transaction panicked")

// commit runs the batch in one transaction. When that fails, each job runs
// alone, so that only the one at fault gets the error.
func (d *DB) commit(batch []*job) {
	errs := make([]error, len(batch))
	for i := range errs {
		errs[i] = errPanicked
	}
	defer func() {
		for i, j := range batch {
			j.finish(errs[i])
		}
	}()
	switch len(batch) {
	case 0:
	case 1:
		d.alone(batch[0], &errs[0], false)
	default:
		err := d.transact(batch, errs, true)
		for i := range batch {
			switch {
			case errors.Is(err, errBegin): // it would be the same for each
				errs[i] = err
			case err != nil:
				d.alone(batch[i], &errs[i], i < len(batch)-1)
			}
		}
	}
}

func (d *DB) alone(j *job, outcome *error, more bool) {
	var errs [1]error
	err := d.transact([]*job{j}, errs[:], more)
	*outcome = cmp.Or(err, errs[0])
}

// transact commits the jobs and what the rider adds. A job that fails before it
// wrote anything leaves its error in errs and does not disturb the others; any
// other failure rolls back and is returned.
func (d *DB) transact(batch []*job, errs []error, again bool) (err error) {
	err = errPanicked
	if d.rider != nil {
		defer func() { d.rider.Arrive(err, again) }()
	}
	return d.tx.run(func(tx *Tx) error {
		for i, j := range batch {
			before := tx.writes
			err := j.f(tx)
			if err != nil && (tx.failed || tx.writes != before) {
				return err
			}
			errs[i] = err
		}
		if d.rider == nil {
			return nil
		}
		return d.rider.Ride(tx)
	}, &d.commits)
}
