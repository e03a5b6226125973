package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A data folder that another process holds for a moment is waited for; one that
// a gateway uses is not.
func TestOnceFree(t *testing.T) {
	held := fmt.Errorf("open: %w", errLocked)
	broken := errors.New("broken")
	for _, c := range []struct {
		name    string
		opens   []error // in turn; the last one for ever
		answers bool
		want    error
		tries   int // 0: any number
		least   time.Duration
		most    time.Duration
	}{
		{name: "free", opens: []error{nil}, tries: 1},
		{name: "held for a moment", opens: []error{held, held, nil}, tries: 3, most: time.Second},
		{name: "in use", opens: []error{held}, answers: true, want: errLocked, tries: 1},
		{name: "held and silent", opens: []error{held}, want: errLocked, least: heldFor, most: heldFor + time.Second},
		{name: "another mistake", opens: []error{held, broken}, want: broken, tries: 2, most: time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, begun := 0, time.Now()
				err := onceFree(t.Context(), func() error {
					n++
					return c.opens[min(n, len(c.opens))-1]
				}, func() bool { return c.answers })
				if !errors.Is(err, c.want) || c.tries > 0 && n != c.tries {
					t.Errorf("%v after %d tries", err, n)
				}
				if took := time.Since(begun); took < c.least || took > c.most {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := onceFree(ctx, func() error { return held }, func() bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("after its end: %v", err)
	}
}
