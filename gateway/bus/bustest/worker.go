package bustest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

// workerEnv tells a test binary that it is a worker process, and of which storage.
const workerEnv = "GATEHOUSE_BUS_WORKER"

// workerLease is how long a worker process may be silent.
const workerLease = 400 * time.Millisecond

// Worker runs this process as a worker when a process test started it as one,
// and then does not return. Call it first in TestMain.
func Worker(open func(ctx context.Context, storage string) (bus.Engine, error)) {
	storage, is := os.LookupEnv(workerEnv)
	if !is {
		return
	}
	fmt.Fprintln(os.Stderr, "worker:", work(context.Background(), open, storage))
	os.Exit(1)
}

// work settles what it leases, one effect for each record, until it is killed or
// something fails.
func work(ctx context.Context, open func(ctx context.Context, storage string) (bus.Engine, error), storage string) error {
	e, err := open(ctx, storage)
	if err != nil {
		return err
	}
	var n atomic.Int64
	for {
		ls, err := e.Lease(ctx, bus.Want{Queue: bus.Inbox, N: 4, Max: 5, For: workerLease})
		if err != nil {
			return err
		}
		// Most of a worker's time passes between the lease and the settlement.
		pass(ctx, e, 2*time.Millisecond)
		for _, l := range ls {
			o := all(l, bus.Verdict{Fate: bus.Ack})
			for _, r := range l.Records {
				r.Queue = bus.Outbox
				r.Key = fmt.Sprintf("%s by %d/%d", r.Key, os.Getpid(), n.Add(1))
				o.Emit = append(o.Emit, r)
			}
			switch err := e.Settle(ctx, l, o); {
			case errors.Is(err, bus.ErrLeaseLost):
				fmt.Println("lost")
			case err != nil:
				return err
			}
		}
	}
}

// pass lets time pass: a lease of a queue that stays empty waits.
func pass(ctx context.Context, e bus.Engine, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	_, _ = e.Lease(ctx, bus.Want{Queue: bus.Urgent})
}
