package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/internal/rank"
	"github.com/gatehouse-chat/gatehouse/memory/internal/words"
)

// How deep a search goes.
const (
	mostHits     = 100
	usualHits    = 10
	mostWords    = 24   // of a query, that are looked up
	mostHaving   = 1000 // chunks that are listed for a word: one that more have says little
	wordDepth    = 60   // chunks whose words are counted
	vectorDepth  = 60   // chunks that the vectors put forward
	filterFactor = 5    // how much deeper where kinds or tags leave much out
	mostQuery    = 4000 // bytes of a query
	// leastCovered is the share of a query's weight that a chunk must have to be
	// found by its words, where it can be found by its meaning as well and ranks are
	// joined: one word in common would push better hits down.
	leastCovered = 0.4
)

// Recall implements [memory.Store].
func (s *Store) Recall(ctx context.Context, sc scope.Scope, q memory.Query) ([]memory.Hit, error) {
	units, err := s.found(ctx, sc, q.Reach, q.Everywhere)
	if err != nil || len(units) == 0 {
		return nil, err
	}
	q.Limit = min(max(q.Limit, 0), mostHits)
	if q.Limit == 0 {
		q.Limit = usualHits
	}
	if len(q.Text) > mostQuery {
		q.Text = q.Text[:mostQuery]
	}
	r := &search{s: s, q: q, units: units, ids: idsOf(units), chunks: map[int64]*opened{}, depth: 1}
	if len(q.Kinds) > 0 || len(q.Tags) > 0 {
		r.depth = filterFactor
	}
	return r.run(ctx)
}

// search is one question while it is being answered.
type search struct {
	s      *Store
	q      memory.Query
	units  []Found
	ids    []int64
	depth  int
	chunks map[int64]*opened // what was fetched, by number
	wanted []int64           // to be fetched with the next
	sealed *sealedPass
	idf    map[string]float64
}

// opened is a chunk that was fetched.
type opened struct {
	row   *Row
	chunk memory.Chunk
	fits  bool // it has not expired, and is of the kinds and tags that were asked for
}

func (r *search) run(ctx context.Context) ([]memory.Hit, error) {
	all := words.Query(r.q.Text)
	all = all[:min(len(all), mostWords)]
	if r.q.Legs == memory.Vectors {
		all = nil
	}
	query, model, err := r.question(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.pass(ctx, query, model, all); err != nil {
		return nil, err
	}
	near, likely, err := r.legs(ctx, query, model, all)
	if err != nil {
		return nil, err
	}
	for _, n := range near {
		r.want(n.Chunk)
	}
	for _, c := range likely {
		r.want(c)
	}
	if err := r.fetch(ctx); err != nil {
		return nil, err
	}
	return r.hits(ctx, r.fuse(likely, near))
}

// legs asks the vectors and the words, side by side.
func (r *search) legs(ctx context.Context, query []float32, model Model, all []string) (near []Near, likely []int64, err error) {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		near, err = r.near(ctx, query, model)
		return err
	})
	g.Go(func() (err error) {
		likely, err = r.likely(ctx, all)
		return err
	})
	err = g.Wait()
	return near, likely, err
}

// fuse joins the legs by what each is worth for this question, or by rank.
func (r *search) fuse(likely []int64, near []Near) []rank.Fused {
	if r.s.o.ByRank {
		return rank.Fuse(r.byWords(likely, len(near) > 0), r.byVector(near))
	}
	weight := float64(memory.UsualWeight)
	if weighed, ok := r.s.o.Embedder.(memory.Weighed); ok {
		weight = weighed.Weight(r.q.Text)
	}
	return rank.Blend(r.byWords(likely, false), r.byVector(near), weight)
}

