package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Adapters checks what belongs to adapters; the drivers stand behind it.
type Adapters interface {
	// Names lists the adapters there are.
	Names() []string
	// Check lists the mistakes in a section; paths are within it.
	Check(adapter string, section json.RawMessage) []Fault
	// DM is the policy of direct chats that a section without one has; "": the
	// usual one.
	DM(adapter string) string
}

// Options say what a configuration is read with.
type Options struct {
	Adapters  Adapters
	Providers []string                         // the kinds of model provider; empty: any
	Tools     []string                         // the tools that there are; empty: any
	Embedder  func(Memory) error               // what does not fit in an embedder that asks an endpoint; nil: nothing is checked
	Getenv    func(name string) (string, bool) // nil: nothing is set
	Strict    bool                             // fault what is allowed but unwise, as well
	Override  func(*Config)                    // the environment's and the flags' values, applied over the file's
}

// maxFile bounds a configuration; a real one has a few kilobytes.
const maxFile = 4 << 20

// Parse reads a configuration. The faults include warnings; the Config is
// usable when Errors is empty.
func Parse(text []byte, o Options) (Config, Faults) {
	c := Default()
	if len(text) > maxFile {
		return c, Faults{{Text: fmt.Sprintf("the file has %d bytes; %d are the limit", len(text), maxFile)}}
	}
	if o.Getenv == nil {
		o.Getenv = func(string) (string, bool) { return "", false }
	}
	r := &reader{o: o, lines: map[string]int{}}
	root := r.file(text)
	if root != nil {
		r.into(reflect.ValueOf(&c).Elem(), root, "")
	}
	if o.Override != nil {
		o.Override(&c)
	}
	c.Data, c.Key = home(c.Data), c.Key.filled(Default().Key.Path)
	if c.KeyFrom.Set() {
		c.KeyFrom = c.KeyFrom.filled(Default().Key.Path)
	}
	c.Policy = home(c.Policy)
	c.TLS.Cert, c.TLS.Key = home(c.TLS.Cert), home(c.TLS.Key)
	r.check(&c)
	if o.Strict || c.Vault.Strict {
		r.secretsByReference(&c)
	}
	if o.Strict {
		r.closed(&c)
	}
	return c, r.faults.sorted()
}

// reader walks the YAML tree beside the structs that it fills.
type reader struct {
	o      Options
	faults Faults
	lines  map[string]int // where each path stands, for what is checked afterwards
}

