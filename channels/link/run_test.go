package link_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/link"
)

var (
	errToken = &channels.Error{Op: "call", Kind: channels.Unauthorized, Err: errors.New("no")}
	errAway  = &channels.Error{Op: "call", Kind: channels.Transient, RetryAfter: time.Hour, Err: errors.New("away")}
)

func advice(error) string { return "do it" }

// TestRun: what ends a channel's Run, and what the host is told of it.
func TestRun(t *testing.T) {
	tests := []struct {
		name    string
		receive func(ctx context.Context, r *link.Refusal, cancel func()) error
		want    error
		told    []channels.Phase
	}{
		{"the gateway stops", func(ctx context.Context, _ *link.Refusal, cancel func()) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}, nil, []channels.Phase{channels.Connecting}},
		{"the platform is given up", func(context.Context, *link.Refusal, func()) error {
			return errAway
		}, errAway, []channels.Phase{channels.Connecting}},
		{"the token is refused", func(context.Context, *link.Refusal, func()) error {
			return errToken
		}, errToken, []channels.Phase{channels.Connecting, channels.Broken}},
		{"the token is refused to another call", func(ctx context.Context, r *link.Refusal, _ func()) error {
			go r.Note(errToken)
			<-ctx.Done()
			return ctx.Err()
		}, errToken, []channels.Phase{channels.Connecting, channels.Broken}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			h, r := &host{}, &link.Refusal{}
			r.Note(errToken) // nothing runs yet
			err := r.Run(ctx, &link.Reporter{Host: h}, func(ctx context.Context) error { return tt.receive(ctx, r, cancel) }, advice)
			if !errors.Is(err, tt.want) {
				t.Errorf("ended with %v, want %v", err, tt.want)
			}
			if d := cmp.Diff(tt.told, h.told); d != "" {
				t.Error(d)
			}
			r.Note(errToken) // nothing runs any more
		})
	}
}

// TestAsk: a question is asked until it is answered, not before the platform
// wants it, and not with a token that is refused.
func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tests := []struct {
			name    string
			answers []error
			want    error
			told    []channels.Phase
			least   time.Duration
		}{
			{"at once", []error{nil}, nil, nil, 0},
			{"later", []error{errAway, errAway, nil}, nil, []channels.Phase{channels.Retrying}, 2 * time.Hour},
			{"never", []error{errAway, errToken}, errToken, []channels.Phase{channels.Retrying}, time.Hour},
		}
		for _, tt := range tests {
			h, began, asked := &host{}, time.Now(), 0
			got, err := link.Ask(t.Context(), &link.Reporter{Host: h}, func(context.Context) (int, error) {
				asked++
				return asked, tt.answers[asked-1]
			}, advice)
			if !errors.Is(err, tt.want) || asked != len(tt.answers) || err == nil && got != asked {
				t.Errorf("%s: %d, %v after %d questions", tt.name, got, err, asked)
			}
			if d := cmp.Diff(tt.told, h.told); d != "" {
				t.Errorf("%s: %s", tt.name, d)
			}
			if took := time.Since(began); took < tt.least {
				t.Errorf("%s: asked again after %s", tt.name, took)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err := link.Ask(ctx, &link.Reporter{Host: &host{}}, func(context.Context) (int, error) {
			cancel()
			return 0, errAway
		}, advice)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	})
}

type clients struct{ channels.Host }

func (clients) Client(channels.AccountID) *http.Client { return &http.Client{} }

func TestClientFollowsNoRedirect(t *testing.T) {
	server := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	t.Cleanup(server.Close)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := link.Client(clients{}, "").Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusFound {
		t.Errorf("status %d", resp.StatusCode)
	}
}
