package memorytest

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/cputest"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory"
	cut "github.com/gatehouse-chat/gatehouse/memory/internal/words"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// The size of the benchmark.
const (
	benchChunks     = 100_000
	benchFifth      = benchChunks / 5
	benchSmall      = benchChunks / 500
	benchDimensions = 384
	benchWords      = 60 // of a chunk
	benchVocabulary = 20_000
	benchQueries    = 200
	benchBatch      = 500
	benchTop        = 10
	ingestChunks    = 20_000
	ingestBatch     = 100
)

// Bench fills an engine with 100,000 chunks of 384 dimensions and times hybrid
// searches over all of them, over a fifth, and over one in 500, with the share of
// the true neighbours that the vectors find. On a busy machine only the processor
// time of this process can be compared.
func Bench(b *testing.B, e store.Engine) {
	c := &corpus{engine: e}
	for i := range c.centres {
		c.centres[i] = c.random(uint64(i), 1)
	}
	c.fill(b)
	s := store.New(store.Options{Engine: e, Embedder: c, Now: now})
	for _, where := range []struct {
		name string
		by   scope.Principal
		has  func(i int) bool
	}{
		{"all", scope.Principal{Workspace: "main", Member: "m-fifth", Role: scope.Ordinary, Direct: true}, func(i int) bool { return i >= benchSmall }},
		{"a fifth", scope.Principal{Workspace: "main", Member: "m-fifth", Role: scope.Guest, Direct: true}, func(i int) bool { return i >= benchSmall && i < benchSmall+benchFifth }},
		{"one in 500", scope.Principal{Workspace: "main", Member: "m-small", Role: scope.Guest, Direct: true}, func(i int) bool { return i < benchSmall }},
	} {
		b.Run(where.name, func(b *testing.B) {
			by := scope.New(where.by)
			if _, err := s.Recall(b.Context(), by, memory.Query{Text: c.query(0)}); err != nil { // the first reads the bits
				b.Fatal(err)
			}
			var took []time.Duration
			from := cputest.Process()
			for i := 0; b.Loop(); i++ {
				began := time.Now()
				hits, err := s.Recall(b.Context(), by, memory.Query{Text: c.query(i % benchQueries)})
				if err != nil || len(hits) == 0 {
					b.Fatal(len(hits), err)
				}
				took = append(took, time.Since(began))
			}
			b.ReportMetric((cputest.Process()-from).Seconds()*1000/float64(len(took)), "cpu-ms/op")
			slices.Sort(took)
			b.ReportMetric(took[len(took)/2].Seconds()*1000, "p50-ms")
			b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "p99-ms")
			b.ReportMetric(c.recall(b, s, by, where.has), "recall@10")
			debug.FreeOSMemory()
			b.ReportMetric(resident(), "resident-MB")
		})
	}
}

// Ingest keeps 20,000 notes in an engine by way of a store, as an import does: a
// hundred at a time, while what has come is given its vectors. It is over when
// all have one.
func Ingest(b *testing.B, e store.Engine, by memory.Embedder) {
	s := store.New(store.Options{Engine: e, Embedder: by, Now: now})
	who := scope.New(scope.Principal{Workspace: "main", Member: "reader", Role: scope.Owner})
	c := &corpus{}
	for b.Loop() {
		kept := make(chan error, 1)
		began, from := time.Now(), cputest.Process()
		go func() { kept <- c.keep(b.Context(), s, who) }()
		for waiting := true; waiting; {
			select {
			case err := <-kept:
				if err != nil {
					b.Fatal(err)
				}
				waiting = false
			default:
			}
			if err := s.Reindex(b.Context(), nil); err != nil {
				b.Fatal(err)
			}
		}
		p, err := s.Progress(b.Context())
		if err != nil || p.Done != p.All || p.All != ingestChunks {
			b.Fatal(p, err)
		}
		b.ReportMetric(ingestChunks/time.Since(began).Seconds(), "chunks/s")
		b.ReportMetric((cputest.Process()-from).Seconds()*1000/ingestChunks, "cpu-ms/chunk")
	}
}

func (c *corpus) keep(ctx context.Context, s *store.Store, who scope.Scope) error {
	for at := 0; at < ingestChunks; at += ingestBatch {
		var items []memory.Item
		for i := at; i < at+ingestBatch; i++ {
			items = append(items, memory.Item{
				ID: strconv.Itoa(i), Reach: memory.Workspace, Kind: memory.Note, Label: memory.Trusted, Text: c.text(i),
			})
		}
		if _, err := s.Remember(ctx, who, items...); err != nil {
			return err
		}
	}
	return nil
}

// corpus is made anew from numbers whenever it is needed, so that it takes no
// memory.
type corpus struct {
	engine  store.Engine
	centres [200][]float32
}

var _ memory.Embedder = (*corpus)(nil)

func (c *corpus) random(seed, kind uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, kind)) //nolint:gosec // the same in each run
	v := make([]float64, benchDimensions)
	for i := range v {
		v[i] = r.NormFloat64()
	}
	return unit(v)
}

// near is a vector beside another.
func near(v []float32, seed, kind uint64, far float64) []float32 {
	r := rand.New(rand.NewPCG(seed, kind)) //nolint:gosec // the same in each run
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x) + far*r.NormFloat64()/20
	}
	return unit(out)
}

// vector is that of a chunk: around one of the centres.
func (c *corpus) vector(i int) []float32 {
	return near(c.centres[i*7919%len(c.centres)], uint64(i), 2, 1) //nolint:gosec // not negative
}

