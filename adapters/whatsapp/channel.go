//go:build !nowhatsapp

package whatsapp

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"go.mau.fi/whatsmeow/types"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/codec"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/keystore"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/link"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/channels/section"
)

// Driver opens WhatsApp channels that are linked devices. The zero Driver is ready.
type Driver struct{}

var (
	_ channels.Driver    = Driver{}
	_ channels.Guided    = Driver{}
	_ channels.Admitting = Driver{}
)

// Name implements channels.Driver.
func (Driver) Name() string { return "whatsapp" }

// Schema implements channels.Driver.
func (Driver) Schema() []byte { return []byte(schema) }

// Reaches lists where a channel connects to when its section names no other
// server: the socket, and the hosts of media.
func (Driver) Reaches() []string {
	return []string{"https://web.whatsapp.com", "https://*.whatsapp.net", "https://*.cdn.whatsapp.net"}
}

// DM implements channels.Admitting: the account is a person's own, so that
// what others write there is that person's business.
func (Driver) DM() string { return "self" }

// Check implements channels.Driver.
func (Driver) Check(cfg json.RawMessage) []channels.Fault {
	_, faults := parse(cfg)
	return faults
}

// Open implements channels.Driver.
func (Driver) Open(_ context.Context, h channels.Host, cfg json.RawMessage) (channels.Channel, error) {
	s, faults := parse(cfg)
	var distrust error
	if len(faults) == 0 {
		distrust = trusted.use(s.trust)
	}
	if err := section.Refusal("whatsapp", h.ID(), faults, distrust); err != nil {
		return nil, err
	}
	c := &Channel{
		host: h, cfg: s, ids: newIDs(h.Derive("whatsapp message ids")),
		health: link.Reporter{Host: h}, woken: make(chan struct{}, 1), changed: make(chan struct{}),
		unread: map[channels.ConversationID][]unread{}, titles: map[types.JID]string{},
		sent: newRing[channels.Receipt](1024), recent: newRing[message](512),
	}
	return c, nil
}

// Channel is one linked device. Its methods may be called concurrently.
type Channel struct {
	host   channels.Host
	cfg    settings
	ids    ids
	health link.Reporter
	woken  chan struct{} // a device was linked
	adding sync.Mutex    // held while one is

	sent   *ring[channels.Receipt] // what the server has taken, by message id
	recent *ring[message]          // what was said lately, by message id: for quotes and for phones that ask again

	mu       sync.Mutex // guards what follows
	store    *keystore.Store
	running  bool
	unlinked bool // Run has seen that no device is linked
	now      *session
	changed  chan struct{} // closed, and replaced, when something of this changes
	unread   map[channels.ConversationID][]unread
	titles   map[types.JID]string
}

var (
	_ channels.Channel     = (*Channel)(nil)
	_ channels.Editor      = (*Channel)(nil)
	_ channels.Deleter     = (*Channel)(nil)
	_ channels.Reactor     = (*Channel)(nil)
	_ channels.Typer       = (*Channel)(nil)
	_ channels.Fetcher     = (*Channel)(nil)
	_ channels.Sole        = (*Channel)(nil)
	_ channels.Tied        = (*Channel)(nil)
	_ channels.Reconciler  = (*Channel)(nil)
	_ channels.Prober      = (*Channel)(nil)
	_ channels.Linker      = (*Channel)(nil)
	_ channels.PhoneLinker = (*Channel)(nil)
	_ channels.Starter     = (*Channel)(nil)
)

// The limits of files, in bytes. WhatsApp takes 16 MB of most media and more of
// documents; whatsmeow holds a file in memory while it encrypts it.
const (
	maxFile  = 20 << 20
	maxFetch = 20 << 20
)

// Features implements channels.Channel. The rates are those of a person who
// types: WhatsApp bans accounts that write faster than people can.
func (c *Channel) Features(channels.Address) channels.Features {
	return channels.Features{
		Dialect: markup.WhatsApp, MaxText: codec.MaxText, MaxCaption: codec.MaxCaption,
		MaxFile: maxFile, MaxFetch: maxFetch, ReplyTo: true, TypingFor: 10 * time.Second,
		Rate: channels.Rate{
			Token:  channels.PerSecond{N: 20.0 / 60, Burst: 5},
			Direct: channels.PerSecond{N: 12.0 / 60, Burst: 4},
			Room:   channels.PerSecond{N: 6.0 / 60, Burst: 3},
		},
	}
}

// Sole implements channels.Sole: a second connection of the same device ends the
// first.
func (c *Channel) Sole() bool { return true }

// Tied implements channels.Tied: messages leave over the device's connection.
func (c *Channel) Tied() bool { return true }

// keys is the device's store. The vault must be open for it.
func (c *Channel) keys() (*keystore.Store, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.store == nil {
		s, err := keystore.New(c.host.State(), c.host.Derive(keystore.Purpose))
		if err != nil {
			return nil, err
		}
		c.store = s
	}
	return c.store, nil
}

func (c *Channel) fail(op string, k channels.Kind, err error) error {
	return &channels.Error{Op: op, Channel: c.host.ID(), Kind: k, Err: err}
}

// ring keeps the latest values by key. It may be used concurrently.
type ring[T any] struct {
	mu     sync.Mutex
	values map[string]T
	order  []string
	next   int
}

func newRing[T any](n int) *ring[T] {
	return &ring[T]{values: make(map[string]T, n), order: make([]string, n)}
}

func (r *ring[T]) put(key string, v T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.values[key]; !known {
		delete(r.values, r.order[r.next])
		r.order[r.next] = key
		r.next = (r.next + 1) % len(r.order)
	}
	r.values[key] = v
}

func (r *ring[T]) get(key string) (T, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.values[key]
	return v, ok
}
