// Package nearest finds the word that a mistyped one probably meant.
package nearest

import "slices"

// longest bounds what is compared, in bytes: no key or name is longer, and the
// work grows with the product of both lengths.
const longest = 64

// Of returns the known word with the fewest changes from word, if these are at
// most most; "" otherwise. Of several it returns the first in the alphabet.
func Of(word string, known []string, most int) string {
	best, least := "", most+1
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := Distance(word, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// Distance is how many bytes have to be put in, taken out or changed to make
// one word of the other (Levenshtein). A word of more than 64 bytes is as far
// from every other as it is long.
func Distance(a, b string) int {
	if max(len(a), len(b)) > longest {
		return max(len(a), len(b))
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := last
			if a[i] != b[j] {
				change++
			}
			last = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
