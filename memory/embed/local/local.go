// Package local is the embedder that needs no service, no key and no download.
//
// A vector has two parts. The first is what the words mean: the mean of the
// vectors of 40,000 English words, where a rare word counts more than a common
// one. The second is how the text is spelled: its words, their pieces, and in
// Han, kana and hangul its runes and pairs of runes, each hashed to a place. So
// an English question finds what says the same with other words, and in every
// language a word finds its other forms and its misspellings.
//
// It is no neural model, and does not pretend to be one: docs/memory-quality.md
// has what it finds. words.LICENSE says where the words' vectors come from.
package local

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/gatehouse-chat/gatehouse/memory"
)

// name is what the vectors are told apart by. It changes with whatever changes
// a vector: the words, the weights, the hashing.
const name = "local/words-and-spelling/1/384"

// The parts of a vector.
const (
	meaning  = 100
	spelling = 284
	length   = meaning + spelling
)

//go:embed words.bin
var packed string

// Embedder makes vectors out of words and spelling. It is safe for concurrent
// use.
type Embedder struct {
	rank map[string]int // of a word, from 0
	rows string         // of all words, rowSize bytes each
}

var (
	_ memory.Embedder = (*Embedder)(nil)
	_ memory.Weighed  = (*Embedder)(nil)
)

// New reads the words, in some ten milliseconds.
func New() (*Embedder, error) { return parse(packed) }

const (
	magic   = "words/1\n"
	rowSize = 2 + meaning/2 // the upper half of a float32, then four bits a number
)

func parse(s string) (*Embedder, error) {
	s, ok := strings.CutPrefix(s, magic)
	if !ok || len(s) < 12 {
		return nil, errors.New("the words are not in a format that is known")
	}
	var head [3]int
	for i := range head {
		head[i] = int(binary.LittleEndian.Uint32([]byte(s[4*i:])))
	}
	n, dimensions, text := head[0], head[1], head[2]
	if s = s[12:]; dimensions != meaning || len(s) != text+n*rowSize {
		return nil, fmt.Errorf("%d words of %d dimensions do not fill %d bytes", n, dimensions, len(s))
	}
	e := &Embedder{rank: make(map[string]int, n), rows: s[text:]}
	for w := range strings.SplitSeq(s[:text], "\n") {
		e.rank[w] = len(e.rank)
	}
	if len(e.rank) != n {
		return nil, fmt.Errorf("%d words instead of %d", len(e.rank), n)
	}
	return e, nil
}

// Model implements memory.Embedder.
func (*Embedder) Model() string { return name }

// Dimensions implements memory.Embedder.
func (*Embedder) Dimensions() int { return length }

// What the best hit weighs beside the best by words, where those leave all open:
// by a question's spelling alone, which tells little that its words do not, and
// by its meaning. docs/memory-quality.md says on which sets they were chosen.
const (
	weightOfSpelling = 0.4
	weightOfMeaning  = 5
)

// Weight implements memory.Weighed. It lies between the two as far as the words of
// the question have a meaning here, so that it is small outside of English.
func (e *Embedder) Weight(question string) float64 {
	s := sum{e: e, meaning: make([]float32, meaning)}
	each(question, s.add)
	return weightOfSpelling + (weightOfMeaning-weightOfSpelling)*s.known()
}

// Embed implements memory.Embedder. Questions and passages are treated alike.
func (e *Embedder) Embed(ctx context.Context, _ memory.EmbedKind, texts []string) ([][]float32, error) {
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		vectors[i] = e.vector(text)
	}
	return vectors, nil
}

// known is how much of a vector the meaning is where every word is known: the
// share of its squared length. Chosen on the sets for development that
// docs/memory-quality.md names.
const known = 0.4

// vector returns the text's vector, or nil when there is no word in it.
func (e *Embedder) vector(text string) []float32 {
	v := make([]float32, length)
	s := sum{e: e, meaning: v[:meaning]}
	each(text, s.add)
	if s.all == 0 {
		return nil
	}
	s.grams.into(v[meaning:])
	share := known * s.known()
	scale(v[:meaning], share)
	scale(v[meaning:], 1-share)
	turn(v)
	scale(v, 1)
	return v
}

// sum is a vector that grows with each word.
type sum struct {
	e          *Embedder
	meaning    []float32
	grams      grams
	found, all float64 // the weight of the words that have a vector, and of all
}

// known is the share of the words that have a vector, by their weight.
func (s *sum) known() float64 {
	if s.all == 0 {
		return 0
	}
	return s.found / s.all
}

func (s *sum) add(w word) {
	if w.dense {
		s.all += float64(len(w.runes)) / 2
		s.grams.pairs(w.runes)
		return
	}
	rank, ok := s.e.rank[w.text]
	weight := unknown(w.runes)
	if ok {
		weight = frequent(rank)
		s.found += weight
		s.e.addRow(s.meaning, rank, weight)
	}
	s.all += weight
	s.grams.pieces(w.runes, weight)
}

// frequent is the weight of a word of a rank: its smooth inverse frequency, as
// Zipf's law has it.
func frequent(rank int) float64 {
	const smooth, mass = 1e-4, 12.9
	return smooth / (smooth + 1/(float64(rank)+2.7)/mass)
}

// unknown is the weight of a word that is not in the list. A short one is rather
// an article than a name.
func unknown(runes []rune) float64 {
	if len(runes) <= 3 {
		return 0.4
	}
	return 1
}

// addRow adds a word's vector.
func (e *Embedder) addRow(to []float32, rank int, weight float64) {
	row := e.rows[rank*rowSize : (rank+1)*rowSize]
	step := math.Float32frombits(uint32(row[0])<<16|uint32(row[1])<<24) * float32(weight)
	for j := 0; j < meaning; j += 2 {
		both := row[2+j/2]
		to[j] += step * (float32(both&15) - 8)
		to[j+1] += step * (float32(both>>4) - 8)
	}
}

// scale gives v a squared length, unless it is zero.
func scale(v []float32, squared float64) {
	was := 0.0
	for _, x := range v {
		was += float64(x) * float64(x)
	}
	if was == 0 {
		return
	}
	by := float32(math.Sqrt(squared / was))
	for i := range v {
		v[i] *= by
	}
}
