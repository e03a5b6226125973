package rank_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/memory/internal/rank"
)

func order(all []rank.Fused) (ids []int64) {
	for _, f := range all {
		ids = append(ids, f.Chunk)
	}
	return ids
}

func TestBlend(t *testing.T) {
	words := func(covered float64) []rank.Scored {
		return []rank.Scored{{Chunk: 1, Score: 9, Covered: covered}, {Chunk: 2, Score: 8.5, Covered: covered}, {Chunk: 3, Score: 2, Covered: 0.1}}
	}
	// ten hits by words, the last of which has a score that says how flat they are
	ten := func(last, covered float64) (all []rank.Scored) {
		for i := range int64(9) {
			all = append(all, rank.Scored{Chunk: 10 + i, Score: 10, Covered: covered})
		}
		return append(all, rank.Scored{Chunk: 2, Score: last, Covered: covered})
	}
	vectors := []rank.Scored{{Chunk: 4, Score: 0.9}, {Chunk: 2, Score: 0.8}, {Chunk: 5, Score: 0.1}}
	for _, c := range []struct {
		name           string
		words, vectors []rank.Scored
		want           []int64 // as far as it matters
	}{
		{"words that cover the query lead", words(0.9), vectors, []int64{1, 2, 3, 4, 5}},
		{"words that cover half of it lead, and what is near moves up", words(0.5), vectors, []int64{2, 1, 4, 3, 5}},
		{"words that cover little give way", words(0.1), vectors, []int64{2, 4, 1, 3, 5}},
		{"words that cover all decide", words(1), vectors, []int64{1, 2, 3, 4, 5}},
		{"one hit that covers half stays first", words(0.5)[:1], vectors, []int64{1, 4, 2, 5}},
		{"flat hits by words give way", ten(9.5, 0.5), vectors, []int64{2, 4}},
		{"steep hits by words lead", ten(3, 0.5), vectors, []int64{18, 17}},
		{"flat hits that cover the query lead", ten(9.5, 0.99), vectors, []int64{18, 17}},
		{"no word", nil, vectors, []int64{4, 2, 5}},
		{"no vector", words(0.9), nil, []int64{1, 2, 3}},
		{"one vector", nil, vectors[:1], []int64{4}},
		{"nothing", nil, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := order(rank.Blend(c.words, c.vectors, 4))
			if diff := cmp.Diff(c.want, got[:min(len(c.want), len(got))]); diff != "" {
				t.Error(diff)
			}
		})
	}
	hit := rank.Blend(words(0.1), vectors, 4)[0]
	if hit.Words.Rank != 2 || hit.Words.Score != 8.5 || hit.Vector.Rank != 2 || hit.Vector.Score != 0.8 {
		t.Errorf("the legs do not say why: %+v", hit)
	}
}

// Whatever the scores are, nothing is lost or found twice, a leg alone keeps its
// order, words that cover the whole query keep theirs, and what is the best by
// both legs is the best.
func TestBlendKeepsOrder(t *testing.T) {
	list := func(t *rapid.T, name string) []rank.Scored {
		chunks := rapid.SliceOfNDistinct(rapid.Int64Range(1, 60), 0, 30, rapid.ID[int64]).Draw(t, name)
		out := make([]rank.Scored, 0, len(chunks))
		for _, c := range chunks {
			out = append(out, rank.Scored{
				Chunk: c, Score: float64(rapid.IntRange(1, 1000).Draw(t, "score")),
				Covered: float64(rapid.IntRange(1, 100).Draw(t, "covered")) / 100,
			})
		}
		rank.Order(out)
		return out
	}
	ids := func(all []rank.Scored) (out []int64) {
		for _, s := range all {
			out = append(out, s.Chunk)
		}
		return out
	}
	rapid.Check(t, func(t *rapid.T) {
		words, vectors := list(t, "words"), list(t, "vectors")
		weight := rapid.Float64Range(0.01, 10).Draw(t, "weight")
		if diff := cmp.Diff(ids(words), order(rank.Blend(words, nil, weight))); diff != "" {
			t.Errorf("words alone: %s", diff)
		}
		if diff := cmp.Diff(ids(vectors), order(rank.Blend(nil, vectors, weight))); diff != "" {
			t.Errorf("vectors alone: %s", diff)
		}
		got := order(rank.Blend(words, vectors, weight))
		all := slices.Concat(ids(words), ids(vectors))
		slices.Sort(all)
		sorted := slices.Sorted(slices.Values(got))
		if diff := cmp.Diff(slices.Compact(all), sorted, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("both have other chunks: %s", diff)
		}
		if len(words) > 0 && len(vectors) > 0 && words[0].Chunk == vectors[0].Chunk && got[0] != words[0].Chunk &&
			(len(words) == 1 || words[1].Score < words[0].Score) {
			t.Errorf("%d is the best by both, and %d leads", words[0].Chunk, got[0])
		}
		if len(words) > 0 {
			words[0].Covered = 1
			best := rank.Blend(words, vectors, weight)[0]
			if best.Words.Score != words[0].Score {
				t.Errorf("the words cover all, and %d leads with %v of %v", best.Chunk, best.Words.Score, words[0].Score)
			}
		}
	})
}

func TestFuseByRank(t *testing.T) {
	words := []rank.Scored{{Chunk: 1, Score: 100}, {Chunk: 2, Score: 1}, {Chunk: 3, Score: 0.5}}
	vectors := []rank.Scored{{Chunk: 3, Score: 0.9}, {Chunk: 2, Score: 0.2}}
	if diff := cmp.Diff([]int64{3, 2, 1}, order(rank.Fuse(words, vectors))); diff != "" {
		t.Error(diff)
	}
}
