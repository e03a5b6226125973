// Package quality measures what memory finds, on public collections of
// questions and of the passages that answer them. Nobody here wrote a question
// or said what answers it.
//
// The collections are not part of this repository. docs/memory-quality.md says
// how to get them and has what was measured; the benchmark of this package
// measures it again.
package quality

import "math"

// Depth is how many hits a question is judged by.
const Depth = 10

// Grades say how well passages answer a question, by the passage's id; what is
// not there does not answer it.
type Grades map[string]float64

// NDCG is the normalised discounted cumulative gain of the first ten hits: 1 for
// the best order that there is, less for each that is missing or late.
func NDCG(hits []string, g Grades) float64 {
	best := make([]float64, 0, len(g))
	for _, grade := range g {
		if grade > 0 {
			best = append(best, grade)
		}
	}
	// The best are few: selection is enough.
	ideal := 0.0
	for i := range min(Depth, len(best)) {
		for j := i + 1; j < len(best); j++ {
			if best[j] > best[i] {
				best[i], best[j] = best[j], best[i]
			}
		}
		ideal += discounted(best[i], i)
	}
	if ideal == 0 {
		return 0
	}
	gain := 0.0
	for i, id := range hits[:min(Depth, len(hits))] {
		gain += discounted(g[id], i)
	}
	return gain / ideal
}

func discounted(grade float64, place int) float64 { return grade / math.Log2(float64(place)+2) }

// Recall is the share of what answers a question that is among the first ten
// hits.
func Recall(hits []string, g Grades) float64 {
	all, found := 0, 0
	for _, grade := range g {
		if grade > 0 {
			all++
		}
	}
	for _, id := range hits[:min(Depth, len(hits))] {
		if g[id] > 0 {
			found++
		}
	}
	if all == 0 {
		return 0
	}
	return float64(found) / float64(all)
}
