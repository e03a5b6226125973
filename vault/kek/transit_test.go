package kek_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/kek"
)

// token is a token that really runs out, and a server that knows nothing else.
type token struct {
	creation  time.Duration
	grant     time.Duration // what a renewal adds to the present
	renewable bool
	most      int // requests that are answered

	mu      sync.Mutex
	expires time.Time // zero: never
	asked   int
	renewed int
	dead    bool   // somebody asked with it when it was over
	status  int    // with which everything is answered; 0: none
	refuse  string // path that is refused
}

// RoundTrip implements http.RoundTripper.
func (k *token) RoundTrip(r *http.Request) (*http.Response, error) {
	k.mu.Lock()
	k.asked++
	status, body := k.answer(strings.TrimPrefix(r.URL.Path, "/v1/auth/token/"))
	flooded := k.asked > k.most
	k.mu.Unlock()
	if flooded {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (k *token) answer(verb string) (int, string) {
	left := time.Duration(0)
	if !k.expires.IsZero() {
		left = time.Until(k.expires)
		if left <= 0 {
			k.dead = true
			return http.StatusForbidden, ""
		}
	}
	switch {
	case k.status != 0:
		return k.status, ""
	case verb == k.refuse:
		return http.StatusBadRequest, ""
	case verb == "lookup-self":
		return 200, fmt.Sprintf(`{"data":{"ttl":%d,"creation_ttl":%d,"renewable":%t}}`, left/time.Second, k.creation/time.Second, k.renewable)
	}
	k.renewed++
	if !k.expires.IsZero() {
		k.expires = time.Now().Add(k.grant)
	}
	return 200, `{}`
}

// run lets the token be kept alive for some time.
func (k *token) run(t *testing.T, lasts time.Duration, log io.Writer, changes func(at func(time.Duration))) {
	t.Helper()
	tr := &kek.Transit{
		Address: "https://vault.example.com:8200", Client: &http.Client{Transport: k},
		Token: func(context.Context) (string, error) { return "s.the-token-0001", nil }, Log: slog.New(slog.NewTextHandler(log, nil)),
	}
	ctx, cancel := context.WithCancel(t.Context())
	done, began := make(chan error, 1), time.Now()
	go func() { done <- tr.Run(ctx) }()
	at := func(d time.Duration) {
		time.Sleep(d - time.Since(began))
		synctest.Wait()
	}
	if changes != nil {
		changes(at)
	}
	at(lasts)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if k.asked > k.most {
		t.Errorf("the server was asked %d times", k.asked)
	}
}

// TestATokenThatIsRenewedNeverEnds, and the server is not asked all the time.
func TestATokenThatIsRenewedNeverEnds(t *testing.T) {
	tests := []struct {
		name                  string
		left, creation, grant time.Duration
		most                  int // renewals in three hours
	}{
		{"an hour", time.Hour, time.Hour, time.Hour, 12},
		{"half is over", 30 * time.Minute, time.Hour, time.Hour, 12},
		{"at the end of its life no renewal gives it back more than this", 100 * time.Second, time.Hour, 100 * time.Second, 500},
		{"the server does not say how long it was made for", 100 * time.Second, 0, 100 * time.Second, 500},
		{"a few seconds", 4 * time.Second, 4 * time.Second, 4 * time.Second, 10_800},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &token{creation: tt.creation, grant: tt.grant, renewable: true, expires: time.Now().Add(tt.left), most: 30_000}
				k.run(t, 3*time.Hour, io.Discard, nil)
				if k.dead {
					t.Error("it was not renewed in time")
				}
				if k.renewed == 0 || k.renewed > tt.most {
					t.Errorf("it was renewed %d times", k.renewed)
				}
			})
		})
	}
}

