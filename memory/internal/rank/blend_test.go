package rank_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

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
	vectors := []rank.Scored{{Chunk: 4, Score: 0.9}, {Chunk: 2, Score: 0.8}, {Chunk: 5, Score: 0.1}}
	for _, c := range []struct {
		name           string
		words, vectors []rank.Scored
		want           []int64
	}{
		{"words that cover the query lead, and what is near moves up", words(0.9), vectors, []int64{2, 1, 3, 4, 5}},
		{"words that cover little give way", words(0.1), vectors, []int64{2, 4, 1, 3, 5}},
		{"no word", nil, vectors, []int64{4, 2, 5}},
		{"no vector", words(0.9), nil, []int64{1, 2, 3}},
		{"one vector", nil, vectors[:1], []int64{4}},
		{"nothing", nil, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, order(rank.Blend(c.words, c.vectors, 0.08))); diff != "" {
				t.Error(diff)
			}
		})
	}
	hit := rank.Blend(words(0.9), vectors, 0.08)[0]
	if hit.Words.Rank != 2 || hit.Words.Score != 8.5 || hit.Vector.Rank != 2 || hit.Vector.Score != 0.8 {
		t.Errorf("the legs do not say why: %+v", hit)
	}
}

func TestFuseByRank(t *testing.T) {
	words := []rank.Scored{{Chunk: 1, Score: 100}, {Chunk: 2, Score: 1}, {Chunk: 3, Score: 0.5}}
	vectors := []rank.Scored{{Chunk: 3, Score: 0.9}, {Chunk: 2, Score: 0.2}}
	if diff := cmp.Diff([]int64{3, 2, 1}, order(rank.Fuse(words, vectors))); diff != "" {
		t.Error(diff)
	}
}
