// Package sealed keeps what people and models wrote encrypted at rest: it wraps
// an engine of the bus, seals bodies, progress and the values of some spaces of
// the state under the key of their workspace on the way in, and opens them on
// the way out. Nothing else of the program knows of it.
//
// What the engine orders, finds and counts by stays readable: the names of
// workspaces, channels, accounts, orders, keys and spaces, positions, times,
// states and reasons.
//
// What was sealed and what was not is told apart by how it begins, so both can
// stand beside each other. [Engine.Convert] brings everything into the one form
// that is wanted.
package sealed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/vault"
)

var (
	_ bus.Engine = (*Engine)(nil)
	_ kv.Watcher = (*Engine)(nil)
)

// Seals encrypts under a workspace's key; vault.Store implements it. Open fails
// with [vault.ErrNotFound] where the key is no more.
type Seals interface {
	SealContent(ctx context.Context, dst []byte, workspace string, plain []byte, place ...string) ([]byte, error)
	OpenContent(ctx context.Context, workspace string, sealed []byte, place ...string) ([]byte, error)
}

// Options of an engine. All but Log are required.
type Options struct {
	Seals Seals
	On    bool   // what is written is sealed; else it is only opened
	Home  string // the workspace of what belongs to no other
	// Content reports whether the values of a space are content.
	Content func(space string) bool
	// Owner is the workspace that the key of a row names, "" when it names none:
	// then it is the one of the records with which the row is written.
	Owner func(space, key string) string
	Log   *slog.Logger // nil: none
}

// Engine is an engine whose content is sealed. Its methods may be called
// concurrently. What cannot be opened because its workspace was deleted is
// handed out as a record without a body, or not at all.
type Engine struct {
	// What is not redefined here neither takes nor returns content.
	bus.Engine
	o Options
}

// New wraps an engine.
func New(e bus.Engine, o Options) *Engine {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Engine{Engine: e, o: o}
}

// magic begins what is sealed. No JSON begins so, and nothing else by chance.
const magic = "\x00\x9c\xe5GHc1\xb7"

// isSealed reports whether a stored value is sealed.
func isSealed(v []byte) bool { return len(v) > len(magic) && string(v[:len(magic)]) == magic }

// owner is the workspace under whose key a value was sealed, and the rest.
func owner(v []byte) (workspace string, rest []byte, ok bool) {
	n := int(v[len(magic)])
	rest = v[len(magic)+1:]
	if len(rest) < n {
		return "", nil, false
	}
	return string(rest[:n]), rest[n:], true
}

// contentRoom is what sealing adds at most, but for the workspace's name.
const contentRoom = len(magic) + 1 + 64

// seal encrypts a value. nil stays nil.
func (e *Engine) seal(ctx context.Context, workspace string, v []byte, place ...string) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	if workspace == "" {
		workspace = e.o.Home
	}
	out := make([]byte, 0, contentRoom+len(workspace)+len(v))
	out = append(out, magic...)
	out = append(out, byte(len(workspace))) //nolint:gosec // an id has 128 bytes at most; a longer one the vault refuses
	out = append(out, workspace...)
	return e.o.Seals.SealContent(ctx, out, workspace, v, place...)
}

// open decrypts what seal made, and returns anything else as it is.
func (e *Engine) open(ctx context.Context, v []byte, place ...string) ([]byte, error) {
	if !isSealed(v) {
		return v, nil
	}
	workspace, rest, ok := owner(v)
	if !ok {
		return nil, vault.ErrCorrupt
	}
	return e.o.Seals.OpenContent(ctx, workspace, rest, place...)
}

// What a value is tied to, so that it cannot stand elsewhere.
func bodyPlace(r *bus.Record) []string {
	return []string{"body", r.Queue, r.Channel, r.Account, r.Key}
}

func progressPlace(queue, channel, key string) []string {
	return []string{"progress", queue, channel, key}
}

func rowPlace(space, key string) []string { return []string{"row", space, key} }

