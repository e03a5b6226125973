package ingest

import "strings"

// The limits of a PDF's pages.
const (
	mostPages  = 20_000
	mostLevels = 64 // of the tree of pages
)

// readPDF reads the text that a PDF's pages show, in the order in which they
// show it.
func readPDF(s *source) (Document, error) {
	f, err := openPDF(s)
	if err != nil {
		return Document{}, err
	}
	b := book{f: f, fonts: map[any]*font{}, seen: map[pdfRef]bool{}}
	if err := b.pages(f.root["Pages"], nil, 0); err != nil {
		return Document{}, err
	}
	title, text := b.lines.document()
	info, err := f.resolve(f.info["Title"])
	if err != nil {
		return Document{}, err
	}
	if own := pdfString(info); strings.TrimSpace(own) != "" && !strings.HasPrefix(own, "Microsoft Word - ") {
		title = own
	}
	return Document{Title: title, Text: text}, nil
}

// pdfString is a text of the document itself, such as its title.
func pdfString(v any) string {
	t, _ := v.(pdfText)
	s := string(t[:min(len(t), 4096)])
	switch {
	case strings.HasPrefix(s, "\xfe\xff"):
		return from16(s[2:])
	case strings.HasPrefix(s, "\xef\xbb\xbf"):
		return s[3:]
	}
	latin := table(pdfName("PDFDocEncoding"))
	var b strings.Builder
	for i := range len(s) {
		b.WriteString(latin[s[i]])
	}
	return b.String()
}

// book is a PDF while its pages are read.
type book struct {
	f     *pdfFile
	fonts map[any]*font
	seen  map[pdfRef]bool
	count int
	lines pdfLines
}

// pages reads a node of the tree of pages. A node that was met is not read
// again: a tree has no circles.
func (b *book) pages(v any, resources pdfDict, level int) error {
	if ref, ok := v.(pdfRef); ok {
		if b.seen[ref] {
			return nil
		}
		b.seen[ref] = true
	}
	d, _, err := b.f.dict(v)
	if err != nil || d == nil || level > mostLevels || b.count >= mostPages {
		return err
	}
	if own, _, err := b.f.dict(d["Resources"]); err != nil {
		return err
	} else if own != nil {
		resources = own
	}
	if d["Kids"] == nil {
		return b.page(d, resources)
	}
	kids, err := b.f.list(d["Kids"])
	if err != nil {
		return err
	}
	for _, kid := range kids {
		if err := b.pages(kid, resources, level+1); err != nil {
			return err
		}
	}
	return nil
}

// page reads one page.
func (b *book) page(d, resources pdfDict) error {
	b.count++
	b.lines.page(b.count)
	parts, err := b.f.list(d["Contents"])
	if err != nil {
		return err
	}
	var all []byte
	for _, p := range parts {
		_, s, err := b.f.dict(p)
		if err != nil {
			return err
		}
		one, err := b.f.decode(s)
		if err != nil {
			return err
		}
		if all = append(append(all, one...), '\n'); len(all) > mostStream {
			return ErrLimit
		}
	}
	c := canvas{f: b.f, fonts: b.fonts, resources: resources, out: &b.lines}
	c.ctm, c.text, c.begin, c.scale = upright, upright, upright, 1
	return c.run(all)
}
