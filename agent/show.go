package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

// Of arguments that are longer, a person is shown the beginning and the end, in
// runes. What is left out is counted.
const (
	shownHead = 1200
	shownTail = 400
)

// Show writes arguments in one line for a person who decides on them. Control,
// bidirectional and invisible characters are escaped, so that what is read is
// what will be used.
func Show(args json.RawMessage) string {
	var compact bytes.Buffer
	if json.Compact(&compact, args) != nil {
		compact.Reset()
		compact.Write(args)
	}
	var b strings.Builder
	for _, x := range compact.String() {
		if visible(x) {
			b.WriteRune(x)
		} else {
			fmt.Fprintf(&b, "\\u{%x}", x)
		}
	}
	all := []rune(b.String())
	if len(all) <= shownHead+shownTail {
		return string(all)
	}
	return fmt.Sprintf("%s … (%d more characters) … %s",
		string(all[:shownHead]), len(all)-shownHead-shownTail, string(all[len(all)-shownTail:]))
}

// visible reports whether a character shows as itself, and nothing else with it.
func visible(x rune) bool {
	return unicode.IsPrint(x) && !unicode.In(x, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) && x != blankBraille
}

// blankBraille prints as nothing, though it is a symbol.
const blankBraille = '\u2800'
