package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/console/consoleclient"
	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
)

// lost is the event that says that the gateway cannot be reached for now. A
// wire.Ready follows when it is back.
type lost struct{}

// The pauses between two tries to reach the gateway.
const (
	firstPause = 100 * time.Millisecond
	longPause  = 2 * time.Second
)

// follow emits what happens in the chat after rev, over as many connections as
// it takes, until ctx ends. Every message comes once for each of its changes.
func follow(ctx context.Context, c *consoleclient.Client, rev int64, emit func(consoleclient.Event)) {
	wait := firstPause
	for ctx.Err() == nil {
		for e, err := range c.Stream(ctx, rev) {
			if err != nil {
				break
			}
			wait = firstPause
			if m, ok := e.(wire.Message); ok {
				if m.Rev <= rev {
					continue
				}
				rev = m.Rev
			}
			emit(e)
		}
		if ctx.Err() != nil {
			return
		}
		emit(lost{})
		if pause(ctx, wait) != nil {
			return
		}
		wait = min(2*wait, longPause)
	}
}

// deliver sends a message until the gateway has kept it or refuses it. Every
// try has the same key, so that a try whose answer was lost does not double it.
func deliver(ctx context.Context, c *consoleclient.Client, key, text string, waiting func(), files ...string) (wire.Message, error) {
	var m wire.Message
	err := insist(ctx, waiting, func() (err error) {
		m, err = c.Say(ctx, key, text, files...)
		return err
	})
	return m, err
}

// press presses a button in the same manner.
func press(ctx context.Context, c *consoleclient.Client, p wire.Press, waiting func()) error {
	return insist(ctx, waiting, func() error { return c.Press(ctx, p) })
}

// insist tries until it succeeds, ctx ends or the gateway refuses. waiting is
// called once, when the first try has failed.
func insist(ctx context.Context, waiting func(), try func() error) error {
	wait := firstPause
	for first := true; ; first = false {
		err := try()
		if err == nil || refused(err) || ctx.Err() != nil {
			return err
		}
		if first {
			waiting()
		}
		if pause(ctx, wait) != nil {
			return err
		}
		wait = min(2*wait, longPause)
	}
}

// refused reports whether another try would meet the same answer.
func refused(err error) bool {
	var e *consoleclient.Error
	return errors.As(err, &e) && e.Wait == 0 && e.Status != http.StatusServiceUnavailable
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
