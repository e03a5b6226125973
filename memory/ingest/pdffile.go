package ingest

import (
	"bytes"
	"fmt"
	"strconv"
)

// pdfFile is a PDF's objects. It does not use the file's own table of them,
// which is what damaged and hostile files lie in: it looks for them, and takes
// the last of those that have one number.
type pdfFile struct {
	s     *source
	found map[pdfRef]place
	root  pdfDict
	info  pdfDict
	fuel  int // bytes that may still be parsed
}

// place is where an object begins.
type place struct {
	in   []byte // the file, or an object stream that was unpacked
	at   int
	rank int // where it stands in the file: the last of one number counts
}

// The limits of a PDF beside those of every file.
const (
	mostObjects = 400_000
	mostStream  = 24 << 20 // bytes that one stream may unpack to
	mostParsed  = 64 << 20 // bytes that are parsed, for some are parsed again
	mostHops    = 32       // references to references
)

func openPDF(s *source) (*pdfFile, error) {
	f := &pdfFile{s: s, found: map[pdfRef]place{}, fuel: mostParsed}
	packed, err := f.scan()
	if err != nil {
		return nil, err
	}
	for _, ref := range packed {
		if err := f.unpackObjects(ref); err != nil {
			return nil, err
		}
	}
	if err := f.trailers(); err != nil {
		return nil, err
	}
	if f.root == nil {
		return nil, fmt.Errorf("%w: nothing says where its pages are", ErrBroken)
	}
	return f, nil
}

// burn counts what is parsed.
func (f *pdfFile) burn(n int) error {
	if f.fuel -= n; f.fuel < 0 {
		return fmt.Errorf("%w: there is no end to reading it", ErrLimit)
	}
	return f.s.ctx.Err()
}

// scan notes where objects begin, and returns those that hold others.
func (f *pdfFile) scan() (packed []pdfRef, err error) {
	b := f.s.file
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte("obj"))
		if i < 0 {
			return packed, f.burn(len(b))
		}
		at += i + len("obj")
		ref, ok := numbered(b[:at-len("obj")])
		if !ok {
			continue
		}
		f.found[ref] = place{in: b, at: at, rank: at}
		if len(f.found) > mostObjects {
			return nil, fmt.Errorf("%w: more than %d objects", ErrLimit, mostObjects)
		}
		head := b[at:min(at+1024, len(b))]
		if end := bytes.Index(head, []byte("endobj")); end >= 0 {
			head = head[:end]
		}
		switch {
		case bytes.Contains(head, []byte("/ObjStm")):
			packed = append(packed, ref)
		case bytes.Contains(head, []byte("/XRef")):
			if d, ok := (&lexer{b: b[at:min(at+64<<10, len(b))]}).value().(pdfDict); ok {
				if err := f.trailer(d); err != nil {
					return nil, err
				}
			}
		}
	}
}

// numbered reads "12 0 " from the end of what is before an object.
func numbered(before []byte) (pdfRef, bool) {
	last := func() (n int, ok bool) {
		before = bytes.TrimRight(before, " \t\r\n\f\x00")
		end := len(before)
		for len(before) > 0 && end-len(before) < 10 && before[len(before)-1] >= '0' && before[len(before)-1] <= '9' {
			before = before[:len(before)-1]
		}
		n, err := strconv.Atoi(string(before[len(before):end]))
		return n, err == nil
	}
	if _, ok := last(); !ok {
		return 0, false
	}
	n, ok := last()
	return pdfRef(n), ok
}

// trailers reads what stands behind the tables that are not used.
func (f *pdfFile) trailers() error {
	b := f.s.file
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte("trailer"))
		if i < 0 {
			break
		}
		at += i + len("trailer")
		chunk := b[at:min(at+16<<10, len(b))]
		if err := f.burn(len(chunk)); err != nil {
			return err
		}
		if d, ok := (&lexer{b: chunk}).value().(pdfDict); ok {
			if err := f.trailer(d); err != nil {
				return err
			}
		}
	}
	if f.root != nil {
		return nil
	}
	for ref := range f.found { // a file without an end: any catalogue serves
		d, _, err := f.dict(ref)
		if err != nil {
			return err
		}
		if d["Type"] == pdfName("Catalog") {
			f.root = d
		}
	}
	return nil
}

