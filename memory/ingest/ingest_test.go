package ingest_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"

	"github.com/gatehouse-chat/gatehouse/memory/ingest"
)

func read(t *testing.T, name, file string) ingest.Document {
	t.Helper()
	d, err := ingest.Read(t.Context(), name, []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTexts(t *testing.T) {
	for _, c := range []struct {
		name, file string
		want       ingest.Document
	}{
		{"a.txt", "One.\r\n\r\nTwo.\rThree.\n", ingest.Document{Title: "a.txt", Text: "One.\n\nTwo.\nThree."}},
		{`C:\docs\a.txt`, "\xef\xbb\xbfOne.", ingest.Document{Title: "a.txt", Text: "One."}},
		{"noname", "庭は緑です。", ingest.Document{Title: "noname", Text: "庭は緑です。"}},
		{"a.md", "Intro\n\n# The house #\n\nText.", ingest.Document{Title: "The house", Text: "Intro\n\n# The house #\n\nText."}},
		{
			"a.md", "---\ntags: [a]\ntitle: \"The garden\"\n---\n# Other\n",
			ingest.Document{Title: "The garden", Text: "# Other"},
		},
		{"a.md", "---\nnot front matter", ingest.Document{Title: "a.md", Text: "---\nnot front matter"}},
		{"main.go", "package main\n\nvar a = \"```\"\n", ingest.Document{Title: "main.go", Text: "````go\npackage main\n\nvar a = \"```\"\n````"}},
		{"a.csv", "name,key\nhouse,mat\n", ingest.Document{Title: "a.csv", Text: "name,key\nhouse,mat"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, read(t, c.name, c.file)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestEncodings(t *testing.T) {
	for _, c := range []struct {
		name string
		e    encoding.Encoding
		text string
	}{
		{"Shift JIS", japanese.ShiftJIS, "庭は緑です。家の鍵は玄関のマットの下にあります。"},
		{"EUC-JP", japanese.EUCJP, "庭は緑です。家の鍵は玄関のマットの下にあります。"},
		{"GB18030", simplifiedchinese.GB18030, "花园是绿色的。房子的钥匙在门口的垫子下面。"},
		{"Big5", traditionalchinese.Big5, "花園是綠色的。房子的鑰匙在門口的墊子下面。"},
		{"EUC-KR", korean.EUCKR, "정원은 푸르다. 집 열쇠는 현관 매트 아래에 있습니다."},
		{"Windows-1251", charmap.Windows1251, "Сад зелёный. Ключ от дома лежит под ковриком у двери."},
		{"Windows-1252", charmap.Windows1252, "Der Garten ist grün. Der Schlüssel liegt unter der Fußmatte, übrigens."},
		{"UTF-16, little", unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), "庭は緑です。"},
		{"UTF-16, big", unicode.UTF16(unicode.BigEndian, unicode.UseBOM), "The garden is green."},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := c.e.NewEncoder().Bytes([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, "a.txt", string(b)).Text; got != c.text {
				t.Errorf("%q", got)
			}
		})
	}
	page, err := japanese.ShiftJIS.NewEncoder().String(`<html><meta charset="shift_jis"><title>庭</title><p>緑です。`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ingest.Document{Title: "庭", Text: "緑です。"}, read(t, "a.html", page)); diff != "" {
		t.Error(diff)
	}
}

func TestHTML(t *testing.T) {
	for _, c := range []struct{ name, page, title, text string }{
		{
			"blocks",
			`<!DOCTYPE html><html><head><title>The
 house &amp; garden</title><style>p{}</style></head><body><nav>Home</nav><h1>House</h1>
<p>The <b>key</b> is
 under the&nbsp;mat.</p><div>Door<br>brown</div><script>alert("<p>no</p>")</script><h3>Car</h3>x</body>`,
			"The house & garden",
			"# House\n\nThe key is under the mat.\n\nDoor\nbrown\n\n### Car\n\nx",
		},
		{
			"lists", `<ul><li>one<li><p>two</p><ul><li>deep</ul></li></ul><ol><li>three</ol>`, "a.html",
			"- one\n- two\n  - deep\n- three",
		},
		{"code", "<p>Run</p><pre><code>make  run\n\n  test</code></pre>after", "a.html", "Run\n\n```\nmake  run\n\n  test\n```\n\nafter"},
		{
			"tables", `<table><tr><th>name<th>key</tr><tr><td><p>house</p></td><td>mat</td></tr></table><p>end`, "a.html",
			"name | key\nhouse | mat\n\nend",
		},
		{"quotation", `<blockquote>Said</blockquote>x`, "a.html", "> Said\n\nx"},
		{"pictures", `<p>A<img src=x alt="cat">here`, "a.html", "A cat here"},
		{"what is not shown", `<svg><text>a</text><svg>b</svg></svg><template>t</template><noscript>n</noscript>c`, "a.html", "c"},
		{"broken", `<p><<a <b>x</i></p></p></div><h2>y`, "a.html", "<x\n\n## y"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(ingest.Document{Title: c.title, Text: c.text}, read(t, "a.html", c.page)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
	if got := read(t, "page", "\n <HTML><p>a").Text; got != "a" {
		t.Errorf("a page without a name that says so: %q", got)
	}
}

// pack makes a ZIP archive of names and texts in turns.
func pack(t testing.TB, parts ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		w, err := z.Create(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(parts[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const (
	styles = `<w:styles xmlns:w="w"><w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
<w:style w:styleId="Titel"><w:name w:val="Title"/></w:style></w:styles>`
	word = `<?xml version="1.0" encoding="UTF-8"?><w:document xmlns:w="w"><w:body>
<w:p><w:pPr><w:pStyle w:val="Titel"/></w:pPr><w:r><w:t>The </w:t></w:r><w:r><w:t>house</w:t></w:r></w:p>
<w:p><w:pPr><w:pStyle w:val="berschrift1"/></w:pPr><w:r><w:t>Keys</w:t></w:r></w:p>
<w:p><w:r><w:t xml:space="preserve">The key is </w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins><w:r><w:t>here</w:t></w:r></w:ins><w:r><w:br/><w:t>or there.</w:t></w:r></w:p>
<w:p><w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr></w:pPr><w:r><w:t>one</w:t></w:r></w:p>
<w:p><w:pPr><w:numPr><w:ilvl w:val="1"/><w:numId w:val="1"/></w:numPr></w:pPr><w:r><w:t>two</w:t></w:r></w:p>
<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>c</w:t></w:r></w:p></w:tc></w:tr>
<w:tr><w:tc><w:p><w:r><w:t>d</w:t></w:r></w:p></w:tc><w:tc><w:p/></w:tc></w:tr></w:tbl>
<w:p><mc:AlternateContent><mc:Choice><w:r><w:t>once</w:t></w:r></mc:Choice><mc:Fallback><w:r><w:t>twice</w:t></w:r></mc:Fallback></mc:AlternateContent></w:p>
<w:p><w:pPr><w:outlineLvl w:val="2"/></w:pPr><w:r><w:t>deep</w:t></w:r></w:p>
</w:body></w:document>`
)

func TestWord(t *testing.T) {
	want := ingest.Document{
		Title: "The house",
		Text:  "# The house\n\n# Keys\n\nThe key is here\nor there.\n\n- one\n  - two\n\na b | c\nd |\n\nonce\n\n### deep\n\nA note.",
	}
	notes := `<w:footnotes xmlns:w="w"><w:footnote><w:p><w:r><w:t>A note.</w:t></w:r></w:p></w:footnote></w:footnotes>`
	got := read(t, "a.docx", pack(t, "word/styles.xml", styles, "word/document.xml", word, "word/footnotes.xml", notes))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	core := `<cp:coreProperties><dc:title>Deeds &amp; keys</dc:title></cp:coreProperties>`
	got = read(t, "a.docx", pack(t, "word/document.xml", word, "docProps/core.xml", core))
	if got.Title != "Deeds & keys" {
		t.Errorf("title %q", got.Title)
	}
}

// bomb is a ZIP archive whose document is many zeros, as often as it is told.
func bomb(t *testing.T, head string, megabytes int) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("word/document.xml")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte(head))
	block := bytes.Repeat([]byte("a"), 1<<20)
	for range megabytes {
		_, _ = w.Write(block)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWhatIsRefused(t *testing.T) {
	short := pack(t, "word/document.xml", word)
	for _, c := range []struct {
		name, file string
		want       error
	}{
		{"a.txt", "", ingest.ErrEmpty},
		{"a.txt", " \n\t\r\n", ingest.ErrEmpty},
		{"a.html", "<script>x</script>", ingest.ErrEmpty},
		{"a.txt", strings.Repeat("a", ingest.MostText+1), ingest.ErrLimit},
		{"a.html", "<p>" + strings.Repeat("a ", ingest.MostText/2+1), ingest.ErrLimit},
		{"a.txt", strings.Repeat("a", ingest.MostFile+1), ingest.ErrLimit},
		{"a.html", "<p " + strings.Repeat("a", 5<<20), ingest.ErrLimit},
		{"a.png", "\x89PNG\r\n\x1a\n\x00\x00", ingest.ErrKind},
		{"a.txt", "text\x00", ingest.ErrKind},
		{"a.xlsx", pack(t, "xl/workbook.xml", "<a/>"), ingest.ErrKind},
		{"a.doc", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ingest.ErrKind},
		{"a.docx", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ingest.ErrLocked},
		{"a.docx", "PK\x03\x04", ingest.ErrBroken},
		{"a.docx", short[:len(short)/2], ingest.ErrBroken},
		{"a.docx", pack(t, "word/document.xml", "<w:document><w:t>secret text</w:t"), ingest.ErrBroken},
		{"a.docx", pack(t, "word/document.xml", "<w:document>&secret;</w:document>"), ingest.ErrBroken},
		{"a.docx", pack(t, "word/document.xml", strings.Repeat("<a>", 300)), ingest.ErrLimit},
		{"a.docx", bomb(t, "<w:document><w:t>", 50), ingest.ErrLimit},
		{"a.docx", bomb(t, "<w:document><w:t>", 9), ingest.ErrLimit},
		{"a.docx", bomb(t, "<!--", 50), ingest.ErrLimit},
	} {
		_, err := ingest.Read(t.Context(), c.name, []byte(c.file))
		if !errors.Is(err, c.want) {
			t.Errorf("%s with %.20q: %v, want %v", c.name, c.file, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("an error repeats the file: %v", err)
		}
	}
}

// A billion laughs: entities that expand to entities are not expanded at all.
func TestEntitiesAreNotExpanded(t *testing.T) {
	lol := `<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><w:document><w:p><w:r><w:t>x&b;</w:t></w:r></w:p></w:document>`
	if _, err := ingest.Read(t.Context(), "a.docx", []byte(pack(t, "word/document.xml", lol))); !errors.Is(err, ingest.ErrBroken) {
		t.Error(err)
	}
}

// A part that says that it is short, and is not, is held to the limit as well.
func TestASizeThatIsALie(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	text := []byte("<w:t>" + strings.Repeat("a", 1000) + "</w:t>")
	w, err := z.CreateRaw(&zip.FileHeader{
		Name: "word/document.xml", Method: zip.Store, UncompressedSize64: 10, CompressedSize64: uint64(len(text)), CRC32: crc32.ChecksumIEEE(text),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(text)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ingest.Read(t.Context(), "a.docx", b.Bytes()); err == nil {
		t.Error("it was read")
	}
}

func FuzzRead(f *testing.F) {
	f.Add("a.txt", []byte("text"))
	f.Add("a.html", []byte("<table><tr><td><ul><li><pre>a</pre><h1>b"))
	f.Add("a.html", []byte("<svg><svg></svg><title>a</title></svg><title>b"))
	f.Add("a.md", []byte("---\ntitle: a\n---\n# b"))
	f.Add("a.txt", []byte("\x93\xfa\x96\x7b"))
	f.Add("a.md", []byte("# "+strings.Repeat("庭", 500)))
	f.Fuzz(func(t *testing.T, name string, file []byte) { check(t, name, file) })
}

func FuzzWord(f *testing.F) {
	f.Add(word, styles)
	f.Add("<tbl><tr><tr><tc></tr></tr></tbl><t>a</p></t>", "<style styleId='a'><name val='heading 99'/>")
	f.Fuzz(func(t *testing.T, document, styles string) {
		check(t, "a.docx", []byte(pack(t, "word/document.xml", document, "word/styles.xml", styles)))
	})
}

// check fails when a file is read to what no document is.
func check(t *testing.T, name string, file []byte) {
	t.Helper()
	d, err := ingest.Read(t.Context(), name, file)
	switch {
	case err != nil:
		for _, known := range []error{ingest.ErrKind, ingest.ErrLocked, ingest.ErrEmpty, ingest.ErrLimit, ingest.ErrBroken} {
			if errors.Is(err, known) {
				return
			}
		}
		t.Fatalf("an error of no kind: %v", err)
	case d.Text == "" || strings.TrimSpace(d.Text) != d.Text || strings.ToValidUTF8(d.Text, "") != d.Text:
		t.Fatalf("text %q", d.Text)
	case strings.ContainsAny(d.Title, "\n\r") || len(d.Title) > 280:
		t.Fatalf("title %q", d.Title)
	case strings.Contains(d.Text, "\x00row"):
		t.Fatalf("a mark of the reader's own is in %q", d.Text)
	}
}
