package porttest

// Unasked is what is chosen of where the system says text of its own ports.
func Unasked(text string) (first, n int) { return unasked(parse(text)) }
