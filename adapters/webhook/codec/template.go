// Package codec turns the requests of programs into events, by templates that
// the configuration holds, and answers into the bytes of a callback. It is pure:
// no I/O, no clock, no secrets.
package codec

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Template is a text with places that are filled from a request:
//
//	{{ .issue.title }}            a value of the payload
//	{{ .commits[0].message }}     an element of a list
//	{{ .labels["a b"] }}          a key that is no plain name
//	{{ . }}                       the whole payload
//	{{ header.X-GitHub-Event }}   a header
//	{{ query.source }}            a parameter of the URL
//	{{ .title ?? .name ?? "x" }}  the first one that is there
//
// There is nothing to compute, to loop over or to call: what a stranger sends
// can be shown, and can decide nothing. The zero Template is empty.
type Template struct{ pieces []piece }

// piece is literal text, or operands of which the first that is there counts.
type piece struct {
	text string
	any  []operand
}

// operand is where a value comes from.
type operand struct {
	from source
	name string // of a header, a parameter; or a literal text
	path []step
}

type source int

const (
	fromPayload source = iota
	fromHeader
	fromQuery
	literal
)

// step leads from a value to one inside of it.
type step struct {
	key   string
	index int
	list  bool
}

const (
	maxTemplate = 16 << 10
	maxSteps    = 32
)

// Parse reads a template. Its error says where the mistake is.
func Parse(text string) (Template, error) {
	var t Template
	if len(text) > maxTemplate {
		return t, fmt.Errorf("is longer than %d bytes", maxTemplate)
	}
	if !utf8.ValidString(text) {
		return t, fmt.Errorf("is not UTF-8")
	}
	for rest := text; ; {
		before, after, found := strings.Cut(rest, "{{")
		if before != "" {
			t.pieces = append(t.pieces, piece{text: before})
		}
		if !found {
			return t, nil
		}
		p := parser{rest: after}
		any, err := p.place()
		if err != nil {
			return Template{}, fmt.Errorf("column %d: %w", len(text)-len(p.rest)+1, err)
		}
		t.pieces = append(t.pieces, piece{any: any})
		rest = p.rest
	}
}

// parser reads one place; rest is what it has not read yet.
type parser struct{ rest string }

func (p *parser) space() { p.rest = strings.TrimLeft(p.rest, " \t\n\r") }

// take drops a prefix, if it is there.
func (p *parser) take(prefix string) bool {
	rest, ok := strings.CutPrefix(p.rest, prefix)
	p.rest = rest
	return ok
}

func (p *parser) place() ([]operand, error) {
	var all []operand
	for {
		p.space()
		o, err := p.operand()
		if err != nil {
			return nil, err
		}
		all = append(all, o)
		p.space()
		switch {
		case p.take("}}"):
			return all, nil
		case p.take("??"):
		default:
			return nil, fmt.Errorf("want ?? or }}")
		}
	}
}

func (p *parser) operand() (operand, error) {
	switch {
	case strings.HasPrefix(p.rest, `"`):
		s, err := p.quoted()
		return operand{from: literal, name: s}, err
	case p.take("header."):
		return p.named(fromHeader)
	case p.take("query."):
		return p.named(fromQuery)
	case strings.HasPrefix(p.rest, "."):
		path, err := p.path()
		return operand{path: path}, err
	}
	return operand{}, fmt.Errorf(`want a path such as .issue.title, header.NAME, query.NAME or a "text"`)
}

func (p *parser) named(from source) (operand, error) {
	name := p.name()
	if name == "" {
		return operand{}, fmt.Errorf("want a name")
	}
	return operand{from: from, name: name}, nil
}

// name reads letters of any script, digits, _ and -.
func (p *parser) name() string {
	end := strings.IndexFunc(p.rest, func(c rune) bool {
		return c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c < 0x80
	})
	if end < 0 {
		end = len(p.rest)
	}
	name := p.rest[:end]
	p.rest = p.rest[end:]
	return name
}

func (p *parser) quoted() (string, error) {
	q, err := strconv.QuotedPrefix(p.rest)
	if err != nil {
		return "", fmt.Errorf("the text does not end")
	}
	p.rest = p.rest[len(q):]
	return strconv.Unquote(q)
}

func (p *parser) path() ([]step, error) {
	var path []step
	p.take(".")
	if name := p.name(); name != "" {
		path = append(path, step{key: name})
	}
	for len(path) <= maxSteps {
		switch {
		case p.take("["):
			s, err := p.index()
			if err != nil {
				return nil, err
			}
			path = append(path, s)
		case len(path) > 0 && p.take("."):
			name := p.name()
			if name == "" {
				return nil, fmt.Errorf("want a name after the dot")
			}
			path = append(path, step{key: name})
		default:
			return path, nil
		}
	}
	return nil, fmt.Errorf("the path has more than %d steps", maxSteps)
}

// index reads what stands in brackets: a number, or a key in quotes.
func (p *parser) index() (s step, err error) {
	if strings.HasPrefix(p.rest, `"`) {
		s.key, err = p.quoted()
	} else {
		s.list = true
		s.index, err = strconv.Atoi(p.name())
		if err != nil || s.index < 0 {
			err = fmt.Errorf(`want a number or a "key" in the brackets`)
		}
	}
	if err == nil && !p.take("]") {
		err = fmt.Errorf("want ]")
	}
	return s, err
}
