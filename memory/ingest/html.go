package ingest

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// mostTag bounds one tag or run of text of a page.
const mostTag = 4 << 20

// readHTML walks the tags of a page once; it builds no tree, so nesting costs
// nothing.
func readHTML(s *source) (Document, error) {
	text, err := decode(s.file, "text/html")
	if err != nil {
		return Document{}, ErrBroken
	}
	p := page{}
	z := html.NewTokenizer(bytes.NewReader([]byte(text)))
	z.SetMaxBuf(mostTag)
	for n := 0; ; n++ {
		if n%1024 == 0 && s.ctx.Err() != nil {
			return Document{}, s.ctx.Err()
		}
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		if err := p.take(kind, z); err != nil {
			return Document{}, err
		}
	}
	if err := z.Err(); errors.Is(err, html.ErrBufferExceeded) {
		return Document{}, ErrLimit
	} else if !errors.Is(err, io.EOF) {
		return Document{}, ErrBroken
	}
	return Document{Title: p.title.String(), Text: p.w.String()}, nil
}

// page is a page while it is read.
type page struct {
	w       writer
	title   strings.Builder
	inTitle bool
	skip    atom.Atom // what is left out until it ends; 0: nothing
	depth   int       // how often it was opened
	cells   int       // of the row that is open
}

// leftOut are elements that hold no text for readers.
func leftOut(a atom.Atom) bool {
	switch a {
	case atom.Script, atom.Style, atom.Noscript, atom.Template, atom.Svg, atom.Math, atom.Iframe, atom.Object, atom.Nav,
		atom.Select, atom.Button, atom.Canvas, atom.Audio, atom.Video, atom.Noframes, atom.Noembed, atom.Textarea:
		return true
	}
	return false
}

func (p *page) take(kind html.TokenType, z *html.Tokenizer) error {
	switch kind {
	case html.TextToken:
		switch {
		case p.skip != 0:
		case p.inTitle:
			if p.title.Len() < 4096 {
				p.title.Write(z.Text())
			}
		default:
			return p.w.text(string(z.Text()))
		}
	case html.StartTagToken, html.SelfClosingTagToken:
		name, attributes := z.TagName()
		a := atom.Lookup(name)
		if p.skip != 0 {
			if a == p.skip && kind == html.StartTagToken {
				p.depth++
			}
			return nil
		}
		if leftOut(a) && kind == html.StartTagToken {
			p.skip, p.depth = a, 1
			return nil
		}
		return p.open(a, z, attributes)
	case html.EndTagToken:
		name, _ := z.TagName()
		a := atom.Lookup(name)
		if p.skip != 0 {
			if a == p.skip {
				if p.depth--; p.depth == 0 {
					p.skip = 0
				}
			}
			return nil
		}
		p.close(a)
	case html.ErrorToken, html.CommentToken, html.DoctypeToken:
	}
	return nil
}

func (p *page) open(a atom.Atom, z *html.Tokenizer, attributes bool) error {
	switch a {
	case atom.Title:
		p.inTitle = p.title.Len() == 0
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		p.w.heading(int(a.String()[1] - '0'))
	case atom.Ul, atom.Ol, atom.Dl:
		p.w.end()
		p.w.items++
	case atom.Li, atom.Dt, atom.Dd:
		p.w.item()
	case atom.Pre:
		p.w.end()
		p.w.code = true
	case atom.Blockquote:
		p.w.begin("> ")
	case atom.Tr:
		p.w.begin(row)
		p.cells = 0
	case atom.Td, atom.Th:
		if p.cells++; p.cells > 1 {
			return p.w.text(" | ")
		}
	case atom.Br:
		p.w.newline()
	case atom.Img:
		return p.image(z, attributes)
	default:
		if breaks(a) && !p.keeps() {
			p.w.end()
		}
	}
	return nil
}

// keeps reports whether the block that is open has a lead and no text yet, as
// an item has before its first paragraph.
func (p *page) keeps() bool {
	return p.w.lead != "" && p.w.block.Len() == 0 || p.w.code || p.w.lead == row
}

func (p *page) image(z *html.Tokenizer, more bool) error {
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		if string(key) == "alt" && len(value) > 0 {
			return p.w.text(" " + string(value) + " ")
		}
	}
	return nil
}

func (p *page) close(a atom.Atom) {
	switch a {
	case atom.Title:
		p.inTitle = false
	case atom.Ul, atom.Ol, atom.Dl:
		p.w.end()
		p.w.items = max(0, p.w.items-1)
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Li, atom.Dt, atom.Dd, atom.Pre, atom.Blockquote, atom.Tr:
		p.w.end()
	default:
		if breaks(a) && !p.keeps() {
			p.w.end()
		}
	}
}

// breaks reports whether an element stands in a block of its own.
func breaks(a atom.Atom) bool {
	switch a {
	case atom.P, atom.Div, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Main, atom.Aside, atom.Table, atom.Thead,
		atom.Tbody, atom.Figure, atom.Figcaption, atom.Address, atom.Form, atom.Fieldset, atom.Hr, atom.Body, atom.Head, atom.Details,
		atom.Summary, atom.Caption, atom.Center:
		return true
	}
	return false
}
