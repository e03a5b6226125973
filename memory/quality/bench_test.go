package quality_test

import (
	"flag"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus/sqlite"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/chunk"
	"github.com/gatehouse-chat/gatehouse/memory/embed"
	"github.com/gatehouse-chat/gatehouse/memory/embed/endpoint"
	"github.com/gatehouse-chat/gatehouse/memory/embed/local"
	"github.com/gatehouse-chat/gatehouse/memory/quality"
	memsqlite "github.com/gatehouse-chat/gatehouse/memory/sqlite"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

var (
	sets  = flag.String("sets", "", "folder with the files of the sets")
	from  = flag.String("embedder", "", "address of an endpoint for vectors, such as http://127.0.0.1:11434/v1; empty: what is built in")
	model = flag.String("model", "", "model to ask that endpoint for, one that memory/embed knows")
)

// embedder is what the flags name.
func embedder(b *testing.B) memory.Embedder {
	b.Helper()
	var e memory.Embedder
	var err error
	if *from == "" {
		e, err = local.New()
	} else {
		known, ok := embed.Known(*model)
		if !ok {
			b.Fatalf("-model %q: how long its vectors are is not known", *model)
		}
		e, err = endpoint.New(endpoint.Options{
			Name: "compatible", BaseURL: *from, Model: *model, Client: http.DefaultClient,
			Dimensions: known.Dimensions, Query: known.Query, Passage: known.Passage, Latin: known.Latin,
		})
	}
	if err != nil {
		b.Fatal(err)
	}
	return e
}

// BenchmarkRetrieval measures what the product's own store finds: passages kept
// as documents, cut and embedded as by default, each question asked once by each
// leg and by both. A set is one benchmark; run it with -benchtime 1x.
func BenchmarkRetrieval(b *testing.B) {
	if *sets == "" {
		b.Skip("-sets names no folder; docs/memory-quality.md says how to get the files")
	}
	e := embedder(b)
	for _, set := range quality.Sets() {
		c, err := set.Open(*sets)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(set.Name, func(b *testing.B) {
			for b.Loop() {
				measure(b, e, c)
			}
		})
	}
}

func measure(b *testing.B, e memory.Embedder, c quality.Collection) {
	bus, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "x.db"), sqlite.Options{Exclusive: true})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = bus.Close() }()
	s := store.New(store.Options{Engine: memsqlite.New(bus.DB()), Embedder: e, Cut: chunk.Cutter(chunk.Size{})})
	who := scope.New(scope.Principal{Workspace: "main", Member: "reader", Role: scope.Owner})
	begin := time.Now()
	keep(b, s, who, c)
	p, err := s.Progress(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(p.All)/time.Since(begin).Seconds(), "chunks/s")
	b.ReportMetric(float64(p.All), "chunks")
	b.ReportMetric(float64(len(c.Questions)), "questions")
	byRank := store.New(store.Options{Engine: memsqlite.New(bus.DB()), Embedder: e, ByRank: true})
	for _, leg := range []struct {
		name string
		s    *store.Store
		legs memory.Legs
	}{{"words", s, memory.Words}, {"vectors", s, memory.Vectors}, {"hybrid", s, memory.Hybrid}, {"by-rank", byRank, memory.Hybrid}} {
		ndcg, recall := ask(b, leg.s, who, c, leg.legs)
		b.ReportMetric(ndcg, leg.name+"-ndcg@10")
		b.ReportMetric(recall, leg.name+"-recall@10")
	}
}

// keep puts the passages into the memory, and waits for their vectors.
func keep(b *testing.B, s *store.Store, who scope.Scope, c quality.Collection) {
	var items []memory.Item
	for id, text := range c.Passages {
		if text != "" {
			items = append(items, memory.Item{ID: "p" + id, Reach: memory.Workspace, Kind: memory.Document, Text: text, Label: memory.Trusted})
		}
	}
	slices.SortFunc(items, func(a, b memory.Item) int { return len(a.ID)*1000 - len(b.ID)*1000 + compare(a.ID, b.ID) })
	for some := range slices.Chunk(items, 100) {
		if _, err := s.Remember(b.Context(), who, some...); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Reindex(b.Context(), func(store.Progress) {}); err != nil {
		b.Fatal(err)
	}
}

func compare(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// ask asks all questions. A document stands where its best chunk does.
func ask(b *testing.B, s *store.Store, who scope.Scope, c quality.Collection, legs memory.Legs) (ndcg, recall float64) {
	for _, q := range c.Questions {
		hits, err := s.Recall(b.Context(), who, memory.Query{Text: q.Text, Limit: 3 * quality.Depth, Legs: legs})
		if err != nil {
			b.Fatal(err)
		}
		var ids []string
		for i := range hits {
			if id := hits[i].ID[1:]; !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		ndcg += quality.NDCG(ids, q.Grades)
		recall += quality.Recall(ids, q.Grades)
	}
	n := float64(len(c.Questions))
	return ndcg / n, recall / n
}
