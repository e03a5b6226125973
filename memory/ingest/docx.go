package ingest

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// mostParts is how many files a document may be packed from.
const mostParts = 10_000

// readDOCX reads a Word document: a ZIP archive of XML, of which four files are
// read. Entities are not expanded and nothing that it refers to is opened.
func readDOCX(s *source) (Document, error) {
	z, err := zip.NewReader(bytes.NewReader(s.file), int64(len(s.file)))
	if err != nil {
		return Document{}, fmt.Errorf("%w: not a ZIP archive as it should be", ErrBroken)
	}
	if len(z.File) > mostParts {
		return Document{}, fmt.Errorf("%w: it is packed from %d files", ErrLimit, len(z.File))
	}
	parts := map[string]*zip.File{}
	for _, f := range z.File {
		parts[strings.TrimPrefix(f.Name, "/")] = f
	}
	if parts["word/document.xml"] == nil {
		return Document{}, ErrKind // a spreadsheet, or any other archive
	}
	styles := styles{}
	if err := s.part(parts["word/styles.xml"], styles.take); err != nil {
		return Document{}, err
	}
	core := core{}
	if err := s.part(parts["docProps/core.xml"], core.take); err != nil {
		return Document{}, err
	}
	body := body{styles: styles.levels}
	for _, name := range []string{"word/document.xml", "word/footnotes.xml", "word/endnotes.xml"} {
		if err := s.part(parts[name], body.take); err != nil {
			return Document{}, err
		}
		body.w.end()
	}
	if core.title == "" {
		core.title = body.title
	}
	return Document{Title: core.title, Text: body.w.String()}, nil
}

// element is what a reader of XML is handed: a tag that begins or ends, or text.
type element struct {
	name  string // without its namespace; "" for text
	ends  bool
	text  string
	attrs []xml.Attr
}

func (e element) attr(name string) string {
	for _, a := range e.attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// part hands the elements of one file of the archive to take. A file that is
// not there has none.
func (s *source) part(f *zip.File, take func(element) error) error {
	if f == nil {
		return nil
	}
	r, err := f.Open()
	if err != nil {
		return fmt.Errorf("%w: %s cannot be unpacked", ErrBroken, f.Name)
	}
	defer func() { _ = r.Close() }()
	d := xml.NewDecoder(&counted{s: s, r: r})
	d.Strict = true
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, ErrBroken } // Word writes UTF-8
	for depth := 0; ; {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return broken(f.Name, err)
		}
		var e element
		switch t := t.(type) {
		case xml.StartElement:
			if depth++; depth > mostDepth {
				return fmt.Errorf("%w: elements are nested too deep", ErrLimit)
			}
			e = element{name: t.Name.Local, attrs: t.Attr}
		case xml.EndElement:
			depth--
			e = element{name: t.Name.Local, ends: true}
		case xml.CharData:
			e = element{text: string(t)}
		default:
			continue
		}
		if err := take(e); err != nil {
			return err
		}
	}
}

// broken keeps what a limit said, and hides what XML says, which repeats text.
func broken(name string, err error) error {
	for _, known := range []error{ErrLimit, ErrBroken, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("%w: %s is not XML as it should be", ErrBroken, name)
}

// counted counts what is unpacked against the file's limit.
type counted struct {
	s *source
	r io.Reader
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if spent := c.s.spend(n); spent != nil {
		return 0, spent
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: it cannot be unpacked", ErrBroken)
	}
	return n, err
}

// styles learns which paragraph styles are headings: Word names them in the
// language of its user, but for one name.
type styles struct {
	levels map[string]int // by the style's id; 0 is the document's title
	id     string
}

func (s *styles) take(e element) error {
	switch {
	case e.ends || e.name == "":
	case e.name == "style":
		s.id = e.attr("styleId")
	case e.name == "name" && s.id != "":
		if s.levels == nil {
			s.levels = map[string]int{}
		}
		name := strings.ToLower(e.attr("val"))
		if n, ok := strings.CutPrefix(name, "heading "); ok {
			if level, err := strconv.Atoi(n); err == nil {
				s.levels[s.id] = level
			}
		}
		if name == "title" {
			s.levels[s.id] = 0
		}
	}
	return nil
}

// core learns what the document calls itself.
type core struct {
	title  string
	inside bool
}

func (c *core) take(e element) error {
	switch {
	case e.name == "title":
		c.inside = !e.ends
	case e.name == "" && c.inside && len(c.title) < 4096:
		c.title += e.text
	}
	return nil
}
