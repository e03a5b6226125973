package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// ErrManual: the file is written in a way that cannot be edited safely; the
// error's text holds what a person has to add.
var ErrManual = errors.New("please edit the file yourself")

// Edit sets one entry, at path [section, name], in the text of a configuration
// and leaves everything else as it is, comments and order included. A path of
// [section] alone is the section as a whole. A nil value removes the entry.
func Edit(text []byte, path []string, value any) ([]byte, error) {
	if len(path) == 1 {
		return editSection(text, path[0], value)
	}
	section, name := path[0], path[1]
	if !validName(name) {
		return nil, fmt.Errorf("%q is not a name: it has 1 to 40 letters, digits, - or _", name)
	}
	before, err := decode(text)
	if err != nil {
		return nil, err
	}
	entry, err := yaml.Marshal(map[string]any{name: value})
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", strings.Join(path, "."), err)
	}
	lines := newLines(text)
	var out []string
	at := lines.find(0, len(lines), 0, section)
	switch {
	case at < 0 && value == nil:
		return text, nil
	case at < 0:
		out = append(lines.trimmed(), section+":")
		out = append(out, indented(entry, 2)...)
	default:
		if out, err = lines.within(at, name, entry, value == nil); err != nil {
			return nil, fmt.Errorf("%w: under %q put\n%s", err, section, entry)
		}
	}
	edited := []byte(strings.Join(out, "\n") + "\n")
	after, err := decode(edited)
	if err != nil || !reflect.DeepEqual(after, expected(before, section, name, entry, value == nil)) {
		return nil, fmt.Errorf("%w: under %q put\n%s", ErrManual, section, entry)
	}
	return edited, nil
}

// editSection replaces, adds or removes a whole section.
func editSection(text []byte, name string, value any) ([]byte, error) {
	before, err := decode(text)
	if err != nil {
		return nil, err
	}
	if _, there := before[name]; !there && value == nil {
		return text, nil
	}
	entry, err := yaml.Marshal(map[string]any{name: value})
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	lines, added := newLines(text), newLines(entry)
	if value == nil {
		added = nil
		delete(before, name)
	} else {
		var e map[string]any
		_ = yaml.Unmarshal(entry, &e) // it was marshalled right before
		before[name] = e[name]
	}
	out := append(lines.trimmed(), added...)
	if at := lines.find(0, len(lines), 0, name); at >= 0 {
		out = slices.Concat(lines[:at], added, lines[lines.end(at, 0):])
	}
	edited := []byte(strings.TrimLeft(strings.Join(out, "\n")+"\n", "\n"))
	after, err := decode(edited)
	if err != nil || !reflect.DeepEqual(after, before) {
		return nil, fmt.Errorf("%w: at the outermost level put\n%s", ErrManual, entry)
	}
	return edited, nil
}

func decode(text []byte) (map[string]any, error) {
	m := map[string]any{}
	if err := yaml.Unmarshal(text, &m); err != nil {
		return nil, errors.New("the configuration is not valid YAML; see gatehouse config check")
	}
	if m == nil {
		m = map[string]any{}
	}
	return m, nil
}

// expected is what the file should say after an edit.
func expected(m map[string]any, section, name string, entry []byte, remove bool) map[string]any {
	s, ok := m[section].(map[string]any)
	if !ok {
		s = map[string]any{}
	}
	delete(s, name)
	if !remove {
		var e map[string]any
		_ = yaml.Unmarshal(entry, &e) // it was marshalled right before
		s[name] = e[name]
	}
	m[section] = s
	if len(s) == 0 {
		m[section] = nil
	}
	return m
}

type lines []string

func newLines(text []byte) lines {
	s := strings.TrimRight(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// trimmed ends with one empty line, unless there is nothing.
func (l lines) trimmed() []string {
	if len(l) == 0 {
		return nil
	}
	return append(append([]string{}, l...), "")
}

func indentOf(s string) int { return len(s) - len(strings.TrimLeft(s, " ")) }

func content(s string) bool {
	t := strings.TrimSpace(s)
	return t != "" && !strings.HasPrefix(t, "#")
}

// find returns the line in [from, to) that holds the key at this indent.
func (l lines) find(from, to, indent int, key string) int {
	for i := from; i < to; i++ {
		if !content(l[i]) || indentOf(l[i]) != indent {
			continue
		}
		k, _, ok := strings.Cut(strings.TrimSpace(l[i]), ":")
		if ok && strings.Trim(k, `"'`) == key {
			return i
		}
	}
	return -1
}

// end returns the line after the last one that belongs to the block whose key
// stands on line at.
func (l lines) end(at, indent int) int {
	last := at
	for i := at + 1; i < len(l); i++ {
		if !content(l[i]) {
			continue
		}
		if indentOf(l[i]) <= indent {
			break
		}
		last = i
	}
	return last + 1
}

// within replaces, adds or removes an entry of the section on line at.
func (l lines) within(at int, name string, entry []byte, remove bool) ([]string, error) {
	_, rest, _ := strings.Cut(l[at], ":")
	rest, _, _ = strings.Cut(rest, "#")
	if t := strings.TrimSpace(rest); t != "" && t != "{}" {
		return nil, ErrManual
	}
	end := l.end(at, 0)
	indent := 2
	for _, s := range l[at+1 : end] {
		if content(s) {
			indent = indentOf(s)
			break
		}
	}
	head := append([]string{}, l[:at]...)
	head = append(head, strings.Replace(l[at], ": {}", ":", 1))
	from, to := end, end
	if i := l.find(at+1, end, indent, name); i >= 0 {
		from, to = i, l.end(i, indent)
	}
	head = append(head, l[at+1:from]...)
	if !remove {
		head = append(head, indented(entry, indent)...)
	}
	return append(head, l[to:]...), nil
}

func indented(text []byte, n int) []string {
	var out []string
	for _, s := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
		out = append(out, strings.Repeat(" ", n)+s)
	}
	return out
}

// Replace puts text in the place of a file, whole or not at all, and makes its
// folder when there is none. The file's mode stays; a new one is this user's.
func Replace(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the configuration's folder: %w", err)
	}
	mode := fs.FileMode(0o600)
	if i, err := os.Stat(path); err == nil {
		mode = i.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".gatehouse-*.yaml")
	if err != nil {
		return fmt.Errorf("write the configuration %s: %w; add this yourself:\n%s", path, err, text)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone already when all went well
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write the configuration %s: %w", path, err)
	}
	return nil
}
