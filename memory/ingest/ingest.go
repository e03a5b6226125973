// Package ingest turns files into text that memory can keep: plain text,
// Markdown, HTML, PDF and Word documents, each into Markdown with a title.
//
// Files come from strangers. Whatever a file says of itself, reading it takes
// bounded time and memory: what it may expand to, how deep it may nest and how
// much text may come out of it is limited, and nothing in it is fetched, run or
// followed. A file that goes beyond a limit is refused whole.
package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

// Document is what was read out of a file.
type Document struct {
	Title string // what the file calls itself, else its name
	Text  string // Markdown, valid UTF-8
}

// What a caller branches on. Each error says it in words for people as well.
var (
	ErrKind   = errors.New("this kind of file is not read: text, Markdown, HTML, PDF and Word (.docx) are")
	ErrLocked = errors.New("the file is protected by a password")
	ErrEmpty  = errors.New("there is no text in the file, a scan perhaps")
	ErrLimit  = errors.New("the file is too large, or made to be")
	ErrBroken = errors.New("the file is damaged")
)

// The limits of one file.
const (
	MostFile     = 32 << 20 // bytes of the file
	MostText     = 8 << 20  // bytes of the text that comes out
	mostExpanded = 48 << 20 // bytes of all that is unpacked on the way
	mostDepth    = 200      // elements within elements, objects within objects
	mostTime     = 10 * time.Second
)

// Read reads a file. The name gives the title where the file has none, and
// decides between kinds of text; what the file begins with decides between all
// others. It blocks for 10 seconds at most.
func Read(ctx context.Context, name string, file []byte) (Document, error) {
	ctx, cancel := context.WithTimeout(ctx, mostTime)
	defer cancel()
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	if len(file) > MostFile {
		return Document{}, fmt.Errorf("%w: %d MB, and %d are the limit", ErrLimit, len(file)>>20, MostFile>>20)
	}
	read := kindOf(name, file)
	if read == nil {
		return Document{}, ErrKind
	}
	d, err := read(&source{ctx: ctx, name: name, file: file})
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%w: it takes too long to read", ErrLimit)
		}
		return Document{}, err
	}
	d.Text = strings.TrimSpace(strings.ToValidUTF8(d.Text, "\ufffd"))
	if len(d.Text) > MostText {
		return Document{}, fmt.Errorf("%w: more than %d MB of text", ErrLimit, MostText>>20)
	}
	if d.Text == "" {
		return Document{}, ErrEmpty
	}
	if d.Title = line(d.Title); d.Title == "" {
		d.Title = line(name)
	}
	return d, nil
}

// source is a file while it is read.
type source struct {
	ctx      context.Context //nolint:containedctx // it lives as long as the call that has it
	name     string
	file     []byte
	expanded int // bytes that were unpacked
}

// spend counts what was unpacked, and says when it was too much or too slow.
func (s *source) spend(n int) error {
	if s.expanded += n; s.expanded > mostExpanded {
		return fmt.Errorf("%w: it unpacks to more than %d MB", ErrLimit, mostExpanded>>20)
	}
	return s.ctx.Err()
}

type reader func(*source) (Document, error)

// kindOf chooses by what a file begins with, and among texts by its name.
func kindOf(name string, file []byte) reader {
	head := file[:min(len(file), 1024)]
	switch {
	case bytes.Contains(head, []byte("%PDF-")):
		return readPDF
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return readDOCX
	case bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")): // a Word file of old, or one with a password
		if ext(name) == ".docx" {
			return func(*source) (Document, error) { return Document{}, ErrLocked }
		}
		return nil
	case binary(file):
		return nil
	}
	switch ext(name) {
	case ".html", ".htm", ".xhtml":
		return readHTML
	case ".md", ".markdown", ".mdown", ".mkd":
		return readMarkdown
	}
	start := bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n"))
	if bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.HasPrefix(start, []byte("<html")) {
		return readHTML
	}
	return readText
}

func ext(name string) string { return strings.ToLower(path.Ext(name)) }

// binary reports whether a file is no text in any encoding that is read: it has
// bytes that no text has. Texts in UTF-16 have a mark that says so.
func binary(file []byte) bool {
	if bytes.HasPrefix(file, []byte("\xff\xfe")) || bytes.HasPrefix(file, []byte("\xfe\xff")) {
		return false
	}
	for _, b := range file[:min(len(file), 64<<10)] {
		if b < 0x20 && !bytes.ContainsRune([]byte("\t\n\r\f\v\b\x1b\x1a"), rune(b)) {
			return true
		}
	}
	return false
}

// mostTitle is how long a title may be, in bytes.
const mostTitle = 280

// line makes one line of what is called a title.
func line(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\ufffd")), " ")
	if len(s) <= mostTitle {
		return s
	}
	return strings.ToValidUTF8(s[:mostTitle-len("…")], "") + "…"
}