// line finds the line of a path, or of what it stands in.
func (r *reader) line(path string) int {
	for path != "" {
		if n, ok := r.lines[path]; ok {
			return n
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return 0
}

func (r *reader) fault(n ast.Node, path, format string, args ...any) {
	line := lineOf(n)
	if line == 0 {
		line = r.line(path)
	}
	r.faults = append(r.faults, Fault{Path: path, Line: line, Text: fmt.Sprintf(format, args...)})
}

func (r *reader) warn(path, format string, args ...any) {
	r.faults = append(r.faults, Fault{Path: path, Line: r.line(path), Text: fmt.Sprintf(format, args...), Warning: true})
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}

// file parses the text to its one document; nil when there is nothing in it.
func (r *reader) file(text []byte) (root ast.Node) {
	defer func() { // a parser is not worth the gateway's life
		if p := recover(); p != nil {
			r.faults = append(r.faults, Fault{Text: "this is not YAML"})
			root = nil
		}
	}()
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		r.faults = append(r.faults, syntaxFault(err))
		return nil
	}
	for _, d := range f.Docs {
		if d.Body == nil {
			continue
		}
		if _, comment := d.Body.(*ast.CommentGroupNode); comment {
			continue
		}
		if root != nil {
			r.fault(d.Body, "", "a second document: there can be only one")
			break
		}
		root = d.Body
	}
	return root
}

func syntaxFault(err error) Fault {
	var s yaml.Error
	if errors.As(err, &s) && s.GetToken() != nil && s.GetToken().Position != nil {
		return Fault{Line: s.GetToken().Position.Line, Text: "not valid YAML: " + s.GetMessage()}
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return Fault{Text: "not valid YAML: " + first}
}

// pairs returns the entries of a mapping; a fault and nil for anything else.
func (r *reader) pairs(n ast.Node, path string) []*ast.MappingValueNode {
	switch n := plain(n).(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	case *ast.NullNode, nil:
		return nil
	default:
		r.fault(n, path, "here belongs a mapping (key: value)")
		return nil
	}
}

// plain looks through anchors and tags.
func plain(n ast.Node) ast.Node {
	for {
		switch x := n.(type) {
		case *ast.AnchorNode:
			n = x.Value
		case *ast.TagNode:
			n = x.Value
		default:
			return n
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func keyOf(p *ast.MappingValueNode) string {
	if s, ok := p.Key.(*ast.StringNode); ok {
		return s.Value
	}
	if t := p.Key.GetToken(); t != nil {
		return t.Value
	}
	return p.Key.String()
}

// into fills a struct from a mapping.
func (r *reader) into(v reflect.Value, n ast.Node, path string) {
	fields := fieldsOf(v.Type())
	seen := map[string]bool{}
	for _, p := range r.pairs(n, path) {
		key := keyOf(p)
		at := join(path, key)
		i, known := fields[key]
		switch {
		case seen[key]:
			r.fault(p.Key, at, "this key stands twice")
		case known:
			r.value(v.Field(i), p.Value, at, v.Type().Field(i).Tag.Get("enum"))
		default:
			r.unknown(p.Key, at, key, keysOf(fields))
		}
		seen[key] = true
	}
}

func (r *reader) unknown(n ast.Node, path, key string, known []string) {
	if s := suggest(key, known); s != "" {
		r.fault(n, path, "there is no such key; did you mean %q?", s)
		return
	}
	r.fault(n, path, "there is no such key; known here: %s", strings.Join(known, ", "))
}

func fieldsOf(t reflect.Type) map[string]int {
	m := map[string]int{}
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "" && name != "-" {
			m[name] = i
		}
	}
	return m
}

func keysOf(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// value fills one field.
func (r *reader) value(v reflect.Value, n ast.Node, path, enum string) {
	r.lines[path] = lineOf(n)
	n = plain(n)
	if _, null := n.(*ast.NullNode); null || n == nil {
		return // an empty value leaves the default
	}
	if k, ok := v.Addr().Interface().(*Key); ok {
		*k = Key{}
		if _, single := scalarText(n); single { // a path alone
			v.Set(reflect.ValueOf(Key{Source: KeyFile}))
			r.scalar(v.FieldByName("Path"), n, path, "")
			if k.Path == "" {
				r.fault(n, path, "must not be empty")
			}
			return
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		r.into(v, n, path)
	case reflect.Map:
		r.entries(v, n, path)
	case reflect.Slice:
		r.list(v, n, path)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		r.value(v.Elem(), n, path, enum)
	default:
		r.scalar(v, n, path, enum)
	}
}

// entries fills a map whose values are structs.
func (r *reader) entries(v reflect.Value, n ast.Node, path string) {
	v.Set(reflect.MakeMap(v.Type()))
	for _, p := range r.pairs(n, path) {
		key := keyOf(p)
		at := join(path, key)
		if v.MapIndex(reflect.ValueOf(key)).IsValid() {
			r.fault(p.Key, at, "this key stands twice")
			continue
		}
		e := reflect.New(v.Type().Elem()).Elem()
		if _, room := e.Addr().Interface().(*Room); room {
			r.immutable(p.Key, at, key)
		} else if !validName(key) {
			r.fault(p.Key, at, "a name has 1 to 40 letters, digits, - or _")
			continue
		}
		r.lines[at] = lineOf(p.Key)
		if c, ok := e.Addr().Interface().(*Channel); ok {
			r.channel(c, p, at)
		} else {
			r.value(e, p.Value, at, "")
		}
		v.SetMapIndex(reflect.ValueOf(key), e)
	}
}

// validName keeps names usable in URLs, metrics and files.
func validName(s string) bool {
	if s == "" || len(s) > 40 {
		return false
	}
	return strings.IndexFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	}) < 0
}

func (r *reader) list(v reflect.Value, n ast.Node, path string) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		r.fault(n, path, "here belongs a list: [a, b]")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
	for i, e := range seq.Values {
		r.value(out.Index(i), e, fmt.Sprintf("%s[%d]", path, i), "")
	}
	v.Set(out)
}

func (r *reader) scalar(v reflect.Value, n ast.Node, path, enum string) {
	s, ok := scalarText(n)
	if !ok {
		r.fault(n, path, "here belongs a single value")
		return
	}
	s = r.expand(n, s, path)
	switch v.Kind() {
	case reflect.String:
		if enum != "" && !slices.Contains(strings.Split(enum, ","), s) {
			r.enum(n, s, path, strings.Split(enum, ","))
			return
		}
		v.SetString(s)
	case reflect.Bool:
		b, err := strconv.ParseBool(strings.ToLower(s))
		if err != nil {
			r.fault(n, path, "here belongs true or false, not %q", s)
			return
		}
		v.SetBool(b)
	case reflect.Int:
		i, err := strconv.Atoi(s)
		if err != nil {
			r.fault(n, path, "here belongs a whole number, not %q", s)
			return
		}
		v.SetInt(int64(i))
	case reflect.Float64:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			r.fault(n, path, "here belongs a number, not %q", s)
			return
		}
		v.SetFloat(f)
	}
}

func (r *reader) enum(n ast.Node, s, path string, known []string) {
	if m := suggest(s, known); m != "" {
		r.fault(n, path, "%q is not known; did you mean %q?", s, m)
		return
	}
	r.fault(n, path, "%q is not known; it is one of %s", s, strings.Join(known, ", "))
}

// scalarText returns the text of a scalar as it was written, so that an id of
// many digits stays what it is.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// expand replaces ${NAME} by the environment's value.
func (r *reader) expand(n ast.Node, s, path string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "${")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			r.fault(n, path, "${ is not closed")
			return b.String()
		}
		value, set := r.o.Getenv(name)
		if !set {
			r.fault(n, path, "the environment variable %s is not set", name)
		}
		b.WriteString(value)
		s = after
	}
}
