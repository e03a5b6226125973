package local

import (
	"math"
	"unicode"
)

// grams counts the pieces of words by their hash. Its order is that of the
// hashes, so that the same text gives the same vector, bit by bit.
type grams struct {
	keys    []uint64 // 0: free
	weights []float32
	used    int
}

// What FNV-1a begins with and multiplies by.
const (
	fnvBegin = 14695981039346656037
	fnvPrime = 1099511628211
)

func hash(h uint64, r rune) uint64 {
	for range 3 {
		h = (h ^ uint64(r&0xff)) * fnvPrime
		r >>= 8
	}
	return h
}

// The shortest and the longest pieces of a word, in runes.
const (
	shortest = 3
	longest  = 5
)

// pieces adds a word and its pieces, with marks where it begins and ends.
func (g *grams) pieces(runes []rune, weight float64) {
	at := func(i int) rune {
		switch {
		case i == 0:
			return '<'
		case i > len(runes):
			return '>'
		}
		return runes[i-1]
	}
	n, all := len(runes)+2, 0
	for size := shortest; size <= longest; size++ {
		all += max(0, n-size+1)
	}
	each := float32(weight / math.Sqrt(float64(max(all, 1))))
	whole := hash(fnvBegin, '=')
	for i := range n {
		if i < len(runes) {
			whole = hash(whole, runes[i])
		}
		h := uint64(fnvBegin)
		for size := 1; size <= longest && i+size <= n; size++ {
			if h = hash(h, at(i+size-1)); size >= shortest {
				g.add(h, each)
			}
		}
	}
	g.add(whole, float32(weight))
}

// pairs adds the runes of a script without spaces, and each pair of them. In
// Japanese, hiragana is mostly grammar, and counts less.
func (g *grams) pairs(runes []rune) {
	for i, r := range runes {
		one, two := float32(0.5), float32(1)
		if kana(r) {
			one = 0.1
		}
		h := hash(hash(fnvBegin, '~'), r)
		g.add(h, one)
		if i+1 == len(runes) {
			break
		}
		if unicode.Is(unicode.Hiragana, r) && unicode.Is(unicode.Hiragana, runes[i+1]) {
			two = 0.3
		}
		g.add(hash(h, runes[i+1]), two)
	}
}

func kana(r rune) bool { return 0x3040 <= r && r < 0x3100 }

func (g *grams) add(h uint64, weight float32) {
	if 2*g.used >= len(g.keys) {
		g.grow()
	}
	h = max(h, 1)
	mask := uint64(len(g.keys) - 1) //nolint:gosec // at least 255
	at := h & mask
	for g.keys[at] != 0 && g.keys[at] != h {
		at = (at + 1) & mask
	}
	if g.keys[at] == 0 {
		g.keys[at] = h
		g.used++
	}
	g.weights[at] += weight
}

func (g *grams) grow() {
	old := *g
	size := max(256, 2*len(old.keys))
	*g = grams{keys: make([]uint64, size), weights: make([]float32, size)}
	for i, h := range old.keys {
		if h != 0 {
			g.add(h, old.weights[i])
		}
	}
}

// into adds each piece at two places of v, with a sign: two pieces that meet at
// one place do not meet at the other. What occurs often counts by its root.
func (g *grams) into(v []float32) {
	size := uint64(len(v))
	for i, h := range g.keys {
		if h == 0 {
			continue
		}
		weight := float32(math.Sqrt(float64(g.weights[i])))
		h ^= h >> 29
		h *= 0xbf58476d1ce4e5b9
		h ^= h >> 32
		for range 2 {
			place := h % size
			if h /= size; h&1 == 0 {
				v[place] += weight
			} else {
				v[place] -= weight
			}
			h >>= 1
		}
	}
}
