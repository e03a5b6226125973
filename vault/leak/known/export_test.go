package known

import "math/bits"

// What is tested by itself, at its bounds.
var (
	Escape     = escape
	Rewritten  = rewritten
	Wordlike   = wordlike
	Compressed = compressed
	Telling    = telling
)

// Promising reports whether bytes, read as digits of eight bits, hold something
// that is worth to be looked at.
func Promising(plain []byte) bool { return (&search{book: New()}).promising(plain, 8) }

// Filled says how many bits of a book's bitmap there are, how many of them are
// set, and how many windows are known.
func Filled(b *Book) (size, set, windows int) {
	for _, w := range b.bits {
		set += bits.OnesCount64(w)
	}
	return len(b.bits) * 64, set, len(b.known)
}

// Gone is what an escape stands for that stands for nothing.
const Gone = gone

// Cut are the windows of a text, as texts, and whether each is weak.
func Cut(text string, step int, words []bool) (windows []string, weak []bool) {
	for _, w := range cut([]byte(text), step, words) {
		windows, weak = append(windows, string(w.text[:])), append(weak, w.weak)
	}
	return windows, weak
}
