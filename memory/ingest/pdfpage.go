package ingest

import (
	"bytes"
	"math"
)

// matrix is [a b c d e f] of the format.
type matrix [6]float64

func (m matrix) times(n matrix) matrix {
	return matrix{
		m[0]*n[0] + m[1]*n[2], m[0]*n[1] + m[1]*n[3],
		m[2]*n[0] + m[3]*n[2], m[2]*n[1] + m[3]*n[3],
		m[4]*n[0] + m[5]*n[2] + n[4], m[4]*n[1] + m[5]*n[3] + n[5],
	}
}

// upright is the matrix that changes nothing.
var upright = matrix{1, 0, 0, 1, 0, 0}

// state is what q keeps and Q brings back.
type state struct {
	ctm                                matrix
	font                               *font
	size, chars, words, scale, leading float64
}

// canvas runs the operators of a page, and hands what they show to the lines.
type canvas struct {
	f     *pdfFile
	fonts map[any]*font
	state
	kept      []state
	text      matrix // where the next text stands
	begin     matrix // where its line begins
	resources pdfDict
	deep      int // forms within forms
	out       *pdfLines
}

// The limits of one page.
const (
	mostKept  = 64
	mostForms = 8
	mostArgs  = 64
)

// run runs a stream of operators.
func (c *canvas) run(b []byte) error {
	if err := c.f.burn(len(b) + 64); err != nil {
		return err
	}
	l := lexer{b: b}
	var args []any
	for n := 0; ; n++ {
		l.skip()
		if l.done() {
			return nil
		}
		if n%4096 == 0 && c.f.s.ctx.Err() != nil {
			return c.f.s.ctx.Err()
		}
		v := l.value()
		op, ok := v.(pdfWord)
		if !ok {
			if len(args) < mostArgs {
				args = append(args, v)
			}
			continue
		}
		if op == "BI" {
			passImage(&l)
		} else if err := c.do(op, args); err != nil {
			return err
		}
		args = args[:0]
	}
}

// passImage goes on behind a picture that stands among the operators.
func passImage(l *lexer) {
	for l.at < len(l.b) {
		i := bytes.Index(l.b[l.at:], []byte("EI"))
		if i < 0 {
			l.at = len(l.b)
			return
		}
		at := l.at + i
		l.at = at + 2
		if at > 0 && space(l.b[at-1]) && (l.at >= len(l.b) || space(l.b[l.at])) {
			return
		}
	}
}

func (c *canvas) do(op pdfWord, args []any) error {
	n := func(i int) float64 {
		if i >= len(args) {
			return 0
		}
		v, _ := args[i].(float64)
		return v
	}
	six := func() matrix { return matrix{n(0), n(1), n(2), n(3), n(4), n(5)} }
	switch op {
	case "q":
		if len(c.kept) < mostKept {
			c.kept = append(c.kept, c.state)
		}
	case "Q":
		if i := len(c.kept) - 1; i >= 0 {
			c.state, c.kept = c.kept[i], c.kept[:i]
		}
	case "cm":
		c.ctm = six().times(c.ctm)
	case "BT":
		c.text, c.begin = upright, upright
	case "Tc":
		c.chars = n(0)
	case "Tw":
		c.words = n(0)
	case "Tz":
		c.scale = n(0) / 100
	case "TL":
		c.leading = n(0)
	case "Td":
		c.move(n(0), n(1))
	case "TD":
		c.leading = -n(1)
		c.move(n(0), n(1))
	case "Tm":
		c.begin = six()
		c.text = c.begin
	case "T*":
		c.move(0, -c.leading)
	case "Tf":
		return c.choose(args)
	case "Tj":
		return c.show(args)
	case "'":
		c.move(0, -c.leading)
		return c.show(args)
	case `"`:
		c.words, c.chars = n(0), n(1)
		c.move(0, -c.leading)
		return c.show(args[min(2, len(args)):])
	case "TJ":
		if len(args) > 0 {
			list, _ := args[0].(pdfList)
			return c.show(list)
		}
	case "Do":
		return c.form(args)
	}
	return nil
}

// move begins a line that is so far away from where the one before began.
func (c *canvas) move(x, y float64) {
	c.begin = matrix{1, 0, 0, 1, x, y}.times(c.begin)
	c.text = c.begin
}

// resource looks a name up among the page's resources.
func (c *canvas) resource(kind string, args []any) (any, error) {
	if len(args) == 0 {
		return nil, nil //nolint:nilnil // null is a value here
	}
	name, _ := args[0].(pdfName)
	d, _, err := c.f.dict(c.resources[kind])
	return d[string(name)], err
}

func (c *canvas) choose(args []any) error {
	if len(args) > 1 {
		c.size, _ = args[1].(float64)
	}
	v, err := c.resource("Font", args)
	if err != nil {
		return err
	}
	c.font = nil
	if ref, ok := v.(pdfRef); ok {
		if known, ok := c.fonts[ref]; ok {
			c.font = known
			return nil
		}
	}
	if len(c.fonts) >= mostFonts {
		return nil
	}
	if c.font, err = c.f.font(v); err != nil {
		return err
	}
	if ref, ok := v.(pdfRef); ok {
		c.fonts[ref] = c.font
	}
	return nil
}

// show shows texts, and moves by the numbers between them.
func (c *canvas) show(list []any) error {
	for _, v := range list {
		switch v := v.(type) {
		case float64:
			c.advance(-v / 1000 * c.size * c.scale)
		case pdfText:
			if err := c.shows(string(v)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *canvas) advance(x float64) { c.text = matrix{1, 0, 0, 1, x, 0}.times(c.text) }

// shows shows one text, code by code.
func (c *canvas) shows(s string) error {
	if c.font == nil {
		return nil
	}
	for len(s) > 0 {
		text, width, n := c.font.next(s)
		at := c.text.times(c.ctm)
		move := width/1000*c.size + c.chars
		if n == 1 && s[0] == ' ' {
			move += c.words
		}
		c.advance(move * c.scale)
		end := c.text.times(c.ctm)
		height := math.Abs(c.size) * math.Hypot(at[2], at[3])
		if err := c.out.add(text, at[4], at[5], end[4], height); err != nil {
			return err
		}
		s = s[max(n, 1):]
	}
	return nil
}

// form runs a stream that a page uses as a part of itself.
func (c *canvas) form(args []any) error {
	v, err := c.resource("XObject", args)
	if err != nil {
		return err
	}
	d, s, err := c.f.dict(v)
	if err != nil || s.raw == nil || d["Subtype"] != pdfName("Form") || c.deep >= mostForms {
		return err
	}
	b, err := c.f.decode(s)
	if err != nil {
		return err
	}
	within := *c
	within.deep++
	within.kept = nil
	if m, err := c.f.list(d["Matrix"]); err != nil {
		return err
	} else if len(m) == 6 {
		var by matrix
		for i := range by {
			by[i], _ = m[i].(float64)
		}
		within.ctm = by.times(c.ctm)
	}
	if r, _, err := c.f.dict(d["Resources"]); err != nil {
		return err
	} else if r != nil {
		within.resources = r
	}
	return within.run(b)
}
