package project

import (
	"path"
	"strconv"
	"strings"
)

// sourceMap tells which places of the sources a bundled script was made from, in
// the third version of the format that bundlers write.
type sourceMap struct {
	Sources  []string `json:"sources"`
	Mappings string   `json:"mappings"`
}

// place is where a line and a column of the script, both counted from 1, come
// from: "main.ts:12"; "" when the map does not say.
func (m sourceMap) place(line, column int) string {
	var source, from int // as the format has them: relative to the ones before
	at := ""
	for i, group := range strings.Split(m.Mappings, ";") {
		to := 0
		for _, segment := range strings.Split(group, ",") {
			n := digits(segment)
			if len(n) < 4 {
				if len(n) > 0 {
					to += n[0]
				}
				continue
			}
			to, source, from = to+n[0], source+n[1], from+n[2]
			if i == line-1 && (at == "" || to < column) && source >= 0 && source < len(m.Sources) {
				at = strings.TrimPrefix(path.Clean(m.Sources[source]), "../") + ":" + strconv.Itoa(from+1)
			}
		}
		if i >= line-1 {
			break
		}
	}
	return at
}

// digits reads the numbers of a segment: base 64, five bits each, the lowest bit
// of the first for the sign.
func digits(segment string) (out []int) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	value, shift := 0, 0
	for _, c := range segment {
		d := strings.IndexRune(alphabet, c)
		if d < 0 || shift > 30 {
			return nil
		}
		value |= (d & 31) << shift
		if shift += 5; d&32 != 0 {
			continue
		}
		if value&1 != 0 {
			out = append(out, -(value >> 1))
		} else {
			out = append(out, value>>1)
		}
		value, shift = 0, 0
	}
	return out
}
