package module

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Fault is something that is wrong with a manifest.
type Fault struct {
	Place string // such as http[0].methods; "": the whole
	Err   error
}

func (f *Fault) Error() string {
	if f.Place == "" {
		return f.Err.Error()
	}
	return f.Place + ": " + f.Err.Error()
}

func (f *Fault) Unwrap() error { return f.Err }

// Line is the line of a manifest's text on which a place begins, counted from 1;
// of what is not there it is that of the nearest around it.
func Line(text []byte, place string) int {
	d := json.NewDecoder(bytes.NewReader(text))
	at := int64(0)
	for _, step := range steps(place) {
		if !enter(d, step) {
			break
		}
		at = d.InputOffset()
	}
	// Behind a key stands a colon, before an element a comma and white space.
	rest := text[min(int(at), len(text)):]
	skipped := len(rest) - len(bytes.TrimLeft(rest, ",: \t\r\n"))
	return 1 + bytes.Count(text[:min(int(at)+skipped, len(text))], []byte("\n"))
}

// steps are the keys and the numbers of a place.
func steps(place string) []any {
	var all []any
	for part := range strings.SplitSeq(place, ".") {
		name, rest, indexed := strings.Cut(part, "[")
		if name != "" {
			all = append(all, name)
		}
		for indexed {
			var digits string
			digits, rest, _ = strings.Cut(rest, "]")
			n, err := strconv.Atoi(digits)
			if err != nil {
				return all
			}
			all = append(all, n)
			_, rest, indexed = strings.Cut(rest, "[")
		}
	}
	return all
}

// enter reads up to where a value of an object or a list begins.
func enter(d *json.Decoder, step any) bool {
	open, err := d.Token()
	if err != nil {
		return false
	}
	var skip json.RawMessage
	switch step := step.(type) {
	case string:
		for open == json.Delim('{') && d.More() {
			key, err := d.Token()
			if err != nil || key == step {
				return err == nil
			}
			if d.Decode(&skip) != nil {
				return false
			}
		}
	case int:
		for i := 0; open == json.Delim('[') && d.More(); i++ {
			if i == step {
				return true
			}
			if d.Decode(&skip) != nil {
				return false
			}
		}
	}
	return false
}

// kindOf says in words what a value of JSON is.
func kindOf(v any) string {
	switch v := v.(type) {
	case string:
		return "a text"
	case bool:
		return fmt.Sprint(v)
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "a number"
}
