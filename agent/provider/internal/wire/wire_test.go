package wire_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/provider/internal/wire"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name   string
		header map[string]string
		want   time.Duration
	}{
		{"nothing", nil, 0},
		{"seconds", map[string]string{"Retry-After": "7"}, 7 * time.Second},
		{"a fraction", map[string]string{"Retry-After": " 0.5 "}, 500 * time.Millisecond},
		{"milliseconds win", map[string]string{"Retry-After": "7", "Retry-After-Ms": "250"}, 250 * time.Millisecond},
		{"a date", map[string]string{"Retry-After": "Sat, 31 Jan 2026 12:01:00 GMT"}, time.Minute},
		{"a date of a wrong clock", map[string]string{"Retry-After": "Sat, 31 Jan 2026 09:01:00 GMT", "Date": "Sat, 31 Jan 2026 09:00:00 GMT"}, time.Minute},
		{"the past", map[string]string{"Retry-After": "Sat, 31 Jan 2026 11:00:00 GMT"}, 0},
		{"below zero", map[string]string{"Retry-After": "-5"}, 0},
		{"not a number", map[string]string{"Retry-After": "NaN"}, 0},
		{"for ever", map[string]string{"Retry-After": "1e300"}, 24 * time.Hour},
		{"infinite", map[string]string{"Retry-After": "Inf"}, 24 * time.Hour},
		{"words", map[string]string{"Retry-After": "soon"}, 0},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{}
			for k, v := range tc.header {
				h.Set(k, v)
			}
			if got := wire.RetryAfter(h, now); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestWatchdog: silence before the answer may be longer than silence within it.
func TestWatchdog(t *testing.T) {
	limits := wire.Limits{First: time.Minute, Stall: 10 * time.Second}
	exchange := func(ctx context.Context, c *wire.Call, speaking bool, gap time.Duration) error {
		r, w := io.Pipe()
		go func() {
			defer func() { _ = w.Close() }()
			for range 2 {
				select {
				case <-time.After(gap):
				case <-ctx.Done():
					w.CloseWithError(context.Cause(ctx))
					return
				}
				if _, err := w.Write([]byte("x")); err != nil {
					return
				}
			}
		}()
		res, err := c.Middleware(&http.Request{}, func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: r}, nil
		})
		if err != nil {
			return err
		}
		if speaking {
			c.Speaking()
		}
		defer func() { _ = res.Body.Close() }()
		_, err = io.ReadAll(res.Body)
		return err
	}
	tests := []struct {
		name     string
		speaking bool
		gap      time.Duration
		want     agent.ErrorKind
	}{
		{"thinking", false, 50 * time.Second, ""},
		{"thinking too long", false, 70 * time.Second, agent.Stalled},
		{"slow", true, 9 * time.Second, ""},
		{"stalled", true, 11 * time.Second, agent.Stalled},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, c := wire.Begin(t.Context(), "p", "m", limits, true)
				defer c.End()
				err := exchange(ctx, c, tc.speaking, tc.gap)
				var kind agent.ErrorKind
				if err != nil {
					kind = c.Failed(err).Kind
				}
				if kind != tc.want {
					t.Errorf("got %q: %v", kind, err)
				}
			})
		})
	}
}

func TestArgs(t *testing.T) {
	for in, want := range map[string]string{"": "{}", " ": "{}", `{"a":1}`: `{"a":1}`, `{"a`: `"{\"a"`, "[1]": "[1]"} {
		if got := string(wire.Args([]byte(in))); got != want {
			t.Errorf("%q: %s", in, got)
		}
	}
}
