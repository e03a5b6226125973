package link_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/link"
)

type host struct {
	channels.Host
	told []channels.Phase
}

func (h *host) Report(x channels.Health) { h.told = append(h.told, x.Phase) }

func TestReporterTellsChanges(t *testing.T) {
	h := &host{}
	r := link.Reporter{Host: h}
	for _, x := range []channels.Health{
		{Phase: channels.Connected},
		{Phase: channels.Connected},
		{Phase: channels.Retrying, Err: errors.New("a")},
		{Phase: channels.Retrying, Err: errors.New("a")},
		{Phase: channels.Retrying, Err: errors.New("b")},
		{Phase: channels.Retrying, Err: errors.New("b"), Fix: "do it"},
		{Phase: channels.Connected},
		{Phase: channels.Connected, As: "@bot"},
	} {
		r.Report(x)
	}
	want := []channels.Phase{
		channels.Connected, channels.Retrying, channels.Retrying, channels.Retrying, channels.Connected, channels.Connected,
	}
	if d := cmp.Diff(want, h.told); d != "" {
		t.Error(d)
	}
}

// TestBackoff: each pause lies between half and one and a half of twice the one
// before, up to the longest; it is never shorter than what was asked for.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, most := range []time.Duration{0, 2 * time.Second} {
			b := link.Backoff{Longest: most}
			if most == 0 {
				most = 30 * time.Second
			}
			for range 2 { // the second time after a Reset
				for n := range 12 {
					base := min(500*time.Millisecond<<n, most)
					took := pause(t, func() error { return b.Wait(t.Context(), 0) })
					if took < base/2 || took >= base/2+base {
						t.Errorf("pause %d took %s", n, took)
					}
				}
				b.Reset()
			}
			if took := pause(t, func() error { return b.Wait(t.Context(), time.Hour) }); took != time.Hour {
				t.Errorf("an hour took %s", took)
			}
		}
	})
}

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := link.Sleep(ctx, 0); err != nil {
			t.Error(err)
		}
		began := time.Now()
		if err := link.Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if err := link.Sleep(ctx, 0); err == nil {
			t.Error("slept without a context")
		}
		var b link.Backoff
		if err := b.Wait(ctx, 0); err == nil {
			t.Error("waited without a context")
		}
	})
}

func pause(t *testing.T, f func() error) time.Duration {
	t.Helper()
	began := time.Now()
	if err := f(); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}
