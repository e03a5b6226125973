package image

import (
	"bytes"
	"math/bits"
)

const (
	page = 4096
	// mostOften is how many pages an instance keeps for itself between calls:
	// 1 MiB.
	mostOften = 256
	// shortGap is up to how many pages between two stretches it costs less to copy
	// than to drop.
	shortGap = 8
)

// habits knows which pages the guests of an image usually write: their stack,
// the front of their heap. To copy such a page costs a fraction of what it costs
// to drop it and to take the fault at the next write.
type habits struct {
	looks int    // how many memories were put back
	often []bool // by page
	n     int    // of them
	plan  []stretch
}

// stretch is a part of the memory, in bytes, whose pages are often written, or
// seldom.
type stretch struct {
	from, to int
	often    bool
}

func newHabits(size int) habits {
	return habits{often: make([]bool, (size+page-1)/page), plan: []stretch{{0, size, false}}}
}

// look learns from a memory that was used, ever more seldom: comparing all of it
// costs more than what it saves.
func (h *habits) look(used, content []byte) {
	h.looks++
	if bits.OnesCount(uint(h.looks)) != 1 {
		return
	}
	found := false
	for p := range h.often {
		from, to := p*page, min((p+1)*page, len(content))
		if !h.often[p] && h.n < mostOften && !bytes.Equal(used[from:to], content[from:to]) {
			h.often[p], found = true, true
			h.n++
		}
	}
	if found {
		h.plan = h.stretches(len(content))
	}
}

// stretches divides the memory.
func (h *habits) stretches(size int) []stretch {
	var all []stretch
	for p, often := range h.often {
		to := min((p+1)*page, size)
		if n := len(all); n > 0 && all[n-1].often == often {
			all[n-1].to = to
			continue
		}
		all = append(all, stretch{p * page, to, often})
	}
	return bridge(all)
}

// bridge copies short gaps together with what is around them.
func bridge(all []stretch) []stretch {
	out := all[:1]
	for i, s := range all[1:] {
		last := &out[len(out)-1]
		short := !s.often && s.to-s.from <= shortGap*page && i+2 < len(all)
		if last.often && (s.often || short) {
			last.to = s.to
			continue
		}
		out = append(out, s)
	}
	return out
}