// TestTokensThatNobodyRenews: those that last, and those that may not be renewed.
func TestTokensThatNobodyRenews(t *testing.T) {
	for name, k := range map[string]*token{
		"it lasts":                 {creation: time.Hour, renewable: true},
		"it may not be renewed":    {creation: time.Hour, renewable: false, expires: time.Unix(1<<40, 0)},
		"it is nearly over":        {creation: time.Hour, renewable: false},
		"it lasts and nobody asks": {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if name == "it is nearly over" {
					k.expires = time.Now().Add(5 * time.Hour)
				}
				k.most = 100
				var log bytes.Buffer
				k.run(t, 4*time.Hour+time.Minute, &log, nil)
				if k.renewed != 0 || k.asked != 5 {
					t.Errorf("renewed %d times, asked %d times", k.renewed, k.asked)
				}
				if log.Len() > 0 {
					t.Errorf("said %s", &log)
				}
			})
		})
	}
}

// TestWhatIsSaidOfTheServer: once that it is away, once that it is back, and
// nothing while all is well. A renewal that is refused counts as away.
func TestWhatIsSaidOfTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &token{creation: 10 * time.Minute, grant: 10 * time.Minute, renewable: true, expires: time.Now().Add(10 * time.Minute), most: 1000}
		var log bytes.Buffer
		said := func(when string, away, back int) {
			t.Helper()
			if a, b := strings.Count(log.String(), "goes on with the keys"), strings.Count(log.String(), "answers again"); a != away || b != back {
				t.Errorf("%s: said %d times that it is away, %d times that it is back", when, a, b)
			}
		}
		set := func(status int, refuse string) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.status, k.refuse = status, refuse
		}
		k.run(t, 3*time.Hour, &log, func(at func(time.Duration)) {
			at(time.Hour)
			said("all is well", 0, 0)
			set(http.StatusServiceUnavailable, "")
			at(time.Hour + 8*time.Minute)
			said("sealed", 1, 0)
			if !strings.Contains(log.String(), "sealed or under maintenance") {
				t.Errorf("said %s", &log)
			}
			set(0, "")
			at(time.Hour + 30*time.Minute)
			said("back", 1, 1)
			set(0, "renew-self")
			at(time.Hour + 37*time.Minute)
			said("it looks and may not renew", 2, 1)
			set(0, "")
			at(2 * time.Hour)
			said("back again", 2, 2)
		})
		if k.dead {
			t.Error("it was not renewed in time")
		}
	})
}

// TestStatuses: what a status of the server means for the person who reads it.
func TestStatuses(t *testing.T) {
	tests := []struct {
		status int
		want   string // stands in the error
		is     error
	}{
		{http.StatusOK, "", nil},
		{http.StatusNoContent, "", nil},
		{http.StatusAccepted, "status 202", nil},
		{http.StatusForbidden, "policy", nil},
		{http.StatusNotFound, "nothing at transit/keys/house", vault.ErrNoKey},
		{http.StatusBadRequest, "status 400", nil},
		{http.StatusServiceUnavailable, "sealed", nil},
		{http.StatusInternalServerError, "status 500", nil},
	}
	for _, tt := range tests {
		s := newServer()
		tr, _ := s.source(t, io.Discard)
		if s.away = tt.status; tt.status == http.StatusOK {
			s.away = 0
		}
		err := tr.Renew(t.Context())
		if good := tt.want == ""; (err == nil) != good || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%d: %v", tt.status, err)
		}
		if errors.Is(err, vault.ErrNoKey) != (tt.is != nil) || errors.Is(err, vault.ErrWrongKey) {
			t.Errorf("%d: %v", tt.status, err)
		}
	}
}

// TestAnEmptyValueIsWhole: a value of no bytes comes back, and is not taken for
// one that was cut off.
func TestAnEmptyValueIsWhole(t *testing.T) {
	tr, _ := newServer().source(t, io.Discard)
	wrapped, err := tr.Wrap(t.Context(), nil, []byte("bound"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tr.Unwrap(t.Context(), wrapped, []byte("bound")); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
}
