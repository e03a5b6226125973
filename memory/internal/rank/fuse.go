package rank

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/gatehouse-chat/gatehouse/memory"
)

// constant is the k of reciprocal rank fusion.
const constant = 60

// Scored is a chunk as one leg found it.
type Scored struct {
	Chunk   int64
	Score   float64
	Covered float64 // by words: the share of the query's weight that the chunk has
}

// Order sorts by score, the best first; equals by their number, so that the
// same question has the same answer.
func Order(all []Scored) {
	slices.SortFunc(all, func(a, b Scored) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.Chunk, a.Chunk))
	})
}

// Fused is a chunk and what each leg says of it.
type Fused struct {
	Chunk  int64
	Score  float64
	Words  memory.Leg
	Vector memory.Leg
}

// Fuse joins two lists, each with its best first, by reciprocal rank.
func Fuse(words, vectors []Scored) []Fused {
	byRank := func(i int, _ float64) float64 { return 1 / float64(constant+i+1) }
	return join(words, vectors, byRank, byRank)
}

// leading is how many hits by words are looked at for what the vectors weigh.
const leading = 10

// Blend joins two lists, each with its best first, by their scores: those by
// words relative to the best of them, those by vectors between the last and the
// best, times what they weigh. weight is that where the words leave all open.
// Ranks would throw away how far the best is ahead, which is all that words have
// against an embedder that knows less than they do.
func Blend(words, vectors []Scored, weight float64) []Fused {
	covered, most := 0.0, 0.0
	for _, s := range words[:min(leading, len(words))] {
		covered, most = max(covered, s.Covered), max(most, s.Score)
	}
	weight *= open(words, covered)
	low, high := 0.0, 0.0
	if n := len(vectors); n > 0 {
		low, high = vectors[n-1].Score, vectors[0].Score
	}
	return join(words, vectors,
		func(_ int, score float64) float64 { return score / max(most, math.SmallestNonzeroFloat64) },
		func(_ int, score float64) float64 {
			if high <= low {
				return weight
			}
			return weight * (score - low) / (high - low)
		})
}

// open is how much the words leave open, from 0 to 1: they do where they have
// little of the query, and where many hits are about as good as the best. Among
// fewer than ten hits nothing tells how flat a longer list would be; what is
// missing of the query stands for it.
func open(words []Scored, covered float64) float64 {
	missing := max(0, 1-covered)
	flat := missing
	if len(words) >= leading {
		flat = words[leading-1].Score / max(words[0].Score, math.SmallestNonzeroFloat64)
	}
	return flat * flat * flat * missing
}

// join adds up what two lists say of a chunk.
func join(words, vectors []Scored, byWords, byVector func(i int, score float64) float64) []Fused {
	at := make(map[int64]int, len(words)+len(vectors))
	out := make([]Fused, 0, len(words)+len(vectors))
	take := func(list []Scored, worth func(int, float64) float64, leg func(*Fused) *memory.Leg) {
		for i, s := range list {
			j, ok := at[s.Chunk]
			if !ok {
				j = len(out)
				at[s.Chunk] = j
				out = append(out, Fused{Chunk: s.Chunk})
			}
			out[j].Score += worth(i, s.Score)
			*leg(&out[j]) = memory.Leg{Rank: i + 1, Score: s.Score}
		}
	}
	take(words, byWords, func(f *Fused) *memory.Leg { return &f.Words })
	take(vectors, byVector, func(f *Fused) *memory.Leg { return &f.Vector })
	slices.SortFunc(out, func(a, b Fused) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.Vector.Score, a.Vector.Score), cmp.Compare(b.Chunk, a.Chunk))
	})
	return out
}

// Decay is the factor of a score at an age: one half at the half-life.
func Decay(age, half time.Duration) float64 {
	if half <= 0 || age <= 0 {
		return 1
	}
	return math.Exp2(-float64(age) / float64(half))
}

// Diverse picks n of the hits, the best first, and holds back those that say what
// a picked one says. strength is in [0, 1]; words gives the words of a hit.
func Diverse(hits []memory.Hit, n int, strength float64, words func(*memory.Hit) []string) []memory.Hit {
	if strength <= 0 || len(hits) <= 1 {
		return hits[:min(n, len(hits))]
	}
	sets := make([]map[string]bool, len(hits))
	for i := range hits {
		sets[i] = map[string]bool{}
		for _, w := range words(&hits[i]) {
			sets[i][w] = true
		}
	}
	nearest := make([]float64, len(hits)) // to what is picked
	picked := make([]bool, len(hits))
	var out []memory.Hit
	for len(out) < min(n, len(hits)) {
		best, most := -1, math.Inf(-1)
		for i := range hits {
			if v := hits[i].Score * (1 - min(strength, 1)*nearest[i]); !picked[i] && v > most {
				best, most = i, v
			}
		}
		picked[best] = true
		out = append(out, hits[best])
		for i := range hits {
			nearest[i] = max(nearest[i], alike(sets[i], sets[best]))
		}
	}
	return out
}

// alike is the share of words that two texts have in common.
func alike(a, b map[string]bool) float64 {
	both := 0
	for w := range a {
		if b[w] {
			both++
		}
	}
	if all := len(a) + len(b) - both; all > 0 {
		return float64(both) / float64(all)
	}
	return 0
}
