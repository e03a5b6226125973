package known

// What is tested by itself, at its bounds.
var (
	Escape     = escape
	Rewritten  = rewritten
	Wordlike   = wordlike
	Compressed = compressed
	Telling    = telling
)

// Gone is what an escape stands for that stands for nothing.
const Gone = gone

// Cut are the windows of a text, as texts, and whether each is weak.
func Cut(text string, step int, words []bool) (windows []string, weak []bool) {
	for _, w := range cut([]byte(text), step, words) {
		windows, weak = append(windows, string(w.text[:])), append(weak, w.weak)
	}
	return windows, weak
}
