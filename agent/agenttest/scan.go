package agenttest

import (
	"bytes"
	"encoding/json"
	"strings"
)

// A benchmark sends thousands of requests a second to the scripted model on a
// core that it shares with what is measured. So requests are walked, and only
// the few strings that a script looks at are decoded.

// field returns the raw value of a key of the object v, or nil.
func field(v []byte, key string) []byte {
	var found []byte
	members(v, func(k, val []byte) bool {
		if len(k) == len(key)+2 && string(k[1:len(k)-1]) == key {
			found = val
			return false
		}
		return true
	})
	return found
}

// str decodes a JSON string; anything else is "".
func str(v []byte) string {
	if len(v) < 2 || v[0] != '"' {
		return ""
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1])
	}
	var s string
	_ = json.Unmarshal(v, &s)
	return s
}

// texts reads content that is a string, or a list of text blocks.
func texts(v []byte) []string {
	if len(v) == 0 {
		return nil
	}
	if v[0] == '"' {
		return []string{str(v)}
	}
	var out []string
	elements(v, func(b []byte) bool {
		if t := field(b, "text"); t != nil {
			out = append(out, str(t))
		}
		return true
	})
	return out
}

// members calls f with each key (quotes included) and value of an object.
func members(v []byte, f func(key, val []byte) bool) {
	i := open(v, '{')
	if i < 0 {
		return
	}
	for {
		i = blank(v, i)
		if i >= len(v) || v[i] != '"' {
			return
		}
		end := skip(v, i)
		if end < 0 {
			return
		}
		key := v[i:end]
		i = blank(v, end)
		if i >= len(v) || v[i] != ':' {
			return
		}
		i = blank(v, i+1)
		end = skip(v, i)
		if end < 0 || !f(key, v[i:end]) {
			return
		}
		i = blank(v, end)
		if i >= len(v) || v[i] != ',' {
			return
		}
		i++
	}
}

// elements calls f with each value of an array.
func elements(v []byte, f func(val []byte) bool) {
	i := open(v, '[')
	if i < 0 {
		return
	}
	for {
		i = blank(v, i)
		end := skip(v, i)
		if end < 0 || !f(v[i:end]) {
			return
		}
		i = blank(v, end)
		if i >= len(v) || v[i] != ',' {
			return
		}
		i++
	}
}

func open(v []byte, with byte) int {
	i := blank(v, 0)
	if i >= len(v) || v[i] != with {
		return -1
	}
	return i + 1
}

func blank(v []byte, i int) int {
	for i < len(v) && (v[i] == ' ' || v[i] == '\n' || v[i] == '\t' || v[i] == '\r') {
		i++
	}
	return i
}

// skip returns the end of the value that begins at i, or -1.
func skip(v []byte, i int) int {
	if i >= len(v) {
		return -1
	}
	switch v[i] {
	case '"':
		return skipString(v, i)
	case '{', '[':
		return skipNested(v, i)
	}
	from := i
	for i < len(v) && strings.IndexByte(",]} \n\t\r:\"", v[i]) < 0 {
		i++
	}
	if i == from {
		return -1
	}
	return i
}

func skipString(v []byte, i int) int {
	for i++; i < len(v); i++ {
		switch v[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

func skipNested(v []byte, i int) int {
	depth := 0
	for i < len(v) {
		switch v[i] {
		case '"':
			if i = skipString(v, i); i < 0 {
				return -1
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}
