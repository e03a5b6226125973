package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatehouse-chat/gatehouse/internal/nearest"
)

// channel fills a channel's core keys and puts the others into its section.
func (r *reader) channel(c *Channel, p *ast.MappingValueNode, path string) {
	*c = defaultChannel()
	c.Line = lineOf(p.Key)
	v := reflect.ValueOf(c).Elem()
	core := fieldsOf(v.Type())
	section := map[string]any{}
	lines := map[string]int{}
	seen := map[string]bool{}
	for _, kv := range r.pairs(p.Value, path) {
		key := keyOf(kv)
		at := join(path, key)
		if seen[key] {
			r.fault(kv.Key, at, "this key stands twice")
			continue
		}
		seen[key] = true
		if i, ok := core[key]; ok {
			r.value(v.Field(i), kv.Value, at, v.Type().Field(i).Tag.Get("enum"))
			continue
		}
		section[key] = r.free(kv.Value, at, 0)
		lines[key] = lineOf(kv.Key)
		r.lines[at] = lines[key]
	}
	b, err := json.Marshal(section)
	if err != nil {
		r.fault(p.Key, path, "cannot be read: %v", err)
		b = []byte("{}")
	}
	c.Section = b
	if usual := r.usualDM(c.Adapter); usual != "" && !seen["dm"] {
		c.DM = usual
	}
	r.adapter(c, p, path, lines, keysOf(core))
}

// usualDM is the policy of direct chats of an adapter that has one of its own.
func (r *reader) usualDM(adapter string) string {
	if r.o.Adapters == nil {
		return ""
	}
	return r.o.Adapters.DM(adapter)
}

// adapter lets the adapter check its keys, and points at their lines.
func (r *reader) adapter(c *Channel, p *ast.MappingValueNode, path string, lines map[string]int, core []string) {
	if r.o.Adapters == nil {
		return
	}
	names := r.o.Adapters.Names()
	if c.Adapter == "" {
		r.fault(p.Key, join(path, "adapter"), "is missing; it is one of %s", strings.Join(names, ", "))
		return
	}
	found := false
	for _, n := range names {
		found = found || n == c.Adapter
	}
	if !found {
		r.enum(p.Key, c.Adapter, join(path, "adapter"), names)
		return
	}
	for _, f := range r.o.Adapters.Check(c.Adapter, c.Section) {
		first, _, _ := strings.Cut(f.Path, ".")
		f.Line = lines[first]
		if f.Line == 0 {
			f.Line = c.Line
		}
		if s := suggest(first, core); s != "" && lines[first] > 0 && nearest.Distance(first, s) <= 2 {
			f.Text += fmt.Sprintf("; or did you mean %q?", s)
		}
		f.Path = join(path, f.Path)
		r.faults = append(r.faults, f)
	}
}

// maxDepth bounds nested values; no adapter needs more.
const maxDepth = 20

// free turns a value without a known type into what JSON would hold.
func (r *reader) free(n ast.Node, path string, depth int) any {
	n = plain(n)
	if depth > maxDepth {
		r.fault(n, path, "is nested too deeply")
		return nil
	}
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		m := map[string]any{}
		for _, kv := range r.pairs(n, path) {
			m[keyOf(kv)] = r.free(kv.Value, join(path, keyOf(kv)), depth+1)
		}
		return m
	case *ast.SequenceNode:
		list := make([]any, len(n.Values))
		for i, e := range n.Values {
			list[i] = r.free(e, fmt.Sprintf("%s[%d]", path, i), depth+1)
		}
		return list
	case *ast.BoolNode:
		return n.Value
	case *ast.IntegerNode, *ast.FloatNode:
		s := n.GetToken().Value
		if json.Valid([]byte(s)) {
			return json.Number(s)
		}
		return s
	case *ast.NullNode, nil:
		return nil
	}
	s, ok := scalarText(n)
	if !ok {
		r.fault(n, path, "is not a value that can be used here")
		return nil
	}
	return r.expand(n, s, path)
}
