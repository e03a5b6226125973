package ingest

import (
	"strings"
	"unicode/utf16"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// font turns the bytes that a page shows into text, and says how wide they are.
type font struct {
	sizes   []codes            // how many bytes a code has, by its value; none: bytes
	bytes   int                // of a code, where sizes says nothing
	unicode map[uint32]string  // by code
	simple  *[256]string       // by byte, where unicode has nothing
	charset encoding.Encoding  // of the bytes, where the font's name for its codes says so
	widths  map[uint32]float64 // by code, in thousandths of the size
	width   float64            // where widths has nothing
}

// codes is a range of codes that have one length.
type codes struct {
	bytes  int
	lo, hi uint32
}

// The limits of one font.
const (
	mostCodes = 1 << 17
	mostFonts = 2000
	// costOfCode is what noting one code takes, in bytes that are parsed meanwhile.
	costOfCode = 32
)

// font reads a font's dictionary.
func (f *pdfFile) font(v any) (*font, error) {
	d, _, err := f.dict(v)
	if err != nil || d == nil {
		return nil, err
	}
	out := &font{bytes: 1, width: 500, unicode: map[uint32]string{}, widths: map[uint32]float64{}}
	kind, err := f.resolve(d["Subtype"])
	if err != nil {
		return nil, err
	}
	if kind == pdfName("Type0") {
		err = f.composite(d, out)
	} else {
		err = f.simple(d, out)
	}
	if err != nil {
		return nil, err
	}
	_, s, err := f.dict(d["ToUnicode"])
	if err != nil || s.raw == nil {
		return out, err
	}
	b, err := f.decode(s)
	if err != nil {
		return nil, err
	}
	return out, f.cmap(b, out)
}

// simple reads a font whose codes are bytes.
func (f *pdfFile) simple(d pdfDict, out *font) error {
	enc, err := f.resolve(d["Encoding"])
	if err != nil {
		return err
	}
	base := enc
	var differences pdfList
	if e, ok := enc.(pdfDict); ok {
		base = e["BaseEncoding"]
		if differences, err = f.list(e["Differences"]); err != nil {
			return err
		}
	}
	out.simple = table(base)
	code := 0
	for _, v := range differences {
		switch v := v.(type) {
		case float64:
			code = int(v)
		case pdfName:
			if code >= 0 && code < 256 {
				out.simple[code] = glyph(string(v))
			}
			code++
		}
	}
	begin, err := f.number(d["FirstChar"])
	if err != nil {
		return err
	}
	widths, err := f.list(d["Widths"])
	for i, w := range widths {
		if n, ok := w.(float64); ok && i < 256 && begin >= 0 && begin < 256 {
			out.widths[uint32(begin)+uint32(i)] = n
		}
	}
	return err
}

// table is a simple font's encoding. The standard one differs from Windows' in
// marks that few texts have.
func table(name any) *[256]string {
	m := charmap.Windows1252
	if name == pdfName("MacRomanEncoding") {
		m = charmap.Macintosh
	}
	out := &[256]string{}
	for i := range out {
		if r := m.DecodeByte(byte(i)); i >= 0x20 && r != '\ufffd' {
			out[i] = string(r)
		}
	}
	if name == nil {
		for code, text := range map[int]string{0xae: "fi", 0xaf: "fl", 0xb1: "–", 0xd0: "—", 0xaa: "“", 0xba: "”", 0xb7: "•"} {
			out[code] = text
		}
	}
	return out
}

// composite reads a font whose codes are longer.
func (f *pdfFile) composite(d pdfDict, out *font) error {
	out.bytes, out.width = 2, 1000
	enc, err := f.resolve(d["Encoding"])
	if err != nil {
		return err
	}
	if name, ok := enc.(pdfName); ok {
		out.charset = charsetOf(string(name))
	}
	list, err := f.list(d["DescendantFonts"])
	if err != nil || len(list) == 0 {
		return err
	}
	below, _, err := f.dict(list[0])
	if err != nil {
		return err
	}
	if w, err := f.number(below["DW"]); err != nil {
		return err
	} else if w > 0 {
		out.width = w
	}
	widths, err := f.list(below["W"])
	if err != nil {
		return err
	}
	return f.cidWidths(widths, out)
}

// cidWidths reads "first [w w w]" and "first last w".
func (f *pdfFile) cidWidths(list pdfList, out *font) error {
	for i := 0; i+1 < len(list); {
		begin := whole(list[i])
		next, err := f.resolve(list[i+1])
		if err != nil {
			return err
		}
		if each, ok := next.(pdfList); ok {
			for j, w := range each {
				if n, ok := w.(float64); ok && begin >= 0 && len(out.widths) < mostCodes {
					out.widths[uint32(begin)+uint32(j)] = n //nolint:gosec // a code
				}
			}
			i += 2
			continue
		}
		if i+2 >= len(list) {
			break
		}
		w, _ := list[i+2].(float64)
		if err := f.burn(min(max(whole(next)-begin, 0), 1<<16) * costOfCode); err != nil {
			return err
		}
		for code := begin; code >= 0 && code <= min(whole(next), 0xffff) && len(out.widths) < mostCodes; code++ {
			out.widths[uint32(code)] = w //nolint:gosec // a code
		}
		i += 3
	}
	return nil
}

// charsetOf is what the codes of a font are, by the name that Adobe gave to them.
func charsetOf(name string) encoding.Encoding {
	for part, e := range map[string]encoding.Encoding{
		"90ms-RKSJ": japanese.ShiftJIS, "90msp-RKSJ": japanese.ShiftJIS, "83pv-RKSJ": japanese.ShiftJIS, "EUC-H": japanese.EUCJP,
		"GBK": simplifiedchinese.GB18030, "GB-EUC": simplifiedchinese.GB18030, "ETen-B5": traditionalchinese.Big5,
		"B5pc": traditionalchinese.Big5, "KSC": korean.EUCKR, "UCS2": utf16be{}, "UTF16": utf16be{},
	} {
		if strings.HasPrefix(name, part) || strings.HasPrefix(part, "U") && strings.Contains(name, part) {
			return e
		}
	}
	return nil
}

// utf16be stands for codes that are UTF-16 themselves.
type utf16be struct{ encoding.Encoding }

// cmap reads which codes mean which text.
func (f *pdfFile) cmap(b []byte, out *font) error {
	l := lexer{b: b}
	var args []any
	for l.skip(); !l.done(); l.skip() {
		v := l.value()
		op, ok := v.(pdfWord)
		if !ok {
			if len(args) < mostItems {
				args = append(args, v)
			}
			continue
		}
		switch op {
		case "endcodespacerange":
			for i := 0; i+1 < len(args) && len(out.sizes) < 64; i += 2 {
				lo, hi := asText(args[i]), asText(args[i+1])
				if len(lo) == len(hi) && len(lo) > 0 && len(lo) <= 4 {
					out.sizes = append(out.sizes, codes{len(lo), code(lo), code(hi)})
				}
			}
		case "endbfchar":
			for i := 0; i+1 < len(args) && len(out.unicode) < mostCodes; i += 2 {
				out.unicode[code(asText(args[i]))] = from16(asText(args[i+1]))
			}
		case "endbfrange":
			for i := 0; i+2 < len(args); i += 3 {
				lo, hi := code(asText(args[i])), code(asText(args[i+1]))
				if err := f.burn(int(min(max(hi, lo)-lo, 1<<16)) * costOfCode); err != nil {
					return err
				}
				out.add(lo, hi, args[i+2])
			}
		}
		args = args[:0]
	}
	return f.burn(len(b))
}

// add notes what a range of codes means.
func (o *font) add(lo, hi uint32, to any) {
	list, _ := to.(pdfList)
	runes := []rune(from16(asText(to)))
	for c := lo; c <= hi && c-lo < 1<<16 && len(o.unicode) < mostCodes; c++ {
		switch i := int(c - lo); {
		case list != nil && i < len(list):
			o.unicode[c] = from16(asText(list[i]))
		case list == nil && len(runes) > 0:
			next := append([]rune(nil), runes...)
			next[len(next)-1] += rune(i) //nolint:gosec // under 65,536
			o.unicode[c] = string(next)
		default:
			return
		}
	}
}

func asText(v any) string {
	s, _ := v.(pdfText)
	return string(s[:min(len(s), 64)])
}

func code(s string) (n uint32) {
	for i := range min(len(s), 4) {
		n = n<<8 | uint32(s[i])
	}
	return n
}

func from16(s string) string {
	units := make([]uint16, 0, len(s)/2)
	for i := 0; i+1 < len(s); i += 2 {
		units = append(units, uint16(s[i])<<8|uint16(s[i+1]))
	}
	return string(utf16.Decode(units))
}

// next takes one code off s: what it means, how wide it is, and whether it is a
// blank that the spacing of words counts for.
func (o *font) next(s string) (text string, width float64, n int) {
	n = min(o.bytes, len(s))
	for _, c := range o.sizes {
		if v := code(s[:min(c.bytes, len(s))]); len(s) >= c.bytes && c.lo <= v && v <= c.hi {
			n = c.bytes
			break
		}
	}
	if o.charset != nil {
		return o.decode(s)
	}
	c := code(s[:n])
	width, ok := o.widths[c]
	if !ok {
		width = o.width
	}
	text, ok = o.unicode[c]
	if !ok && o.simple != nil && c < 256 {
		text = o.simple[c]
	}
	return text, width, n
}

// decode takes one character off bytes of a known encoding.
func (o *font) decode(s string) (text string, width float64, n int) {
	if _, ok := o.charset.(utf16be); ok {
		n = min(2, len(s))
		if len(s) >= 4 && utf16.IsSurrogate(rune(s[0])<<8|rune(s[1])) {
			n = 4
		}
		return from16(s[:n]), o.width, n
	}
	for n = 1; n <= min(2, len(s)); n++ {
		b, err := o.charset.NewDecoder().Bytes([]byte(s[:n]))
		if t := string(b); err == nil && !strings.Contains(t, "\ufffd") {
			return t, o.width * float64(n) / 2, n
		}
	}
	return "", o.width, 1
}
