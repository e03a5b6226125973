package ingest

import (
	"bytes"
	"compress/zlib"
	"encoding/ascii85"
	"io"
)

// decode unpacks a stream. What is damaged gives what was unpacked up to there;
// pictures, and what is packed as only pictures are, give nothing.
func (f *pdfFile) decode(s pdfStream) ([]byte, error) {
	filters, err := f.list(first(s.dict, "Filter", "F"))
	if err != nil {
		return nil, err
	}
	parms, err := f.list(first(s.dict, "DecodeParms", "DP"))
	if err != nil {
		return nil, err
	}
	b := s.raw
	for i, filter := range filters {
		if i > 4 {
			return nil, nil // nobody packs a text so often
		}
		name, err := f.resolve(filter)
		if err != nil {
			return nil, err
		}
		var parm pdfDict
		if i < len(parms) {
			if parm, _, err = f.dict(parms[i]); err != nil {
				return nil, err
			}
		}
		if b, err = f.unpack(name, parm, b); err != nil || b == nil {
			return nil, err
		}
	}
	return b, nil
}

func first(d pdfDict, keys ...string) any {
	for _, k := range keys {
		if v := d[k]; v != nil {
			return v
		}
	}
	return nil
}

func (f *pdfFile) unpack(filter any, parm pdfDict, b []byte) (out []byte, err error) {
	switch filter {
	case pdfName("FlateDecode"), pdfName("Fl"):
		out, err = f.inflate(b)
	case pdfName("LZWDecode"), pdfName("LZW"):
		early := true
		if v, ok := parm["EarlyChange"].(float64); ok {
			early = v != 0
		}
		out = lzw(b, early)
	case pdfName("ASCIIHexDecode"), pdfName("AHx"):
		out = []byte((&lexer{b: append([]byte("<"), b...)}).hex())
	case pdfName("ASCII85Decode"), pdfName("A85"):
		out = from85(b)
	case pdfName("RunLengthDecode"), pdfName("RL"):
		out = runs(b)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := f.s.spend(len(out)); err != nil {
		return nil, err
	}
	return f.predict(parm, out)
}

func (f *pdfFile) inflate(b []byte) ([]byte, error) {
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, nil //nolint:nilerr // damaged: nothing comes out
	}
	defer func() { _ = z.Close() }()
	var out bytes.Buffer
	for {
		n, err := io.CopyN(&out, z, 64<<10)
		if out.Len() > mostStream {
			return nil, ErrLimit
		}
		if err := f.s.ctx.Err(); err != nil {
			return nil, err
		}
		if err != nil || n == 0 {
			return out.Bytes(), nil //nolint:nilerr // what is damaged ends here
		}
	}
}

// predict undoes that each row says how it differs from the one before.
func (f *pdfFile) predict(parm pdfDict, b []byte) ([]byte, error) {
	kind, err := f.number(parm["Predictor"])
	if err != nil || kind < 10 {
		return b, err // 2 is for pictures
	}
	columns, bits, colors := 1, 8, 1
	for key, to := range map[string]*int{"Columns": &columns, "BitsPerComponent": &bits, "Colors": &colors} {
		n, err := f.number(parm[key])
		if err != nil {
			return nil, err
		}
		if n >= 1 && n <= 1<<20 {
			*to = int(n)
		}
	}
	size := (columns*min(bits, 16)*min(colors, 32) + 7) / 8
	pixel := max(1, min(bits, 16)*min(colors, 32)/8)
	if size+1 > len(b) {
		return b, nil
	}
	before := make([]byte, size)
	var out []byte
	for ; len(b) > size; b = b[size+1:] {
		line := b[1 : size+1]
		unfilter(b[0], line, before, pixel)
		out = append(out, line...)
		before = line
	}
	return out, nil
}

// unfilter undoes PNG's filter of one row, in place.
func unfilter(kind byte, line, above []byte, pixel int) {
	at := func(b []byte, i int) int {
		if i < 0 {
			return 0
		}
		return int(b[i])
	}
	for i := range line {
		left, up, corner := at(line, i-pixel), at(above, i), at(above, i-pixel)
		add := 0
		switch kind {
		case 1:
			add = left
		case 2:
			add = up
		case 3:
			add = (left + up) / 2
		case 4:
			add = paeth(left, up, corner)
		}
		line[i] += byte(add)
	}
}

func paeth(left, up, corner int) int {
	p := left + up - corner
	a, b, c := abs(p-left), abs(p-up), abs(p-corner)
	switch {
	case a <= b && a <= c:
		return left
	case b <= c:
		return up
	}
	return corner
}

func abs(n int) int { return max(n, -n) }

func from85(b []byte) []byte {
	b = bytes.TrimPrefix(bytes.TrimSpace(b), []byte("<~"))
	if end := bytes.IndexByte(b, '~'); end >= 0 {
		b = b[:end]
	}
	out := make([]byte, 4*len(b)+4) // each z is four bytes
	n, _, _ := ascii85.Decode(out, b, true)
	return out[:n]
}

func runs(b []byte) (out []byte) {
	for len(b) > 1 && len(out) < mostStream {
		n := int(b[0])
		switch {
		case n == 128:
			return out
		case n < 128:
			n = min(n+1, len(b)-1)
			out = append(out, b[1:n+1]...)
			b = b[n+1:]
		default:
			out = append(out, bytes.Repeat(b[1:2], 257-n)...)
			b = b[2:]
		}
	}
	return out
}

// lzw unpacks what old PDFs are packed with: codes of 9 to 12 bits, the first
// bit first. early is when a code becomes longer: one code before it must.
func lzw(b []byte, early bool) (out []byte) {
	const clear, end = 256, 257
	type entry struct {
		at, n int // in out
	}
	table := make([]entry, 258, 4096)
	var last entry
	have, bits, width, shift := uint32(0), 0, 9, 0
	if early {
		shift = 1
	}
	for {
		for bits < width {
			if len(b) == 0 {
				return out
			}
			have, bits, b = have<<8|uint32(b[0]), bits+8, b[1:]
		}
		code := int(have>>(bits-width)) & (1<<width - 1)
		bits -= width
		begin := len(out)
		switch {
		case code == end || begin > mostStream:
			return out
		case code == clear:
			table, width, last = table[:258], 9, entry{}
			continue
		case code < 256:
			out = append(out, byte(code))
		case code < len(table):
			e := table[code]
			out = append(out, out[e.at:e.at+e.n]...)
		case code == len(table) && last.n > 0:
			out = append(out, out[last.at:last.at+last.n]...)
			out = append(out, out[last.at])
		default:
			return out
		}
		if last.n > 0 && len(table) < 4096 {
			table = append(table, entry{last.at, last.n + 1})
		}
		last = entry{begin, len(out) - begin}
		switch n := len(table) + shift; {
		case n >= 2048:
			width = 12
		case n >= 1024:
			width = 11
		case n >= 512:
			width = 10
		}
	}
}
