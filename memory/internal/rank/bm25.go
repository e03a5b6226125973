// Package rank orders what was found.
package rank

import "math"

// The constants of BM25, as the field uses them for short passages.
const (
	k1 = 1.2
	b  = 0.75
)

// Stats describe what is searched: the chunks of a scope and nothing else.
type Stats struct {
	Chunks int64
	Words  int64 // in all chunks together
}

// IDF is the weight of a word that df chunks have.
func (s Stats) IDF(df int) float64 {
	n := float64(max(s.Chunks, int64(df)))
	return math.Log(1 + (n-float64(df)+0.5)/(float64(df)+0.5))
}

// BM25 scores the words of a chunk, and says which share of the query's weight it
// covers. idf has the query's words.
func (s Stats) BM25(words []string, idf map[string]float64) (score, covered float64) {
	average := 1.0
	if s.Chunks > 0 && s.Words > 0 {
		average = float64(s.Words) / float64(s.Chunks)
	}
	tf := make(map[string]int, len(idf))
	for _, w := range words {
		if _, ok := idf[w]; ok {
			tf[w]++
		}
	}
	norm := k1 * (1 - b + b*float64(len(words))/average)
	whole := 0.0
	for w, weight := range idf {
		whole += weight
		if n := float64(tf[w]); n > 0 {
			score += weight * n * (k1 + 1) / (n + norm)
			covered += weight
		}
	}
	if whole > 0 {
		covered /= whole
	}
	return score, covered
}
