package pattern

import "slices"

// words finds many words in one reading of a text, whatever their case: the
// automaton of Aho and Corasick, with all transitions laid out.
type words struct {
	class   [256]uint8 // of each byte; 0: in no word
	classes int
	next    []uint16 // by state times classes plus class
	ends    [][]int  // by state: the words that end there
	lengths []int
}

func newWords(all []string) *words {
	w := &words{classes: 1}
	for _, word := range all {
		w.lengths = append(w.lengths, len(word))
		for _, c := range []byte(word) {
			if w.class[c] == 0 {
				w.class[c] = uint8(w.classes) //nolint:gosec // no more than there are bytes
				w.classes++
			}
			if c >= 'a' && c <= 'z' {
				w.class[c-'a'+'A'] = w.class[c]
			}
		}
	}
	w.grow()
	for n, word := range all {
		state := 0
		for _, c := range []byte(word) {
			at := state*w.classes + int(w.class[c])
			if w.next[at] == 0 {
				w.next[at] = uint16(w.grow()) //nolint:gosec // a few thousand
			}
			state = int(w.next[at])
		}
		w.ends[state] = append(w.ends[state], n)
	}
	w.link()
	return w
}

// grow adds a state and returns its number.
func (w *words) grow() int {
	w.next = append(w.next, make([]uint16, w.classes)...)
	w.ends = append(w.ends, nil)
	return len(w.ends) - 1
}

// link fills in where to go on when a word breaks off: at the longest end of
// what was read that begins a word.
func (w *words) link() {
	back := make([]int, len(w.ends))
	var queue []int
	for c := range w.classes {
		if s := int(w.next[c]); s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		state := queue[0]
		queue = queue[1:]
		w.ends[state] = slices.Concat(w.ends[state], w.ends[back[state]])
		for c := range w.classes {
			at := state*w.classes + c
			otherwise := w.next[back[state]*w.classes+c]
			if w.next[at] == 0 {
				w.next[at] = otherwise
				continue
			}
			back[w.next[at]] = int(otherwise)
			queue = append(queue, int(w.next[at]))
		}
	}
}

func (w *words) length(word int) int { return w.lengths[word] }

// find calls f with each word that stands in text, and where it ends.
func (w *words) find(text []byte, f func(word, end int)) {
	state := 0
	for i, c := range text {
		state = int(w.next[state*w.classes+int(w.class[c])])
		for _, word := range w.ends[state] {
			f(word, i+1)
		}
	}
}
