package known_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/vault/leak/known"
)

// shortest has as many characters as one must have to be recognised.
const shortest = "Qx7vR2mN9pL4"

// squeezed packs just what it is given.
func squeezed(s string) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return out.String()
}

func deflated(level int) func(string) string {
	return func(s string) string {
		var out bytes.Buffer
		w, _ := zlib.NewWriterLevel(&out, level)
		_, _ = io.WriteString(w, s)
		_ = w.Close()
		return out.String()
	}
}

func b32(s string) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(s))
}

func hexed(s string) string { return hex.EncodeToString([]byte(s)) }

// TestShortest: the shortest value, with nothing around it or only what belongs
// to no code, is found in each encoding, and nothing else is hidden.
func TestShortest(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"as it stands", shortest, "*"},
		{"a character less", shortest[1:], shortest[1:]},
		{"hexadecimal", "<" + hexed(shortest) + ">", "<*>"},
		{"hexadecimal, nothing around", hexed(shortest), "*"},
		{"hexadecimal, a digit off", "<7" + hexed(shortest) + ">", "<7*>"},
		{"hexadecimal, with more", "<" + hexed("-"+shortest+"-") + ">", "<2d*2d>"},
		{"hexadecimal, a character less", hexed(shortest[1:]), hexed(shortest[1:])},
		{"base64", "<" + b64(shortest) + ">", "<*>"},
		{"base64, nothing around", b64(shortest), "*"},
		{"base64, a digit off", "<A" + b64(shortest) + ">", "<A*>"},
		{"base64, two digits off", "<AA" + b64(shortest) + ">", "<AA*>"},
		{"base64, three digits off", "<AAA" + b64(shortest) + ">", "<AAA*>"},
		{"base32", "<" + b32(shortest) + ">", "<*>"},
		{"base32, nothing around", b32(shortest), "*"},
		{"base32, a digit off", "<A" + b32(shortest) + ">", "<A*>"},
		{"base32, seven digits off", "<AAAAAAA" + b32(shortest) + ">", "<AAAAAAA*>"},
		{"base32, in soft lines", "<" + b32(shortest)[:9] + "=\n" + b32(shortest)[9:] + ">", "<*>"},
		{"binary", "<" + each(shortest, "%08b") + ">", "<*>"},
		{"binary, nothing around", each(shortest, "%08b"), "*"},
		{"binary, seven digits off", "<1111111" + each(shortest, "%08b") + ">", "<1111111*>"},
		{"decimal", "<" + strings.TrimSpace(each(shortest, "%d ")) + ">", "<*>"},
		{"decimal, nothing around", strings.TrimSpace(each(shortest, "%d ")), "*"},
		{"decimal, with zeros", "<" + strings.TrimSpace(each(shortest, "00%d ")) + ">", "<*>"},
		{"decimal, too large", strings.TrimSpace(strings.Replace(each(shortest, "%d "), "55", "128", 1)), "81 120 128 118 82 50 109 78 57 112 76 52"},
		{"octal", "<" + strings.TrimSpace(each(shortest, "%o ")) + ">", "<*>"},
		{"octal, nothing around", strings.TrimSpace(each(shortest, "%o ")), "*"},
		{"not octal", "121 168 67 166 122 62 155 116 71 160 114 64", "121 168 67 166 122 62 155 116 71 160 114 64"},
		{"decimal without gaps", "<" + each(shortest, "%03d") + ">", "<*>"},
		{"decimal without gaps, two digits off", "<99" + each(shortest, "%03d") + ">", "<99*>"},
		{"decimal without gaps, nothing around", each(shortest, "%03d"), "*"},
		{"octal without gaps", each(shortest, "%03o"), "*"},
		{"UTF-16 in base64", b64(wide(shortest)), "*A"},
		{"UTF-16 in hexadecimal", hexed(wide(shortest)), "*00"},
		{"spaces in base64", b64("Qx7vR2 mN9pL4"), "*=="},
		{"gzip", squeezed(shortest), "*"},
		{"gzip in base64", b64(squeezed(shortest)), "*"},
		{"gzip in hexadecimal", hexed(squeezed(shortest)), "*"},
		{"gzip of a character less", squeezed(shortest[1:]), squeezed(shortest[1:])},
		{"zlib", deflated(9)(shortest), "*"},
		{"after a character that is none", "\u0080" + shortest, "\u0080*"},
	}
	b := taught(shortest)
	for _, tt := range tests {
		if got := hidden(b, tt.text); got != tt.want {
			t.Errorf("%s: %q becomes %q, want %q", tt.name, tt.text, got, tt.want)
		}
		if b.Holds([]byte(tt.text)) != (tt.want != tt.text) {
			t.Errorf("%s: Holds and Find disagree", tt.name)
		}
	}
}

// TestLettersCount: the first and last letters and digits count.
func TestLettersCount(t *testing.T) {
	for _, value := range []string{"09AZazQ7vR2m", "00zz99aaBZ1q", "QxZvR2mN1pL4", "Qx9vR2mN1pL4"} {
		if text := join(strings.ToUpper(value), " "); hidden(taught(value), text) != "*" {
			t.Errorf("%q is not found in %q", value, text)
		}
	}
}

