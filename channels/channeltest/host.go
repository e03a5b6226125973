package channeltest

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Host is a fake of what the gateway gives to a channel. Its methods may be
// called concurrently; those that wait end the test when their deadline passes
// and belong in the test's goroutine.
//
// The test fails by itself when a secret's value becomes visible to the adapter
// or appears in a log line or a health text.
type Host struct {
	t         testing.TB
	id        channels.ID
	public    string
	transport http.RoundTripper
	dial      func(ctx context.Context, network, addr string) (net.Conn, error)
	allowed   map[string][]string // by secret reference: the hosts it may go to; none: any

	board *board // guards everything below
	disk  *disk
	// tickets are the placeholders that were handed out, by reference. They are
	// this process's own: a restarted one hands out others.
	tickets    map[string]string
	derived    map[string]string // value by purpose
	dead       bool              // crashed
	closed     bool              // the test is over
	health     []channels.Health
	healthSeen int
	heard      int
	logs       []Line
	violations []string
	rotating   sync.Mutex
}

var (
	_ channels.Host     = (*Host)(nil)
	_ channels.Keeper   = (*Host)(nil)
	_ channels.Socketer = (*Host)(nil)
)

// HostOption changes a new Host.
type HostOption func(*Host)

// WithID names the channel; without it, it is called "test".
func WithID(id channels.ID) HostOption { return func(h *Host) { h.id = id } }

// WithSecret stores a secret under a reference such as "secret://bot". It goes
// only to the given destinations ("127.0.0.1:8081" or a bare host name), and
// anywhere when none are given. A value that a [Snapshot] holds wins, because
// it may have been rotated.
func WithSecret(ref, value string, destinations ...string) HostOption {
	return func(h *Host) {
		h.allowed[ref] = destinations
		if _, ok := h.disk.secrets[ref]; !ok {
			h.disk.secrets[ref] = value
		}
	}
}

// WithPublic sets what Public returns.
func WithPublic(url string) HostOption { return func(h *Host) { h.public = url } }

// WithTransport puts rt behind the boundary where secrets are filled in. Without
// it requests go out by a transport that reaches loopback addresses only.
func WithTransport(rt http.RoundTripper) HostOption { return func(h *Host) { h.transport = rt } }

// WithDial replaces Dial, which otherwise reaches loopback addresses only. The
// default transport uses it too.
func WithDial(dial func(ctx context.Context, network, addr string) (net.Conn, error)) HostOption {
	return func(h *Host) { h.dial = dial }
}

// WithPatience bounds the waits of the host and its sinks; without it they last
// [Deadline] at most.
func WithPatience(d time.Duration) HostOption { return func(h *Host) { h.board.patience = d } }

// Restore starts from what an earlier host kept. Give it before WithSecret.
func Restore(s Snapshot) HostOption {
	return func(h *Host) {
		if s.d != nil {
			h.disk = s.d.clone()
		}
	}
}

// NewHost makes a host that lives until the test ends.
func NewHost(t testing.TB, opts ...HostOption) *Host {
	t.Helper()
	h := &Host{
		t: t, id: "test", allowed: map[string][]string{}, board: newBoard(),
		disk: &disk{
			state: map[string][]byte{}, files: map[string][]byte{}, named: map[string][]string{},
			known: map[[2]string]bool{}, secrets: map[string]string{},
		},
		dial: dialLoopback, tickets: map[string]string{}, derived: map[string]string{},
	}
	_, _ = rand.Read(h.disk.seed[:])
	for _, o := range opts {
		o(h)
	}
	if h.transport == nil {
		tr := &http.Transport{DialContext: h.Dial, ForceAttemptHTTP2: true}
		t.Cleanup(tr.CloseIdleConnections)
		h.transport = tr
	}
	t.Cleanup(h.finish)
	return h
}

// finish stops reporting into a test that is over, and shows the log of one
// that failed.
func (h *Host) finish() {
	var logs []Line
	h.board.change(func() { h.closed, logs = true, h.logs })
	if !h.t.Failed() {
		return
	}
	for _, r := range logs {
		h.t.Logf("log of %s: %s", h.id, h.redact(r.String()))
	}
}

// ID implements channels.Host.
func (h *Host) ID() channels.ID { return h.id }

// Client implements channels.Host.
func (h *Host) Client(a channels.AccountID) *http.Client {
	return &http.Client{Transport: &boundary{h: h, account: a}}
}

// Dial implements channels.Host.
func (h *Host) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return h.dial(ctx, network, addr)
}

