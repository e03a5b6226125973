package wasm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// statePrefix keeps a guest's state apart from what the host may keep one day.
const statePrefix = "kv/"

func stateKey(prefix, key string) string { return statePrefix + prefix + key }

// climbs tells whether a key is written as a path that leaves the guest's own
// state. A key is a name and leads nowhere else; but who asks for this one is
// after what is another's, and is told no instead of that there is nothing.
func climbs(key string) bool { return slices.Contains(strings.Split(key, "/"), "..") }

var errEffect = errors.New("it asked for something that its manifest does not list, or that nobody understands")

// wanted is what a call wants to happen: one commit, and what is sent over the
// socket, or requested, after it.
type wanted struct {
	channels.Batch
	messages []sandbox.Payload
	requests []sandbox.Payload
}

// batch sorts what a call wants to happen.
func (h *call) batch(ctx context.Context, list []sandbox.Effect) (wanted, error) {
	c := h.c
	var b wanted
	for _, e := range list {
		switch {
		case e.Op == sandbox.HostEmit && c.g.pkg.Manifest.Emit != nil:
			var x channels.Event
			if err := json.Unmarshal(e.In.Header, &x); err != nil || x.Key == "" {
				return b, fmt.Errorf("an event that cannot be read: %w", errEffect)
			}
			x.Where.Channel = c.h.ID() // a guest speaks for its own channel alone
			x.Who.Owner = false        // that makes a member of whoever writes: no guest is linked to a person's account
			if x.At.IsZero() {
				x.At = time.Now().UTC()
			}
			b.Events = append(b.Events, x)
		case e.Op == sandbox.HostKVPut && c.g.pkg.Manifest.KV != nil:
			all, err := h.writes(ctx, e)
			if err != nil {
				return b, err
			}
			b.State = append(b.State, all...)
		case e.Op == sandbox.HostSocketSend && len(c.g.pkg.Manifest.Sockets) > 0:
			b.messages = append(b.messages, e.In)
		case e.Op == sandbox.HostHTTP:
			b.requests = append(b.requests, e.In)
		default:
			return b, errEffect
		}
	}
	if len(b.State) == 0 {
		return b, nil
	}
	b.State = latest(b.State)
	return b, c.store.fits(ctx, c.h.State(), c.g.pkg.Manifest.KV, b.State)
}

// latest leaves each key its last write.
func latest(all []channels.Write) []channels.Write {
	at := map[string]int{}
	var out []channels.Write
	for _, w := range all {
		if i, ok := at[w.Key]; ok {
			out[i] = w
			continue
		}
		at[w.Key] = len(out)
		out = append(out, w)
	}
	return out
}

// store knows how large the guest's state is.
type store struct {
	mu    sync.Mutex
	known map[string]int // bytes of a key and its value
	total int64
}

var errStore = errors.New("its state would be larger than the manifest allows")

// fits reserves room for writes. What is not written after all stays reserved
// until the key is written again.
func (s *store) fits(ctx context.Context, st channels.State, kv *module.KV, writes []channels.Write) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		if err := s.load(ctx, st, kv.Prefix); err != nil {
			return err
		}
	}
	total := s.total
	for _, w := range writes {
		total += int64(size(w) - s.known[w.Key])
	}
	if total > limit(kv) && total > s.total {
		return errStore
	}
	for _, w := range writes {
		if s.known[w.Key] = size(w); w.Value == nil {
			delete(s.known, w.Key)
		}
	}
	s.total = total
	return nil
}

// limit is the most that a guest may keep, in bytes.
func limit(kv *module.KV) int64 {
	const most = 4 << 20
	if kv.MaxBytes == 0 {
		return most
	}
	return kv.MaxBytes
}

func size(w channels.Write) int {
	if w.Value == nil {
		return 0
	}
	return len(w.Key) + len(w.Value)
}

func (s *store) load(ctx context.Context, st channels.State, prefix string) error {
	known := map[string]int{}
	total := int64(0)
	for after := ""; ; {
		page, err := st.List(ctx, stateKey(prefix, ""), after, 0)
		if err != nil {
			return fmt.Errorf("read the guest's state: %w", err)
		}
		if len(page) == 0 {
			s.known, s.total = known, total
			return nil
		}
		for _, w := range page {
			known[w.Key] = size(w)
			total += int64(size(w))
			after = w.Key
		}
	}
}

// keep stores what an operation without events put. The operation itself is
// done already, so that a failure is for the log.
func (h *call) keep(ctx context.Context, list []sandbox.Effect) {
	if len(list) == 0 {
		return
	}
	c := h.c
	b, err := h.batch(ctx, list)
	if err == nil && len(b.Events) > 0 {
		err = errEffect
	}
	if err == nil && len(b.State) > 0 {
		err = c.h.State().Put(ctx, b.State...)
	}
	if err == nil {
		c.requestAll(ctx, b.requests)
		err = c.sendAll(ctx, b.messages)
	}
	if err != nil {
		c.h.Log().WarnContext(ctx, "what the guest put is not stored", "module", c.g.pkg.Manifest.ID, "err", err)
	}
}

// ration is how many events a guest may still hand in: a bucket that fills at
// the manifest's rate. The zero ration has no limit.
type ration struct {
	rate float64 // a second
	most float64

	mu   sync.Mutex
	left float64
	at   time.Time
}

// newRation allows a burst of ten seconds, and at least one full call.
func newRation(e *module.Emit) *ration {
	if e == nil {
		return &ration{}
	}
	most := max(100, 10*e.Rate)
	return &ration{rate: e.Rate, most: most, left: most, at: time.Now()}
}

// take takes n and returns how long to wait until they are earned.
func (r *ration) take(n int) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rate == 0 || n == 0 {
		return 0
	}
	now := time.Now()
	r.left = min(r.most, r.left+now.Sub(r.at).Seconds()*r.rate)
	r.at = now
	r.left -= float64(n)
	if r.left >= 0 {
		return 0
	}
	return time.Duration(-r.left / r.rate * float64(time.Second))
}
