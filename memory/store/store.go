// Package store is the memory, on any engine: it says which units a scope may
// read and write, cuts and seals what is kept, joins what the legs of a search
// find, and keeps the vectors up to date.
package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory"
)

var _ memory.Store = (*Store)(nil)

// Seals encrypts under a workspace's key; vault.Store implements it.
type Seals interface {
	SealContent(ctx context.Context, dst []byte, workspace string, plain []byte, place ...string) ([]byte, error)
	OpenContent(ctx context.Context, workspace string, sealed []byte, place ...string) ([]byte, error)
}

// Options of a store.
type Options struct {
	Engine   Engine
	Embedder memory.Embedder // nil: everything is found by its words alone
	ByRank   bool            // the legs are joined by reciprocal rank, whatever their scores
	Cut      memory.Chunker  // nil: an item is one chunk
	Seals    Seals           // nil: nothing is sealed, and what is cannot be read
	Seal     bool            // what is kept is sealed; else it is only opened
	Now      func() time.Time
	Log      *slog.Logger
}

// Store implements [memory.Store]. Its methods may be called concurrently.
type Store struct {
	o      Options
	engine Engine
	bell   chan struct{} // rung when chunks wait for vectors

	mu    sync.Mutex
	model Model // of the embedder, once it is known
}

// New makes a store. It does no I/O.
func New(o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Cut == nil {
		o.Cut = whole
	}
	return &Store{o: o, engine: o.Engine, bell: make(chan struct{}, 1)}
}

// whole leaves a text in one piece.
func whole(_ memory.Kind, text string) []memory.Chunk {
	return []memory.Chunk{{Text: text, End: len(text)}}
}

// embeds reports whether there is an embedder that makes vectors.
func (s *Store) embeds() bool { return s.o.Embedder != nil && s.o.Embedder.Dimensions() > 0 }

// modelNow is the embedder's model as the engine knows it.
func (s *Store) modelNow(ctx context.Context) (Model, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.model.ID != 0 || !s.embeds() {
		return s.model, nil
	}
	m, err := s.engine.Model(ctx, s.o.Embedder.Model(), s.o.Embedder.Dimensions())
	if err != nil {
		return m, fmt.Errorf("memory: model: %w", err)
	}
	s.model = m
	return m, nil
}

// body is what of an item is content.
type body struct {
	Title  string   `json:"title,omitempty"`
	Source string   `json:"source,omitempty"`
	URI    string   `json:"uri,omitempty"`
	Of     []string `json:"of,omitempty"`
	Tags   []string `json:"tags,omitempty"` // where the row is sealed
}

// The places to which sealed content is tied.
func itemPlace(id string) []string          { return []string{"memory", id} }
func textPlace(id string) []string          { return []string{"memory-text", id} }
func chunkPlace(id string, n int) []string  { return []string{"memory-chunk", id, fmt.Sprint(n)} }
func vectorPlace(id string, n int) []string { return []string{"memory-vector", id, fmt.Sprint(n)} }

var errSealed = errors.New("it is encrypted, and there is no key here")

func (s *Store) open(ctx context.Context, workspace string, sealed bool, b []byte, place []string) ([]byte, error) {
	if !sealed {
		return b, nil
	}
	if s.o.Seals == nil {
		return nil, errSealed
	}
	return s.o.Seals.OpenContent(ctx, workspace, b, place...)
}

// item opens a row. Its text is there if the row is whole.
func (s *Store) item(ctx context.Context, r *Row) (memory.Item, error) {
	it := memory.Item{
		ID: r.ID, Reach: r.Of.Reach, Kind: r.Kind, Label: r.Label, Member: r.Member, Tags: r.Tags,
		At: fromMicros(r.At), Until: fromMicros(r.Until),
	}
	raw, err := s.open(ctx, r.Of.Workspace, r.Sealed, r.Body, itemPlace(r.ID))
	if err != nil {
		return it, fmt.Errorf("memory: item %s: %w", r.ID, err)
	}
	var b body
	if err := json.Unmarshal(raw, &b); err != nil {
		return it, fmt.Errorf("memory: item %s: %w", r.ID, err)
	}
	it.Title, it.Source, it.URI, it.Of = b.Title, b.Source, b.URI, b.Of
	if r.Sealed {
		it.Tags = b.Tags
	}
	switch {
	case r.Text != nil:
		text, err := s.open(ctx, r.Of.Workspace, r.Sealed, r.Text, textPlace(r.ID))
		if err != nil {
			return it, fmt.Errorf("memory: item %s: %w", r.ID, err)
		}
		it.Text = string(text)
	case len(r.Chunks) == 1:
		c, err := s.chunk(ctx, r, &r.Chunks[0])
		if err != nil {
			return it, err
		}
		it.Text = c.Text
	}
	return it, nil
}

// chunk opens a chunk of a row.
func (s *Store) chunk(ctx context.Context, r *Row, c *Chunk) (memory.Chunk, error) {
	raw, err := s.open(ctx, r.Of.Workspace, r.Sealed, c.Body, chunkPlace(r.ID, c.Index))
	if err != nil {
		return memory.Chunk{}, fmt.Errorf("memory: item %s: %w", r.ID, err)
	}
	heading, text := splitBody(raw)
	return memory.Chunk{Index: c.Index, Heading: heading, Text: text, Start: c.Start, End: c.End}, nil
}

// JoinBody is the body of a chunk that is not sealed.
func JoinBody(heading, text string) []byte {
	return append(append([]byte(heading), 0), text...)
}

// splitBody takes the body of a chunk apart.
func splitBody(b []byte) (heading, text string) {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return string(b[:i]), string(b[i+1:])
	}
	return "", string(b)
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// ring tells [Store.Run] that something waits for vectors.
func (s *Store) ring() {
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// valid refuses a scope that grants nothing.
func valid(sc scope.Scope) error {
	if !sc.Valid() {
		return memory.ErrDenied
	}
	return nil
}
