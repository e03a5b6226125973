package ingest_test

import (
	"bytes"
	"compress/zlib"
	"encoding/ascii85"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/japanese"

	"github.com/gatehouse-chat/gatehouse/memory/ingest"
)

// portable writes a PDF of objects, numbered from 1. The first is the
// catalogue.
func portable(objects ...string) string {
	var b strings.Builder
	b.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	for i, o := range objects {
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	b.WriteString("trailer\n<</Root 1 0 R/Info<</Title(\xfe\xff\x5e\xad)>>>>\nstartxref\n0\n%%EOF\n")
	return b.String()
}

// stream is an object with bytes in it.
func stream(dict, b string) string {
	return fmt.Sprintf("<<%s/Length %d>>\nstream\n%s\nendstream", dict, len(b), b)
}

func deflated(b string) string {
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	_, _ = z.Write([]byte(b))
	_ = z.Close()
	return out.String()
}

// page is a PDF of one page with a font F and what it shows.
func page(font, show string, more ...string) string {
	return portable(append([]string{
		"<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1/Resources<</Font<</F 5 0 R>>/XObject<</X 6 0 R>>>>>>",
		"<</Type/Page/Parent 2 0 R/Contents 4 0 R>>", stream("", show), font,
	}, more...)...)
}

const latin = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding/FirstChar 32/Widths[250]>>"

func TestPDF(t *testing.T) {
	shiftJIS, err := japanese.ShiftJIS.NewEncoder().String("庭の鍵")
	if err != nil {
		t.Fatal(err)
	}
	mapped := "1 begincodespacerange <0000> <ffff> endcodespacerange 1 beginbfchar <0001> <5EAD> endbfchar " +
		"2 beginbfrange <0002> <0003> <0041> <0010> <0011> [<00660069> <D83DDC4D>] endbfrange"
	for _, c := range []struct{ name, file, want string }{
		{
			"lines and words",
			page(latin, `BT /F 10 Tf 12 TL 50 700 Td (The key) Tj 10 0 0 10 50 688 Tm T* ET
BT /F 10 Tf 50 688 Td [(is un) -20 (der) -300 (the) ] TJ 60 0 Td (mat.) ' ET`),
			"The key\nis under the\nmat.",
		},
		{
			"a paragraph and a word that is divided",
			page(latin, `BT /F 10 Tf 12 TL 50 700 Td (An ex-) Tj T* (ample) Tj 0 -40 Td (Other) Tj ET`), "An example\n\nOther",
		},
		{
			"a heading",
			page(latin, `BT /F 20 Tf 50 700 Td (House) Tj /F 10 Tf 0 -24 Td (The key is under the mat.) Tj ET`),
			"# House\n\nThe key is under the mat.",
		},
		{"escapes", page(latin, `BT /F 10 Tf (a\(b\)\\ \344c\t(d)) Tj <41 4 2> Tj ET`), `a(b)\ äc (d)AB`},
		{
			"glyphs by name",
			page("<</Subtype/Type1/Encoding<</Differences[65/germandbls/f_i/eacute/uni5EAD 70/a.sc/bullet 75/g12]>>>>", `BT /F 9 Tf (ABCDFGK) Tj ET`),
			"ßfié庭a•",
		},
		{
			"codes of two bytes",
			page("<</Subtype/Type0/Encoding/Identity-H/ToUnicode 6 0 R/DescendantFonts[<</DW 1000/W[1[500 500] 3 3 600]>>]>>",
				`BT /F 9 Tf <000100020003001000110099> Tj ET`, stream("/Filter/FlateDecode", deflated(mapped))),
			"庭ABfi👍",
		},
		{
			"Chinese in UCS-2",
			page("<</Subtype/Type0/Encoding/UniGB-UCS2-H/DescendantFonts[<</DW 1000>>]>>", `BT /F 9 Tf <82B156ED> Tj ET`), "花园",
		},
		{
			"Japanese in Shift JIS",
			page("<</Subtype/Type0/Encoding/90ms-RKSJ-H/DescendantFonts[<</DW 1000>>]>>", "BT /F 9 Tf ("+shiftJIS+") Tj ET"), "庭の鍵",
		},
		{
			"a form, moved and scaled, and a picture on the way",
			page(latin, "BT /F 10 Tf 50 700 Td (a) Tj ET BI /W 1 ID (x) Tj EI q 2 0 0 2 0 0 cm /X Do Q",
				stream("/Subtype/Form/Matrix[1 0 0 1 0 100]", "BT /F 5 Tf (form) Tj ET")),
			"a\n\nform",
		},
		{
			"packed twice",
			strings.Replace(page(latin, ""), stream("", ""),
				stream("/Filter[/ASCII85Decode/FlateDecode]", encode85(deflated("BT /F 9 Tf (packed) Tj ET"))), 1),
			"packed",
		},
		{
			"packed as in the old days",
			strings.Replace(page(latin, ""), stream("", ""), stream("/Filter/LZWDecode", lzwOf("BT /F 9 Tf (ABABABAB) Tj ET")), 1),
			"ABABABAB",
		},
		{
			"an object stream", portable("", stream("/Type/ObjStm/N 4/First 21/Filter/FlateDecode", deflated(
				"1 0 9 30 10 85 5 146 "+"<</Type/Catalog/Pages 9 0 R>>"+" "+"<</Kids[10 0 R]/Resources<</Font<</F 5 0 R>>>>       >>"+
					"<</Type/Page/Contents 3 0 R                                >>"+latin)), stream("", "BT /F 9 Tf (within) Tj ET")),
			"within",
		},
		{
			"a newer version of an object", page(latin, "BT /F 9 Tf (old) Tj ET") +
				"4 0 obj\n" + stream("", "BT /F 9 Tf (new) Tj ET") + "\nendobj\n",
			"new",
		},
		{"a length that is a lie", strings.Replace(page(latin, "BT /F 9 Tf (true) Tj ET"), "/Length 23", "/Length 99999", 1), "true"},
		{"cut off", strings.Split(page(latin, "BT /F 9 Tf (here) Tj ET"), "trailer")[0], "here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := read(t, "a.pdf", c.file).Text; got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	if got := read(t, "a.pdf", page(latin, "BT /F 9 Tf (x) Tj ET")).Title; got != "庭" {
		t.Errorf("title %q", got)
	}
}

func encode85(s string) string {
	out := make([]byte, ascii85.MaxEncodedLen(len(s)))
	return string(out[:ascii85.Encode(out, []byte(s))]) + "~>"
}

// lzwOf packs without the table that makes it short: each byte is a code of
// nine bits, and the table is cleared before it grows out of them.
func lzwOf(s string) string {
	var out []byte
	have, bits := uint32(0), 0
	put := func(code uint32) {
		have, bits = have<<9|code, bits+9
		for bits >= 8 {
			out = append(out, byte(have>>(bits-8)))
			bits -= 8
		}
	}
	put(256)
	for i := range len(s) {
		if i%200 == 199 {
			put(256)
		}
		put(uint32(s[i]))
	}
	put(257)
	put(0)
	return string(out)
}

func TestPages(t *testing.T) {
	show := func(s string) string { return stream("", "BT /F 9 Tf ("+s+") Tj ET") }
	file := portable("<</Type/Catalog/Pages 2 0 R>>", "<</Kids[3 0 R 4 0 R]>>",
		"<</Contents[5 0 R 6 0 R]/Resources<</Font<</F 8 0 R>>>>>>", "<</Contents 7 0 R/Resources<</Font<</F 8 0 R>>>>>>",
		show("one"), show("two"), show("three"), latin)
	if diff := cmp.Diff("[page 1]\n\nonetwo\n\n[page 2]\n\nthree", read(t, "a.pdf", file).Text); diff != "" {
		t.Error(diff)
	}
}

// What these files ask for is endless, or nearly; what is done for them is not.
func TestHostilePDF(t *testing.T) {
	zeros := deflated(strings.Repeat("\x00", 30<<20))
	shows := deflated("BT /F 9 Tf " + strings.Repeat("(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa)Tj ", 300_000))
	for _, c := range []struct {
		name, file string
		want       error
	}{
		{"a password", strings.Replace(page(latin, "x"), "/Root", "/Encrypt 9 0 R/Root", 1), ingest.ErrLocked},
		{"nothing", "%PDF-1.4\n", ingest.ErrBroken},
		{"no pages", portable("<</Type/Catalog>>"), ingest.ErrEmpty},
		{"a scan", page(latin, "q /Im Do Q"), ingest.ErrEmpty},
		{"pages that are their own parents", portable("<</Pages 2 0 R>>", "<</Kids[2 0 R 1 0 R 2 0 R]>>"), ingest.ErrEmpty},
		{"references in a circle", portable("<</Pages 2 0 R>>", "3 0 R", "2 0 R"), ingest.ErrEmpty},
		{"a form within itself", page(latin, "/X Do", stream("/Subtype/Form", "/X Do /X Do")), ingest.ErrEmpty},
		{
			"forms within forms", page(latin, strings.Repeat("/X Do ", 1000), stream("/Subtype/Form", strings.Repeat("/X Do ", 1000))),
			ingest.ErrLimit,
		},
		{"lists in lists", page(latin, strings.Repeat("[", 1<<20)), ingest.ErrEmpty},
		{"dictionaries in dictionaries", portable(strings.Repeat("<</A ", 1<<20)), ingest.ErrBroken},
		{"a bomb", strings.Replace(page(latin, ""), stream("", ""), stream("/Filter/FlateDecode", zeros), 1), ingest.ErrLimit},
		{"two packings of a bomb", strings.Replace(page(latin, ""), stream("", ""),
			stream("/Filter[/FlateDecode/FlateDecode]", deflated(zeros)), 1), ingest.ErrLimit},
		{"too much text", strings.Replace(page(latin, ""), stream("", ""),
			stream("/Filter/FlateDecode", shows), 1), ingest.ErrLimit},
		{"rows without end", strings.Replace(page(latin, ""), stream("", ""),
			stream("/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 99999999999>>", deflated("x")), 1), ingest.ErrEmpty},
		{"codes without end", page("<</Subtype/Type0/ToUnicode 6 0 R>>", "BT /F 9 Tf <ffff> Tj ET",
			stream("", strings.Repeat("<00000000> <ffffffff> <0041> endbfrange ", 10_000))), ingest.ErrLimit},
		{"widths without end", page("<</Subtype/Type0/DescendantFonts[<</W["+strings.Repeat("0 65535 1 ", 40_000)+"]>>]>>", "BT /F 9 Tf ET"), ingest.ErrLimit},
		{"objects without end", "%PDF-1.4 " + manyObjects(), ingest.ErrLimit},
		{"a size that is a lie", portable("", stream("/Type/ObjStm/N 99999999999/First 99999999999", "1 0 2 1")), ingest.ErrBroken},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := ingest.Read(t.Context(), "a.pdf", []byte(c.file)); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

func manyObjects() string {
	var b strings.Builder
	for i := range 500_000 {
		fmt.Fprintf(&b, "%d 0 obj\n", i)
	}
	return b.String()
}

func FuzzPDF(f *testing.F) {
	f.Add(page(latin, `BT /F 10 Tf 12 TL 50 700 Td [(The) -300 (key)] TJ T* (mat) ' 1 2 (x) " ET q 1 0 0 1 0 0 cm /X Do Q BI ID EI`,
		stream("/Subtype/Form/Matrix[1 0 0 1 0 1]", "BT (a) Tj")))
	f.Add(page("<</Subtype/Type0/Encoding/90ms-RKSJ-H/ToUnicode 6 0 R/DescendantFonts[<</W[1[5] 2 3 4]>>]>>", "BT /F 9 Tf <0102> Tj",
		stream("", "1 begincodespacerange <00> <ff> endcodespacerange <01> <02> <0041> 1 endbfrange")))
	f.Add(portable("", stream("/Type/ObjStm/N 1/First 4/Filter/LZWDecode", "1 0 <</Pages 1 0 R/Kids[1 0 R]>>")))
	f.Add(page(latin, "") + "4 0 obj" + stream("/Filter[/A85/RL/AHx]/DecodeParms<</Predictor 15/Columns 3/Colors 2>>", "<~87cURD]i~>"))
	f.Fuzz(func(t *testing.T, file string) { check(t, "a.pdf", []byte(file)) })
}

func BenchmarkPDF(b *testing.B) {
	file := []byte(page(latin, strings.Repeat("BT /F 10 Tf 50 700 Td (The garden behind the house has apple trees.) Tj ET\n", 2000)))
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		if _, err := ingest.Read(b.Context(), "a.pdf", file); err != nil {
			b.Fatal(err)
		}
	}
}
