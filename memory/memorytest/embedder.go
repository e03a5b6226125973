package memorytest

import (
	"context"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/gatehouse-chat/gatehouse/memory"
)

// Embedder is an embedder for tests: a text's vector is the sum of its words',
// and words of one meaning have one vector.
type Embedder struct {
	Name  string
	Size  int               // dimensions; 0: 64
	Means map[string]string // word -> the word that it stands for
	Fail  atomic.Bool       // Embed fails
	Texts atomic.Int64      // passages that were embedded
}

var _ memory.Embedder = (*Embedder)(nil)

// Meanings are those of the suite.
func Meanings() map[string]string {
	return map[string]string{
		"automobile": "car", "vehicle": "car", "physician": "doctor", "medic": "doctor", "feline": "cat", "kitten": "cat",
	}
}

// Model implements memory.Embedder.
func (e *Embedder) Model() string { return e.Name + "/" + strconv.Itoa(e.Dimensions()) }

// Dimensions implements memory.Embedder.
func (e *Embedder) Dimensions() int {
	if e.Size == 0 {
		return 64
	}
	return e.Size
}

type constError string

func (e constError) Error() string { return string(e) }

// ErrDown is what a failing embedder returns.
const ErrDown = constError("the embedder is down")

// Embed implements memory.Embedder.
func (e *Embedder) Embed(ctx context.Context, kind memory.EmbedKind, texts []string) ([][]float32, error) {
	if e.Fail.Load() {
		return nil, ErrDown
	}
	if kind == memory.ForPassage {
		e.Texts.Add(int64(len(texts)))
	}
	out := make([][]float32, len(texts))
	for i, t := range texts {
		out[i] = e.vector(t)
	}
	return out, ctx.Err()
}

func (e *Embedder) vector(text string) []float32 {
	sum := make([]float64, e.Dimensions())
	known := false
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(c rune) bool { return c < 'a' || c > 'z' }) {
		if m := e.Means[w]; m != "" {
			w = m
		}
		h := fnv.New64a()
		_, _ = h.Write([]byte(e.Name + w))
		r := rand.New(rand.NewPCG(h.Sum64(), 1)) //nolint:gosec // the same for the same word
		for i := range sum {
			sum[i] += r.NormFloat64()
		}
		known = true
	}
	if !known {
		return nil
	}
	return unit(sum)
}

func unit(v []float64) []float32 {
	square := 0.0
	for _, x := range v {
		square += x * x
	}
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(x / math.Sqrt(square))
	}
	return out
}
