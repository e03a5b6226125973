package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/internal/vector"
)

// The rhythm of making vectors.
const (
	embedAtOnce  = 64          // chunks in one call of the embedder
	again        = time.Minute // until what failed, or what another process left, is looked for
	embedLongest = 2 * time.Minute
)

var errVectors = errors.New("memory: the embedder gave vectors of another number or length")

// Progress is how far the store is with its upkeep.
type Progress struct {
	Model    string `json:"model"`              // "": there is no embedder
	Done     int64  `json:"done"`               // chunks that are indexed, and have a vector of it or are nothing to it
	All      int64  `json:"all"`                // chunks
	Compared int64  `json:"compared,omitempty"` // of the vectors, those that searches compare one by one until [Store.Run] has indexed them
}

// vectorIndexer is an engine that indexes vectors some time after they were set.
// Until then they are found as well, and it only takes longer.
type vectorIndexer interface {
	// IndexVectors makes what is due, all of it where no more vectors are expected
	// soon, and returns how many indexes it made. It may take minutes.
	IndexVectors(ctx context.Context, model Model, settled bool) (made int, err error)
	// Compared counts the vectors that wait for it.
	Compared(ctx context.Context, model Model) (int64, error)
}

// Wake lets [Store.Run] look at once for what has no vector.
func (s *Store) Wake() { s.ring() }

// Progress counts.
func (s *Store) Progress(ctx context.Context) (Progress, error) {
	model, err := s.modelNow(ctx)
	if err != nil {
		return Progress{}, err
	}
	p := Progress{}
	if s.embeds() {
		p.Model = s.o.Embedder.Model()
	}
	if p.Done, p.All, err = s.engine.Progress(ctx, model); err != nil {
		return p, err
	}
	if e, ok := s.engine.(vectorIndexer); ok && s.embeds() {
		p.Compared, err = e.Compared(ctx, model)
	}
	return p, err
}

// Run keeps the vectors and their indexes up to date until ctx ends: the vectors
// of what is new, and after a change of the embedder all of them. Searches go on
// meanwhile, by words and by what has a vector already. What fails is tried again.
func (s *Store) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		s.every(ctx, "make vectors", s.bell, func() error { return s.Reindex(ctx, nil) })
		return nil
	})
	if e, ok := s.engine.(vectorIndexer); ok && s.embeds() {
		group.Go(func() error {
			s.every(ctx, "index vectors", nil, func() error { return s.indexVectors(ctx, e) })
			return nil
		})
	}
	return group.Wait()
}