// question makes the vector of what is asked; nil where there is none.
func (r *search) question(ctx context.Context) ([]float32, Model, error) {
	if r.q.Legs == memory.Words || !r.s.embeds() || strings.TrimSpace(r.q.Text) == "" {
		return nil, Model{}, nil
	}
	v, model, err := r.s.query(ctx, r.q.Text)
	if err == nil || ctx.Err() != nil {
		return v, model, err
	}
	// Words still find what they find: an endpoint that is away is no reason to
	// remember nothing.
	r.s.o.Log.WarnContext(ctx, "memory is searched by words alone", "err", err)
	return nil, model, nil
}

// near asks the vectors.
func (r *search) near(ctx context.Context, query []float32, model Model) ([]Near, error) {
	if query == nil {
		return nil, nil
	}
	near, err := r.s.engine.Nearest(ctx, r.ids, model, query, r.vectorDepth())
	if err != nil {
		return nil, fmt.Errorf("memory: vectors: %w", err)
	}
	return append(near, r.sealed.near...), nil
}

func (r *search) vectorDepth() int { return max(vectorDepth, r.q.Limit) * r.depth }

// query makes the vector of a question.
func (s *Store) query(ctx context.Context, text string) ([]float32, Model, error) {
	model, err := s.modelNow(ctx)
	if err != nil {
		return nil, model, err
	}
	v, err := s.o.Embedder.Embed(ctx, memory.ForQuery, []string{text})
	if err != nil {
		return nil, model, err
	}
	if len(v) != 1 || len(v[0]) != 0 && len(v[0]) != model.Dimensions {
		return nil, model, errVectors
	}
	return v[0], model, nil
}

// likely asks which chunks have the words, and picks those with the most of the
// query's weight.
func (r *search) likely(ctx context.Context, all []string) ([]int64, error) {
	if len(all) == 0 {
		return nil, nil
	}
	lists, err := r.having(ctx, all, Whichever)
	if err != nil {
		return nil, err
	}
	r.idf = make(map[string]float64, len(all))
	stats := r.stats()
	weights := map[int64]float64{}
	common, whole := 0, 0.0
	for i, w := range all {
		df := len(lists[i])
		if df >= mostHaving {
			// Somewhere between what was counted and all.
			df, common = int(math.Sqrt(float64(df)*float64(max(stats.Chunks, int64(df))))), common+1
		}
		// A word that nothing has counts as one that one chunk has: in a small memory
		// it would outweigh all that was found.
		r.idf[w] = stats.IDF(max(df, 1))
		whole += r.idf[w]
	}
	if common == len(all) { // there is nothing else to look at than some of what has them
		if lists, err = r.having(ctx, all, Newest); err != nil {
			return nil, err
		}
	}
	if common == len(all) && common > 1 { // none of them says much, but together they do
		together, err := r.having(ctx, []string{strings.Join(all, " ")}, Newest)
		if err != nil {
			return nil, err
		}
		for _, c := range together[0] {
			weights[c] += whole
		}
	}
	for i, w := range all {
		if len(lists[i]) >= mostHaving && common < len(all) {
			continue // it is counted where another word was found
		}
		for _, c := range lists[i] {
			weights[c] += r.idf[w]
		}
	}
	return heaviest(weights, wordDepth*r.depth), nil
}

// having lists what has words, what is sealed included.
func (r *search) having(ctx context.Context, all []string, which Which) ([][]int64, error) {
	lists, err := r.s.engine.Having(ctx, r.ids, all, mostHaving, which)
	if err != nil {
		return nil, fmt.Errorf("memory: words: %w", err)
	}
	for i, w := range all {
		lists[i] = append(lists[i], r.sealed.having[w]...)
	}
	return lists, nil
}

func (r *search) stats() rank.Stats {
	var s rank.Stats
	for _, u := range r.units {
		s.Chunks += u.Chunks
		s.Words += u.Words
	}
	s.Words += r.sealed.words
	return s
}

// heaviest are the n chunks of the most weight.
func heaviest(weights map[int64]float64, n int) []int64 {
	all := make([]rank.Scored, 0, len(weights))
	for c, w := range weights {
		all = append(all, rank.Scored{Chunk: c, Score: w})
	}
	rank.Order(all)
	out := make([]int64, 0, min(n, len(all)))
	for _, c := range all[:min(n, len(all))] {
		out = append(out, c.Chunk)
	}
	return out
}