// TestSideBySide: values that touch are one place.
func TestSideBySide(t *testing.T) {
	b := taught(shortest, "kJ93hfQ2lsPq")
	if got := hidden(b, "<"+shortest+"kJ93hfQ2lsPq>"); got != "<*>" {
		t.Error(got)
	}
	if found := b.Find([]byte(shortest + "kJ93hfQ2lsPq")); len(found) != 1 {
		t.Error(found)
	}
}

// TestLevels: whatever level zlib writes into its header, also within a code.
func TestLevels(t *testing.T) {
	b := taught(secret)
	for _, level := range []int{1, 5, 6, 9} {
		packed := deflated(level)(secret)
		for name, text := range map[string]string{"as it stands": packed, "in base64": b64(packed), "in hexadecimal": hexed(packed)} {
			if !b.Holds([]byte(text)) {
				t.Errorf("level %d %s is missed", level, name)
			}
		}
	}
}

// TestDepth: four encodings within each other are read, and not a fifth: how
// long a text takes must not depend on who wrote it.
func TestDepth(t *testing.T) {
	tests := []struct {
		name   string
		encode func(string) string
	}{
		{"HTML", func(s string) string {
			if strings.Contains(s, "&") {
				return strings.ReplaceAll(s, "&", "&amp;")
			}
			return each(s, "&#x%x;")
		}},
		{"base64", b64},
		{"UTF-16 in base64", func(s string) string { return b64(wide(s)) }},
		{"gzip in base64", func(s string) string { return b64(squeezed(s)) }},
	}
	b := taught(secret)
	for _, tt := range tests {
		text := secret
		for depth := 1; depth <= 5; depth++ {
			text = tt.encode(text)
			if got := b.Holds([]byte(text)); got != (depth <= 4) {
				t.Errorf("%s, %d times: found %v", tt.name, depth, got)
			}
		}
	}
}

// TestAmount: no more is unpacked than a text may cost, be it large or not to
// be unpacked at all; and what is less is read to its end.
func TestAmount(t *testing.T) {
	large := squeezed(strings.Repeat("0", 1<<20))
	tests := []struct {
		name  string
		text  string
		found bool
	}{
		{"one that is large", large, true},
		{"ten that are large", strings.Repeat(large, 10), false},
		{"some that are broken", strings.Repeat("x\x9c!", 200), true},
		{"many that are broken", strings.Repeat("x\x9c!", 300), false},
	}
	b := taught(secret)
	for _, tt := range tests {
		if got := b.Holds([]byte(tt.text + squeezed(secret))); got != tt.found {
			t.Errorf("%s: what comes after is found: %v", tt.name, got)
		}
		if !b.Holds([]byte(tt.text + secret)) {
			t.Errorf("%s: what stands there unpacked is not found", tt.name)
		}
	}
}

// TestPromising: which bytes are worth to be looked at.
func TestPromising(t *testing.T) {
	tests := []struct {
		name, plain string
		want        bool
	}{
		{"text", "abcdefghijkl", true},
		{"text after other bytes", "\xff\xfe\xfdabcdefghijkl", true},
		{"too short a text", "abcdefghijk", false},
		{"two that are too short", "abcdefghijk\xffabcdefghijk", false},
		{"two with a zero between", "abcdefghijk\x00abcdefghijk", false},
		{"the first and last signs", "abcdef ~~ijk", true},
		{"a sign that is none", "abcdef\x7f~~ijk", false},
		{"UTF-16", strings.Repeat("a\x00", 12), true},
		{"too short in UTF-16", strings.Repeat("a\x00", 11), false},
		{"gzip", "\x1f\x8b", true},
		{"gzip after other bytes", "\xff\x1f\x8b\xff", true},
		{"gzip, the second byte", "\xff\x8b", false},
		{"gzip, the first byte", "\x1f\xff", false},
		{"zlib", "\x78\x9c", true},
		{"zlib of another level", "\x78\x5e", true},
		{"zlib, the second byte", "\xff\x9c", false},
		{"zlib, the first byte", "\x78\xff", false},
		{"nothing", strings.Repeat("\xff", 100), false},
	}
	for _, tt := range tests {
		if got := known.Promising([]byte(tt.plain)); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// TestSparse: of a long value all windows of its beginning are kept, and then
// each fourth.
func TestSparse(t *testing.T) {
	text := random(rand.New(rand.NewPCG(5, 6)), 2048+known.Window+8)
	windows, _ := known.Cut(text, 1, nil)
	var want []string
	for i := range 2048 {
		want = append(want, text[i:i+known.Window])
	}
	for _, i := range []int{2048, 2052, 2056} {
		want = append(want, text[i:i+known.Window])
	}
	if fmt.Sprint(windows) != fmt.Sprint(want) {
		t.Errorf("%d windows, want %d", len(windows), len(want))
	}
}

// TestFilled: the bitmap is large enough to rule out nearly everything, however
// much is learnt, and not much larger.
func TestFilled(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	b := known.New()
	for _, n := range []int{12, 2000, 12, 8000, 40} {
		b.Learn("", []byte(random(r, n)))
		size, set, windows := known.Filled(b)
		if size < 32*windows || size > max(1<<15, 2*2*32*windows) {
			t.Errorf("%d bits for %d windows", size, windows)
		}
		if set > 2*windows || set < 2*windows*9/10 {
			t.Errorf("%d bits are set for %d windows", set, windows)
		}
	}
}