// every does something when the bell rings and each minute, until ctx ends.
func (s *Store) every(ctx context.Context, what string, bell <-chan struct{}, do func() error) {
	for ctx.Err() == nil {
		if err := do(); err != nil && ctx.Err() == nil {
			s.o.Log.WarnContext(ctx, "memory: upkeep failed; it is tried again", "what", what, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-bell:
		case <-time.After(again):
		}
	}
}

func (s *Store) indexVectors(ctx context.Context, e vectorIndexer) error {
	model, err := s.modelNow(ctx)
	if err != nil {
		return err
	}
	began := s.o.Now()
	made, err := e.IndexVectors(ctx, model, false)
	if made > 0 {
		s.o.Log.InfoContext(ctx, "memory: vectors were indexed", "indexes", made, "took", s.o.Now().Sub(began))
	}
	return err
}

// Reindex blocks until everything is in the form that the options say: sealed or
// not, with its words in the index, and with vectors of the embedder. It goes on where an earlier one ended,
// and tells of its progress, which may be nil.
func (s *Store) Reindex(ctx context.Context, tell func(Progress)) error {
	if err := s.indexWords(ctx, tell); err != nil {
		return err
	}
	if err := s.convert(ctx); err != nil {
		return err
	}
	if !s.embeds() {
		return nil
	}
	model, err := s.modelNow(ctx)
	if err != nil {
		return err
	}
	for {
		n, err := s.embedSome(ctx, model)
		if err != nil || n == 0 {
			return err
		}
		if err := s.tell(ctx, tell); err != nil {
			return err
		}
	}
}

func (s *Store) tell(ctx context.Context, tell func(Progress)) error {
	if tell == nil {
		return nil
	}
	p, err := s.Progress(ctx)
	if err == nil {
		tell(p)
	}
	return err
}

// indexWords lets an engine index what an older version has left behind.
func (s *Store) indexWords(ctx context.Context, tell func(Progress)) error {
	e, ok := s.engine.(interface {
		IndexWords(ctx context.Context) (more bool, err error)
	})
	if !ok {
		return nil
	}
	for {
		more, err := e.IndexWords(ctx)
		if err != nil {
			return fmt.Errorf("memory: index the words: %w", err)
		}
		if !more {
			return nil
		}
		if err := s.tell(ctx, tell); err != nil {
			return err
		}
	}
}

// embedSome makes the vectors of some chunks that have none, and returns of how
// many.
func (s *Store) embedSome(ctx context.Context, model Model) (int, error) {
	chunks, err := s.engine.Pending(ctx, model, embedAtOnce)
	if err != nil || len(chunks) == 0 {
		return 0, err
	}
	texts := make([]string, 0, len(chunks))
	readable := chunks[:0]
	var out []Vector
	for i := range chunks {
		c, err := s.chunk(ctx, chunks[i].Item, &chunks[i])
		if err != nil { // its key is gone: nobody reads it any more
			out = append(out, Vector{Chunk: chunks[i].ID})
			continue
		}
		text := c.Text
		if c.Heading != "" {
			text = c.Heading + "\n" + text
		}
		texts, readable = append(texts, text), append(readable, chunks[i])
	}
	if len(texts) > 0 {
		made, err := s.embed(ctx, model, texts)
		if err != nil {
			return 0, err
		}
		for i := range readable {
			v, err := s.vector(ctx, &readable[i], made[i])
			if err != nil {
				return 0, err
			}
			out = append(out, v)
		}
	}
	return len(chunks), s.engine.SetVectors(ctx, model, out)
}

func (s *Store) embed(ctx context.Context, model Model, texts []string) ([][]float32, error) {
	ctx, cancel := context.WithTimeout(ctx, embedLongest)
	defer cancel()
	made, err := s.o.Embedder.Embed(ctx, memory.ForPassage, texts)
	if err != nil {
		return nil, err
	}
	if len(made) != len(texts) {
		return nil, errVectors
	}
	for _, v := range made {
		if len(v) != 0 && len(v) != model.Dimensions {
			return nil, errVectors
		}
	}
	return made, nil
}

// vector is what is kept of a chunk's vector: as it is, or sealed with the chunk.
func (s *Store) vector(ctx context.Context, c *Chunk, v []float32) (Vector, error) {
	out := Vector{Chunk: c.ID, Values: v}
	if !c.Item.Sealed || len(v) == 0 {
		return out, nil
	}
	if s.o.Seals == nil {
		return out, errSealed
	}
	var err error
	out.Values = nil
	out.Sealed, err = s.o.Seals.SealContent(ctx, nil, c.Item.Of.Workspace, vector.Encode(v), vectorPlace(c.Item.ID, c.Index)...)
	return out, err
}

// convertAtOnce is how many items are brought into the other form in one commit.
const convertAtOnce = 50

// convert brings every item into the form that the options say: sealed, and then
// without an index, or not.
func (s *Store) convert(ctx context.Context) error {
	after, changed := "", 0
	for {
		rows, err := s.engine.Rows(ctx, Filter{All: true, Wrong: &s.o.Seal, After: after, Limit: convertAtOnce, Whole: true})
		if err != nil {
			return fmt.Errorf("memory: %w", err)
		}
		if len(rows) == 0 {
			break
		}
		var out []Row
		for i := range rows {
			after = rows[i].ID
			it, err := s.item(ctx, &rows[i])
			if err != nil {
				continue // nobody can read it, in either form
			}
			r, err := s.row(ctx, rows[i].Of.Workspace, &it)
			if err != nil {
				return err
			}
			r.Unit, r.Was = rows[i].Unit, rows[i].Body
			out = append(out, r)
		}
		if len(out) > 0 {
			if err := s.engine.Put(ctx, out); err != nil {
				return fmt.Errorf("memory: %w", err)
			}
			changed += len(out)
		}
	}
	if c, ok := s.engine.(interface{ Compact(context.Context) error }); ok && changed > 0 && s.o.Seal {
		return c.Compact(ctx) // what stood there before is still in free pages
	}
	return nil
}