func (r *search) want(chunk int64) {
	if _, known := r.chunks[chunk]; !known {
		r.chunks[chunk] = nil
		r.wanted = append(r.wanted, chunk)
	}
}

// fetch gets what is wanted, of the units that are searched.
func (r *search) fetch(ctx context.Context) error {
	if len(r.wanted) == 0 {
		return nil
	}
	got, err := r.s.engine.Chunks(ctx, r.ids, r.wanted)
	if err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	r.wanted = nil
	for i := range got {
		if err := r.take(ctx, &got[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *search) take(ctx context.Context, c *Chunk) error {
	opens, err := r.s.chunk(ctx, c.Item, c)
	if err != nil {
		return err
	}
	o := &opened{row: c.Item, chunk: opens}
	if c.Item.Sealed && len(r.q.Tags) > 0 {
		it, err := r.s.item(ctx, c.Item)
		if err != nil {
			return err
		}
		c.Item.Tags = it.Tags
	}
	o.fits = r.fits(c.Item)
	r.chunks[c.ID] = o
	return nil
}

func (r *search) fits(row *Row) bool {
	if row.Until != 0 && row.Until <= micros(r.s.o.Now()) {
		return false
	}
	if len(r.q.Kinds) > 0 && !slices.Contains(r.q.Kinds, row.Kind) {
		return false
	}
	for _, t := range r.q.Tags {
		if !slices.Contains(row.Tags, t) {
			return false
		}
	}
	return true
}

// byWords ranks chunks by their words. Where vectors search, too, those that
// have little of the query are left to them.
func (r *search) byWords(likely []int64, gated bool) []rank.Scored {
	stats := r.stats()
	var out []rank.Scored
	for _, c := range likely {
		o := r.chunks[c]
		if o == nil || !o.fits {
			continue
		}
		score, covered := stats.BM25(words.Split(string(JoinBody(o.chunk.Heading, o.chunk.Text))), r.idf)
		if score > 0 && (!gated || covered >= leastCovered) {
			out = append(out, rank.Scored{Chunk: c, Score: score, Covered: covered})
		}
	}
	rank.Order(out)
	return out
}

func (r *search) byVector(near []Near) []rank.Scored {
	out := make([]rank.Scored, 0, len(near))
	for _, n := range near {
		if o := r.chunks[n.Chunk]; o != nil && o.fits {
			out = append(out, rank.Scored{Chunk: n.Chunk, Score: n.Cosine})
		}
	}
	rank.Order(out)
	return out
}

// hits makes the answer of what was fused.
func (r *search) hits(ctx context.Context, fused []rank.Fused) ([]memory.Hit, error) {
	now := r.s.o.Now()
	items := map[*Row]memory.Item{}
	var out []memory.Hit
	// Only what may still come among the first is opened whole.
	most := len(fused)
	if r.q.HalfLife <= 0 {
		most = min(most, r.q.Limit*3)
	}
	for _, f := range fused[:most] {
		o := r.chunks[f.Chunk]
		it, known := items[o.row]
		if !known {
			var err error
			if it, err = r.s.item(ctx, o.row); err != nil {
				return nil, err
			}
			it.Text = ""
			items[o.row] = it
		}
		h := memory.Hit{Item: it, Chunk: o.chunk, Score: f.Score, Words: f.Words, Vector: f.Vector}
		h.Score *= rank.Decay(now.Sub(it.At), r.q.HalfLife)
		out = append(out, h)
	}
	if r.q.HalfLife > 0 {
		slices.SortStableFunc(out, func(a, b memory.Hit) int {
			switch {
			case a.Score > b.Score:
				return -1
			case a.Score < b.Score:
				return 1
			}
			return 0
		})
	}
	return rank.Diverse(out, r.q.Limit, r.q.Diversity, func(h *memory.Hit) []string { return words.Split(h.Chunk.Text) }), nil
}
