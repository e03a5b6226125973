package channeltest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// disk is what outlives the process: the channel's state, the events that were
// accepted, and the secrets.
type disk struct {
	state   map[string][]byte
	files   map[string][]byte   // kept, by their Blob
	named   map[string][]string // the Blobs that a key of the state names
	known   map[[2]string]bool  // account and key of every event
	events  []channels.Event
	secrets map[string]string // by reference
	seed    [32]byte          // of Derive
}

func (d *disk) clone() *disk {
	c := *d
	c.state = make(map[string][]byte, len(d.state))
	for k, v := range d.state {
		c.state[k] = bytes.Clone(v)
	}
	c.named = maps.Clone(d.named)
	c.files = map[string][]byte{} // what nothing names is swept at the next occasion
	for _, names := range d.named {
		for _, name := range names {
			c.files[name] = d.files[name]
		}
	}
	c.known = maps.Clone(d.known)
	c.events = slices.Clone(d.events)
	c.secrets = maps.Clone(d.secrets)
	return &c
}

// write stores adapter state; a nil value deletes.
func (d *disk) write(ws []channels.Write) {
	for _, w := range ws {
		delete(d.named, w.Key)
		for _, f := range w.Files {
			d.named[w.Key] = append(d.named[w.Key], f.Blob)
		}
		if w.Value == nil {
			delete(d.state, w.Key)
			continue
		}
		d.state[w.Key] = bytes.Clone(w.Value)
	}
}

// Snapshot is what a gateway would find on its disk. The zero Snapshot is a
// fresh installation.
type Snapshot struct{ d *disk }

// Events are the events that are kept.
func (s Snapshot) Events() []channels.Event {
	if s.d == nil {
		return nil
	}
	return slices.Clone(s.d.events)
}

// Get is a value of the kept state, or nil.
func (s Snapshot) Get(key string) []byte {
	if s.d == nil {
		return nil
	}
	return bytes.Clone(s.d.state[key])
}

// errCrashed is what a process that was declared dead gets from its host.
var errCrashed = errors.New("channeltest: this process has crashed")

// state implements channels.State over the host's disk.
type state struct{ h *Host }

var _ channels.State = state{}

func (s state) Get(ctx context.Context, key string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var v []byte
	s.h.board.read(func() { v = bytes.Clone(s.h.disk.state[key]) })
	return v, nil
}

func (s state) List(ctx context.Context, prefix, after string, limit int) ([]channels.Write, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = 1000
	}
	var out []channels.Write
	s.h.board.read(func() {
		for k, v := range s.h.disk.state {
			if strings.HasPrefix(k, prefix) && k > after {
				out = append(out, channels.Write{Key: k, Value: bytes.Clone(v)})
			}
		}
	})
	slices.SortFunc(out, func(a, b channels.Write) int { return cmp.Compare(a.Key, b.Key) })
	return out[:min(limit, len(out))], nil
}

func (s state) Put(ctx context.Context, w ...channels.Write) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var err error
	s.h.board.change(func() {
		if s.h.dead {
			err = errCrashed
			return
		}
		s.h.disk.write(w)
	})
	return err
}