func (c *corpus) text(i int) string {
	r := rand.New(rand.NewPCG(uint64(i), 3)) //nolint:gosec // the same in each run
	z := rand.NewZipf(r, 1.1, 4, benchVocabulary)
	var b strings.Builder
	for range benchWords {
		b.WriteString("w" + strconv.FormatUint(z.Uint64(), 36) + " ")
	}
	return b.String()
}

// asked is the chunk that a query is about; each scope has some of them.
func asked(i int) int {
	if i%3 == 0 {
		return i % benchSmall
	}
	return i * 499 % benchChunks
}

// query has four of the words of a chunk, and says which it is.
func (c *corpus) query(i int) string {
	all := strings.Fields(c.text(asked(i)))
	return fmt.Sprintf("%s %s %s %s q%d", all[3], all[17], all[31], all[50], i)
}

// Model implements memory.Embedder.
func (c *corpus) Model() string { return "bench/384" }

// Dimensions implements memory.Embedder.
func (c *corpus) Dimensions() int { return benchDimensions }

// Embed implements memory.Embedder, for queries.
func (c *corpus) Embed(_ context.Context, _ memory.EmbedKind, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i, t := range texts {
		n, err := strconv.Atoi(t[strings.LastIndex(t, "q")+1:])
		if err != nil {
			return nil, err
		}
		out[i] = near(c.vector(asked(n)), uint64(n), 4, 0.5) //nolint:gosec // not negative
	}
	return out, nil
}

func (c *corpus) fill(b *testing.B) {
	b.Helper()
	units, err := c.engine.Units(b.Context(), []store.Unit{
		{Workspace: "main", Reach: memory.Private, Name: "m-small"},
		{Workspace: "main", Reach: memory.Private, Name: "m-fifth"},
		{Workspace: "main", Reach: memory.Workspace},
	}, store.Make)
	if err != nil {
		b.Fatal(err)
	}
	model, err := c.engine.Model(b.Context(), c.Model(), benchDimensions)
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	for at := 0; at < benchChunks; at += benchBatch {
		var rows []store.Row
		for i := at; i < at+benchBatch; i++ {
			unit := units[2].ID
			switch {
			case i < benchSmall:
				unit = units[0].ID
			case i < benchSmall+benchFifth:
				unit = units[1].ID
			}
			body := store.JoinBody("", c.text(i))
			rows = append(rows, store.Row{
				ID: strconv.Itoa(i), Unit: unit, Kind: memory.Note, Label: memory.Trusted, Body: []byte("{}"), At: 1,
				Chunks: []store.Chunk{{Body: body, Words: cut.Split(string(body))}},
			})
		}
		if err := c.engine.Put(b.Context(), rows); err != nil {
			b.Fatal(err)
		}
		c.embed(b, model)
	}
	b.Logf("filled with %.0f chunks/s, without making the vectors", benchChunks/time.Since(began).Seconds())
	if e, ok := c.engine.(interface {
		IndexVectors(ctx context.Context, model store.Model, settled bool) (int, error)
	}); ok {
		began = time.Now()
		made, err := e.IndexVectors(b.Context(), model, true)
		if err != nil {
			b.Fatal(err)
		}
		b.Logf("%d indexes of vectors took %v", made, time.Since(began).Round(time.Second))
	}
}

func (c *corpus) embed(b *testing.B, model store.Model) {
	b.Helper()
	for {
		chunks, err := c.engine.Pending(b.Context(), model, benchBatch)
		if err != nil {
			b.Fatal(err)
		}
		if len(chunks) == 0 {
			return
		}
		var out []store.Vector
		for _, x := range chunks {
			i, err := strconv.Atoi(x.Item.ID)
			if err != nil {
				b.Fatal(err)
			}
			out = append(out, store.Vector{Chunk: x.ID, Values: c.vector(i)})
		}
		if err := c.engine.SetVectors(b.Context(), model, out); err != nil {
			b.Fatal(err)
		}
	}
}

// recall compares what the vectors find with what is nearest.
func (c *corpus) recall(b *testing.B, s *store.Store, by scope.Scope, has func(int) bool) float64 {
	b.Helper()
	const tried = 10
	hit := 0
	for n := range tried {
		v, err := c.Embed(b.Context(), memory.ForQuery, []string{c.query(n)})
		if err != nil {
			b.Fatal(err)
		}
		type scored struct {
			i   int
			dot float64
		}
		var all []scored
		for i := range benchChunks {
			if has(i) {
				all = append(all, scored{i, dot(v[0], c.vector(i))})
			}
		}
		slices.SortFunc(all, func(x, y scored) int { return cmp.Compare(y.dot, x.dot) })
		hits, err := s.Recall(b.Context(), by, memory.Query{Text: c.query(n), Legs: memory.Vectors, Limit: benchTop})
		if err != nil {
			b.Fatal(err)
		}
		for _, a := range all[:benchTop] {
			if slices.ContainsFunc(hits, func(h memory.Hit) bool { return h.ID == strconv.Itoa(a.i) }) {
				hit++
			}
		}
	}
	return float64(hit) / (tried * benchTop)
}

func dot(a, b []float32) (s float64) {
	for i := range a {
		s += float64(a[i] * b[i])
	}
	return s
}

// resident is what this process has in memory, in MB; 0 where that is not known.
func resident() float64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for l := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(l, "VmRSS:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1000
		}
	}
	return 0
}