// records seals the bodies of records that are published.
func (e *Engine) records(ctx context.Context, in []bus.Record) ([]bus.Record, error) {
	if !e.o.On || len(in) == 0 {
		return in, nil
	}
	out := make([]bus.Record, len(in))
	for i := range in {
		out[i] = in[i]
		var err error
		if out[i].Body, err = e.seal(ctx, in[i].Workspace, in[i].Body, bodyPlace(&in[i])...); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// state seals the values of rows. with is the workspace of the records that they
// are written with, "" for none.
func (e *Engine) state(ctx context.Context, with string, in []bus.Write) ([]bus.Write, error) {
	if !e.o.On || len(in) == 0 {
		return in, nil
	}
	out := make([]bus.Write, len(in))
	for i, w := range in {
		out[i] = w
		if w.Value == nil || !e.o.Content(w.Space) {
			continue
		}
		workspace, err := e.whose(ctx, with, w.Space, w.Key)
		if err != nil {
			return nil, err
		}
		if out[i].Value, err = e.seal(ctx, workspace, w.Value, rowPlace(w.Space, w.Key)...); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// whose is the workspace that a row belongs to: the one its key names, else that
// of what it is written with, else the one it has belonged to.
func (e *Engine) whose(ctx context.Context, with, space, key string) (string, error) {
	if w := e.o.Owner(space, key); w != "" {
		return w, nil
	}
	if with != "" {
		return with, nil
	}
	old, err := e.Engine.Get(ctx, space, key)
	if err != nil {
		return "", err
	}
	if isSealed(old.Value) {
		if w, _, ok := owner(old.Value); ok {
			return w, nil
		}
	}
	return e.o.Home, nil
}

func workspaceOf(records []bus.Record) string {
	if len(records) == 0 {
		return ""
	}
	return records[0].Workspace
}

// Publish implements [bus.Bus].
func (e *Engine) Publish(ctx context.Context, b bus.Batch) (err error) {
	if b.State, err = e.state(ctx, workspaceOf(b.Records), b.State); err != nil {
		return err
	}
	if b.Records, err = e.records(ctx, b.Records); err != nil {
		return err
	}
	return e.Engine.Publish(ctx, b)
}

// Write implements [kv.Store].
func (e *Engine) Write(ctx context.Context, w ...bus.Write) error {
	w, err := e.state(ctx, "", w)
	if err != nil {
		return err
	}
	return e.Engine.Write(ctx, w...)
}

// Lease implements [bus.Bus].
func (e *Engine) Lease(ctx context.Context, w bus.Want) ([]*bus.Lease, error) {
	leases, err := e.Engine.Lease(ctx, w)
	for _, l := range leases {
		e.openRecords(ctx, l.Records)
	}
	return leases, err
}

// openRecords opens what is handed out. A record that cannot be opened has no
// body, and so becomes a dead letter rather than a lease that comes again and
// again.
func (e *Engine) openRecords(ctx context.Context, records []bus.Record) {
	ctx = context.WithoutCancel(ctx) // they are leased already
	for i := range records {
		e.openRecord(ctx, &records[i])
	}
}

func (e *Engine) openRecord(ctx context.Context, r *bus.Record) {
	body, err := e.open(ctx, r.Body, bodyPlace(r)...)
	progress, err2 := e.open(ctx, r.Progress, progressPlace(r.Queue, r.Channel, r.Key)...)
	if err := errors.Join(err, err2); err != nil {
		e.o.Log.Error("a stored message cannot be decrypted", "queue", r.Queue, "channel", r.Channel, "seq", r.Seq, "err", err)
	}
	r.Body, r.Progress = body, progress
}

// Hold implements [bus.Bus].
func (e *Engine) Hold(ctx context.Context, l *bus.Lease, h bus.Hold) (_ []bus.Record, err error) {
	if h.State, err = e.state(ctx, workspaceOf(l.Records), h.State); err != nil {
		return nil, err
	}
	if h.Emit, err = e.records(ctx, h.Emit); err != nil {
		return nil, err
	}
	if e.o.On && len(h.Progress) > 0 {
		sealed := make(map[string]json.RawMessage, len(h.Progress))
		for key, p := range h.Progress {
			if sealed[key], err = e.seal(ctx, workspaceOf(l.Records), p, progressPlace(l.Queue, l.Channel, key)...); err != nil {
				return nil, err
			}
		}
		h.Progress = sealed
	}
	joined, err := e.Engine.Hold(ctx, l, h)
	if n := len(joined); n > 0 {
		e.openRecords(ctx, joined)
		copy(l.Records[len(l.Records)-n:], joined)
	}
	return joined, err
}

// Settle implements [bus.Bus].
func (e *Engine) Settle(ctx context.Context, l *bus.Lease, o bus.Outcome) (err error) {
	if o.State, err = e.state(ctx, workspaceOf(l.Records), o.State); err != nil {
		return err
	}
	if o.Emit, err = e.records(ctx, o.Emit); err != nil {
		return err
	}
	if e.o.On && len(o.Verdicts) > 0 {
		sealed := make(map[string]bus.Verdict, len(o.Verdicts))
		for key, v := range o.Verdicts {
			if v.Progress, err = e.seal(ctx, workspaceOf(l.Records), v.Progress, progressPlace(l.Queue, l.Channel, key)...); err != nil {
				return err
			}
			sealed[key] = v
		}
		o.Verdicts = sealed
	}
	return e.Engine.Settle(ctx, l, o)
}

// openRow opens a row. ok is false when its workspace is no more.
func (e *Engine) openRow(ctx context.Context, space string, x *bus.Entry) (ok bool, err error) {
	x.Value, err = e.open(ctx, x.Value, rowPlace(space, x.Key)...)
	if errors.Is(err, vault.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Get implements [kv.Reader].
func (e *Engine) Get(ctx context.Context, space, key string) (bus.Entry, error) {
	x, err := e.Engine.Get(ctx, space, key)
	if err != nil || !isSealed(x.Value) {
		return x, err
	}
	if ok, err := e.openRow(ctx, space, &x); !ok {
		return bus.Entry{}, err
	}
	return x, nil
}

// List implements [kv.Reader].
func (e *Engine) List(ctx context.Context, space, prefix, after string, limit int) ([]bus.Entry, error) {
	if !e.o.Content(space) {
		return e.Engine.List(ctx, space, prefix, after, limit)
	}
	if limit <= 0 {
		limit = 1000
	}
	var all []bus.Entry
	for {
		page, err := e.Engine.List(ctx, space, prefix, after, limit-len(all))
		if err != nil || len(page) == 0 {
			return all, err
		}
		after = page[len(page)-1].Key
		opened, err := e.openRows(ctx, space, page)
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = opened
		} else {
			all = append(all, opened...)
		}
		if len(opened) == len(page) || len(all) >= limit { // else what was left out is made up for
			return all, nil
		}
	}
}

// Latest implements [kv.Reader].
func (e *Engine) Latest(ctx context.Context, space, prefix string, n int) ([]bus.Entry, error) {
	all, err := e.Engine.Latest(ctx, space, prefix, n)
	if err != nil || !e.o.Content(space) {
		return all, err
	}
	return e.openRows(ctx, space, all)
}

// openRows opens rows and leaves out those whose workspace is no more. The rows
// may be the engine's own.
func (e *Engine) openRows(ctx context.Context, space string, rows []bus.Entry) ([]bus.Entry, error) {
	kept := make([]bus.Entry, 0, len(rows))
	for _, x := range rows {
		ok, err := e.openRow(ctx, space, &x)
		if err != nil {
			return nil, err
		}
		if ok {
			kept = append(kept, x)
		}
	}
	return kept, nil
}

// Watch implements [kv.Watcher], where the engine does.
func (e *Engine) Watch(f func([]kv.Write)) bool {
	w, ok := e.Engine.(kv.Watcher)
	return ok && w.Watch(func(writes []kv.Write) { f(e.seen(writes)) })
}

// seen opens what was written. What cannot be opened is told as it is: whoever
// keeps it finds that it does not understand it, and reads it anew.
func (e *Engine) seen(writes []kv.Write) []kv.Write {
	opened := writes
	for i, w := range writes {
		if !isSealed(w.Value) {
			continue
		}
		if &opened[0] == &writes[0] {
			opened = append([]kv.Write(nil), writes...)
		}
		if v, err := e.open(context.Background(), w.Value, rowPlace(w.Space, w.Key)...); err == nil {
			opened[i].Value = v
		}
	}
	return opened
}

// DeadLetters implements [bus.Desk].
func (e *Engine) DeadLetters(ctx context.Context, queue string, after int64, limit int) ([]bus.Letter, error) {
	all, err := e.Engine.DeadLetters(ctx, queue, after, limit)
	return e.letters(ctx, all), err
}

// Replies implements [bus.Desk].
func (e *Engine) Replies(ctx context.Context, channel, prefix string) ([]bus.Letter, error) {
	all, err := e.Engine.Replies(ctx, channel, prefix)
	return e.letters(ctx, all), err
}

func (e *Engine) letters(ctx context.Context, all []bus.Letter) []bus.Letter {
	for i := range all {
		e.openRecord(ctx, &all[i].Record)
	}
	return all
}

// Revise implements [bus.Desk]. It reads and opens first and stores then, so
// that nothing waits for a key within a commit; what has changed in between is
// left as it is.
func (e *Engine) Revise(ctx context.Context, after int64, limit int, f func(bus.Letter) bus.Revision) (int64, error) {
	return e.revise(ctx, after, limit, func(l bus.Letter) (bus.Revision, error) {
		plain := l
		e.openRecord(ctx, &plain.Record)
		v := f(plain)
		if !e.o.On {
			return v, nil
		}
		var err, err2 error
		v.Body, err = e.seal(ctx, l.Workspace, v.Body, bodyPlace(&l.Record)...)
		v.Progress, err2 = e.seal(ctx, l.Workspace, v.Progress, progressPlace(l.Queue, l.Channel, l.Key)...)
		return v, errors.Join(err, err2)
	})
}

// revise decides on records as they are stored.
func (e *Engine) revise(ctx context.Context, after int64, limit int, decide func(bus.Letter) (bus.Revision, error)) (int64, error) {
	var page []bus.Letter
	last, err := e.Engine.Revise(ctx, after, limit, func(l bus.Letter) bus.Revision {
		if n := len(page); n > 0 && page[n-1].Seq >= l.Seq { // it is shown again
			page = page[:0]
		}
		page = append(page, l)
		return bus.Revision{}
	})
	if err != nil || last == 0 {
		return last, err
	}
	todo, was := map[int64]bus.Revision{}, map[int64]bus.Letter{}
	for _, l := range page {
		v, err := decide(l)
		if err != nil {
			return 0, err
		}
		if v.Remove || v.Body != nil || v.Progress != nil {
			todo[l.Seq], was[l.Seq] = v, l
		}
	}
	if len(todo) == 0 {
		return last, nil
	}
	_, err = e.Engine.Revise(ctx, after, limit, func(l bus.Letter) bus.Revision {
		if old := was[l.Seq]; !bytes.Equal(old.Body, l.Body) || !bytes.Equal(old.Progress, l.Progress) {
			return bus.Revision{}
		}
		return todo[l.Seq]
	})
	return last, err
}
