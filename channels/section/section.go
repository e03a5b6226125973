// Package section reads a channel's own section of the configuration, and lists
// everything that is wrong with it at once.
package section

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/nearest"
)

// Faults are the mistakes in a section. Of each key the first one counts: what
// comes later is often its consequence. The zero value is empty.
type Faults struct{ list []channels.Fault }

// Add notes a mistake; path is the key, with dots between its parts.
func (f *Faults) Add(path, text string) {
	if !slices.ContainsFunc(f.list, func(x channels.Fault) bool { return x.Path == path }) {
		f.list = append(f.list, channels.Fault{Path: path, Text: text})
	}
}

// URL notes a mistake where raw is no address of a server. It returns the
// address without a slash at its end.
func (f *Faults) URL(path, raw, example string) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		f.Add(path, "must be an http or https URL, such as "+example)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		f.Add(path, "must not have a user, a query or a fragment")
	}
	return strings.TrimRight(raw, "/")
}

// List is what was noted, by path; nil when there is nothing.
func (f *Faults) List() []channels.Fault {
	return slices.SortedFunc(slices.Values(f.list), func(a, b channels.Fault) int { return strings.Compare(a.Path, b.Path) })
}

// Refusal is why no channel is opened: the faults of its section, and what else
// stands in the way. It is nil when nothing does.
func Refusal(platform string, id channels.ID, faults []channels.Fault, more ...error) error {
	var errs []error
	for _, f := range faults {
		errs = append(errs, fmt.Errorf("%s %s", f.Path, f.Text))
	}
	if err := errors.Join(append(errs, more...)...); err != nil {
		return fmt.Errorf("%s channel %s: %w", platform, id, err)
	}
	return nil
}

// Read puts the keys of a section where fields, pointers by key, say. Keys that
// it does not know and values that do not fit are noted; a key without a value
// leaves a text as it was. ok is false when cfg is no section at all, and no
// other fault tells more than the one noted.
func Read(cfg json.RawMessage, platform string, fields map[string]any) (f *Faults, ok bool) {
	f = &Faults{}
	var keys map[string]json.RawMessage
	if json.Unmarshal(cfg, &keys) != nil || keys == nil {
		f.Add("", "the section must be a mapping of keys to values")
		return f, false
	}
	for name, value := range keys {
		field, known := fields[name]
		switch _, text := field.(*string); {
		case !known:
			f.Add(name, unknown(name, platform, fields))
		case text && bytes.Equal(value, []byte("null")):
		case bytes.Equal(value, []byte("null")), json.Unmarshal(value, field) != nil:
			f.Add(name, "must be "+wanted(field, value))
		}
	}
	return f, true
}

// wanted is the kind of value that goes into a field.
func wanted(field any, value json.RawMessage) string {
	switch field.(type) {
	case *bool:
		return "true or false"
	case *int:
		return "a whole number"
	case *map[string][]string:
		return "a mapping of texts to lists of texts"
	case *string:
		if value[0] != '{' && value[0] != '[' { // YAML takes 12 for a number and yes for true
			return "a text; put it into quotes"
		}
	}
	return "a text"
}

// unknown names the key that was probably meant.
func unknown(name, platform string, fields map[string]any) string {
	text := fmt.Sprintf("is not a key of a %s channel", platform)
	if best := nearest.Of(name, slices.Collect(maps.Keys(fields)), 2); best != "" {
		text += fmt.Sprintf("; did you mean %s?", best)
	}
	return text
}