func (f *pdfFile) trailer(d pdfDict) error {
	if d["Encrypt"] != nil {
		return ErrLocked
	}
	root, _, err := f.dict(d["Root"])
	if err != nil {
		return err
	}
	if root["Pages"] != nil {
		f.root = root
	}
	info, _, err := f.dict(d["Info"])
	if info != nil {
		f.info = info
	}
	return err
}

// unpackObjects notes the objects that stand in a stream.
func (f *pdfFile) unpackObjects(ref pdfRef) error {
	v, err := f.resolve(ref)
	if err != nil {
		return err
	}
	stream, ok := v.(pdfStream)
	if !ok || stream.dict["Type"] != pdfName("ObjStm") {
		return nil
	}
	b, err := f.decode(stream)
	if err != nil {
		return err
	}
	n, first := whole(stream.dict["N"]), whole(stream.dict["First"])
	l := lexer{b: b}
	rank := f.found[ref].rank
	for range min(n, mostObjects) {
		number, ok1 := l.value().(float64)
		offset, ok2 := l.value().(float64)
		at := first + int(offset)
		if !ok1 || !ok2 || number < 0 || at < 0 || at >= len(b) {
			break
		}
		if f.found[pdfRef(number)].rank > rank {
			continue
		}
		f.found[pdfRef(number)] = place{in: b, at: at, rank: rank}
		if len(f.found) > mostObjects {
			return fmt.Errorf("%w: more than %d objects", ErrLimit, mostObjects)
		}
	}
	return f.burn(l.at)
}

// resolve follows references to what they mean. What is not there is nil.
func (f *pdfFile) resolve(v any) (any, error) {
	for range mostHops {
		ref, ok := v.(pdfRef)
		if !ok {
			return v, nil
		}
		p, ok := f.found[ref]
		if !ok {
			return nil, nil //nolint:nilnil // null is a value here
		}
		l := lexer{b: p.in, at: p.at}
		v = l.value()
		if d, ok := v.(pdfDict); ok {
			v = l.stream(d, f)
		}
		if err := f.burn(l.at - p.at + 16); err != nil {
			return nil, err
		}
	}
	return nil, nil //nolint:nilnil // a circle means nothing
}

// stream returns the stream that follows a dictionary, or the dictionary.
func (l *lexer) stream(d pdfDict, f *pdfFile) any {
	l.skip()
	if !bytes.HasPrefix(l.b[l.at:], []byte("stream")) {
		return d
	}
	at := l.at + len("stream")
	if bytes.HasPrefix(l.b[at:], []byte("\r")) {
		at++
	}
	if bytes.HasPrefix(l.b[at:], []byte("\n")) {
		at++
	}
	end := []byte("endstream")
	if n, ok := d["Length"].(float64); ok && n >= 0 && at+int(n) <= len(l.b) {
		rest := bytes.TrimLeft(l.b[at+int(n):min(at+int(n)+32, len(l.b))], " \r\n\t")
		if bytes.HasPrefix(rest, end) {
			return pdfStream{dict: d, raw: l.b[at : at+int(n)]}
		}
	}
	n := bytes.Index(l.b[at:], end)
	if n < 0 {
		n = len(l.b) - at
	}
	f.fuel -= n / 8 // looking is cheaper than parsing
	return pdfStream{dict: d, raw: l.b[at : at+n]}
}

// dict resolves a dictionary, with the stream that it belongs to.
func (f *pdfFile) dict(v any) (pdfDict, pdfStream, error) {
	v, err := f.resolve(v)
	if err != nil {
		return nil, pdfStream{}, err
	}
	switch v := v.(type) {
	case pdfDict:
		return v, pdfStream{}, nil
	case pdfStream:
		return v.dict, v, nil
	}
	return nil, pdfStream{}, nil
}

// list resolves a list; one value alone is a list of it.
func (f *pdfFile) list(v any) (pdfList, error) {
	v, err := f.resolve(v)
	if err != nil || v == nil {
		return nil, err
	}
	if l, ok := v.(pdfList); ok {
		return l, nil
	}
	return pdfList{v}, nil
}

// number resolves a number; what is none is 0.
func (f *pdfFile) number(v any) (float64, error) {
	v, err := f.resolve(v)
	n, _ := v.(float64)
	return n, err
}

// whole is a number as an int, 0 where it is none.
func whole(v any) int {
	n, _ := v.(float64)
	return int(min(max(n, -1<<30), 1<<30))
}
