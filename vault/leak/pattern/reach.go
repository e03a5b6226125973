package pattern

import "regexp/syntax"

const (
	maxBefore = 256
	maxAfter  = 4096
	slack     = 4 // for what an expression looks at beside its match
)

// reach is how far a match of an expression can go before and behind any part
// of it, in bytes. What is unbounded is cut off where no key is that long.
func reach(expression string) (before, after int) {
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return maxBefore, maxAfter
	}
	n := longest(parsed.Simplify()) + slack
	return min(n, maxBefore), min(n, maxAfter)
}

// longest is the length of the longest match of a simplified expression, which
// counts no repetitions, at most maxAfter.
func longest(r *syntax.Regexp) int {
	n := 0
	switch r.Op {
	case syntax.OpLiteral:
		n = len(string(r.Rune))
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		n = 1
	case syntax.OpStar, syntax.OpPlus:
		n = maxAfter
	case syntax.OpAlternate:
		for _, sub := range r.Sub {
			n = max(n, longest(sub))
		}
	default: // a group, a sequence, or nothing
		for _, sub := range r.Sub {
			n += longest(sub)
		}
	}
	return min(n, maxAfter)
}