func dialLoopback(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("channeltest: %s is not a loopback address", addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// Secret implements channels.Host. It hands out a placeholder.
func (h *Host) Secret(ctx context.Context, ref string) (channels.Secret, error) {
	if err := ctx.Err(); err != nil {
		return channels.Secret{}, err
	}
	var ticket string
	h.board.change(func() {
		if _, ok := h.disk.secrets[ref]; !ok {
			return
		}
		if h.tickets[ref] == "" {
			h.tickets[ref] = "0:gh-" + rand.Text()
		}
		ticket = h.tickets[ref]
	})
	if ticket == "" {
		return channels.Secret{}, fmt.Errorf("secret %q is not stored", ref)
	}
	return channels.NewSecret(ticket), nil
}

// Derive implements channels.Host.
func (h *Host) Derive(purpose string) channels.Secret {
	var v string
	h.board.change(func() {
		m := hmac.New(sha256.New, h.disk.seed[:])
		m.Write([]byte(string(h.id) + "\x00" + purpose))
		v = hex.EncodeToString(m.Sum(nil))
		h.derived[purpose] = v
	})
	return channels.NewSecret(v)
}

// Rotate implements channels.Host.
func (h *Host) Rotate(ctx context.Context, ref string, f func([]byte) ([]byte, error)) error {
	h.rotating.Lock()
	defer h.rotating.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	var old string
	var ok bool
	h.board.read(func() { old, ok = h.disk.secrets[ref] })
	if !ok {
		return fmt.Errorf("secret %q is not stored", ref)
	}
	next, err := f([]byte(old))
	if err != nil {
		return fmt.Errorf("rotate %q: %w", ref, err)
	}
	h.board.change(func() {
		if h.dead {
			err = errCrashed
			return
		}
		h.disk.secrets[ref] = string(next)
	})
	return err
}

// State implements channels.Host.
func (h *Host) State() channels.State { return state{h} }

// Report implements channels.Host.
func (h *Host) Report(x channels.Health) {
	x.Since = time.Now()
	text := x.Fix + " " + x.As
	if x.Err != nil {
		text += " " + x.Err.Error()
	}
	h.watch("a health report", text)
	h.board.change(func() { h.health = append(h.health, x) })
}

// Heard implements channels.Host.
func (h *Host) Heard() { h.board.change(func() { h.heard++ }) }

// Public implements channels.Host.
func (h *Host) Public() string { return h.public }

// Log implements channels.Host.
func (h *Host) Log() *slog.Logger { return slog.New(&capture{h: h}) }

func (h *Host) logged(r Line) {
	h.watch("a log line", r.String())
	h.board.change(func() { h.logs = append(h.logs, r) })
}

// Health is every health that was reported, oldest first.
func (h *Host) Health() []channels.Health {
	var out []channels.Health
	h.board.read(func() { out = slices.Clone(h.health) })
	return out
}

// WaitHealth returns the next health in this phase. It begins after the one
// that it returned last, so that a sequence of calls follows a sequence of phases.
func (h *Host) WaitHealth(p channels.Phase) channels.Health {
	h.t.Helper()
	var got channels.Health
	h.board.wait(h.t, func() bool {
		for i := h.healthSeen; i < len(h.health); i++ {
			if h.health[i].Phase == p {
				got, h.healthSeen = h.health[i], i+1
				return true
			}
		}
		return false
	}, func() string {
		var seen []string
		for _, x := range h.health {
			seen = append(seen, string(x.Phase))
		}
		return fmt.Sprintf("a health of phase %q; reported were [%s], of which %d had been seen",
			p, strings.Join(seen, " "), h.healthSeen)
	})
	return got
}

// HeardCount is how often Heard was called.
func (h *Host) HeardCount() int {
	var n int
	h.board.read(func() { n = h.heard })
	return n
}

// WaitHeard returns when Heard was called n more times than when it was called itself.
func (h *Host) WaitHeard(n int) {
	h.t.Helper()
	from := h.HeardCount()
	h.board.wait(h.t, func() bool { return h.heard >= from+n },
		func() string {
			return fmt.Sprintf("the platform to be heard %d times; it was %d times", n, h.heard-from)
		})
}

// Logs is every log line, oldest first.
func (h *Host) Logs() []Line {
	var out []Line
	h.board.read(func() { out = slices.Clone(h.logs) })
	return out
}

// SecretValue is the stored value of a secret, for emulators that check it. It
// follows rotation.
func (h *Host) SecretValue(ref string) string {
	var v string
	h.board.read(func() { v = h.disk.secrets[ref] })
	return v
}

// Snapshot copies what is durable at this moment.
func (h *Host) Snapshot() Snapshot {
	var s Snapshot
	h.board.read(func() { s.d = h.disk.clone() })
	return s
}

// Crash copies what is durable and lets nothing more become so: every later
// write by this host or its sinks fails. The test ends Run itself.
func (h *Host) Crash() Snapshot {
	var s Snapshot
	h.board.change(func() {
		s.d = h.disk.clone()
		h.dead = true
	})
	return s
}
