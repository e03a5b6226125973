package main

import (
	"regexp"
	"strings"

	"github.com/rivo/uniseg"
)

// style is what switches a look on or off; it takes no room.
var style = regexp.MustCompile("\x1b\\[[0-9;]*m")

// wrap breaks text into rows of at most width columns, between words where it
// can. Styles pass through.
func wrap(text string, width int) []string {
	var rows []string
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\t", "    "), "\n") {
		rows = append(rows, wrapLine(line, width)...)
	}
	return rows
}

func wrapLine(line string, width int) []string {
	if len(line) <= width {
		return []string{line} // no character is wider than its bytes
	}
	var rows []string
	var row strings.Builder
	used, space := 0, -1 // columns; where the last space of the row ends, in bytes
	flush := func(keep string) {
		rows = append(rows, strings.TrimRight(row.String(), " "))
		row.Reset()
		row.WriteString(keep)
		used, space = columns(keep), -1
	}
	for line != "" {
		if at := style.FindStringIndex(line); len(at) > 0 && at[0] == 0 {
			row.WriteString(line[:at[1]])
			line = line[at[1]:]
			continue
		}
		cluster, rest, w, _ := uniseg.FirstGraphemeClusterInString(line, -1)
		line = rest
		broken := false
		for used+w > width && used > 0 {
			broken = true
			if space > 0 && cluster != " " {
				text := row.String()
				row.Reset()
				row.WriteString(text[:space])
				flush(text[space:])
			} else {
				flush("")
			}
		}
		if broken && cluster == " " {
			continue // the break stands for it
		}
		row.WriteString(cluster)
		used += w
		if cluster == " " {
			space = row.Len()
		}
	}
	return append(rows, row.String())
}

// columns is how much room a text takes.
func columns(s string) int { return uniseg.StringWidth(style.ReplaceAllString(s, "")) }
