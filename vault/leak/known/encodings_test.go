package known_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/ascii85"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"mime/quotedprintable"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/gatehouse-chat/gatehouse/vault/leak/known"
)

// secret is what the encodings hide.
const secret = "Zx81-qP4vT7mK2w.B9rL0yNc3GhJ6dSf"

func each(s, format string) string {
	var out strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&out, format, c)
	}
	return out.String()
}

func mapped(s string, f func(r rune) rune) string { return strings.Map(f, s) }

func swap(from, to string) func(string) string {
	a, b := []rune(from), []rune(to)
	return func(s string) string {
		return mapped(s, func(r rune) rune {
			if i := slices.Index(a, r); i >= 0 {
				return b[i]
			}
			return r
		})
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func packed(open func(io.Writer) io.WriteCloser) func(string) string {
	return func(s string) string {
		var out bytes.Buffer
		w := open(&out)
		_, _ = io.WriteString(w, "some words around "+s+" and some behind")
		_ = w.Close()
		return out.String()
	}
}

func gzipped(s string) string {
	return packed(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })(s)
}

func join(s, by string) string { return strings.Join(strings.Split(s, ""), by) }

func reversed(s string) string { b := []byte(s); slices.Reverse(b); return string(b) }

func rotate(by int) func(string) string {
	return func(s string) string {
		return mapped(s, func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z':
				return 'a' + (r-'a'+rune(by))%26
			case r >= 'A' && r <= 'Z':
				return 'A' + (r-'A'+rune(by))%26
			}
			return r
		})
	}
}

func base58(s string) string {
	const letters = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	n, m, out := new(big.Int).SetBytes([]byte(s)), new(big.Int), ""
	for n.Sign() > 0 {
		n.DivMod(n, big.NewInt(58), m)
		out = string(letters[m.Int64()]) + out
	}
	return out
}

func quoted(s string) string {
	var out strings.Builder
	w := quotedprintable.NewWriter(&out)
	_, _ = io.WriteString(w, strings.Repeat("filler=", 9)+s)
	_ = w.Close()
	return out.String()
}

func wide(s string) string {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return string(out)
}

func styled(lower, upper, digit rune) func(string) string {
	return func(s string) string {
		return mapped(s, func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z':
				return lower + r - 'a'
			case r >= 'A' && r <= 'Z':
				return upper + r - 'A'
			case r >= '0' && r <= '9' && digit != 0:
				return digit + r - '0'
			}
			return r
		})
	}
}

func ascii85ed(s string) string {
	out := make([]byte, ascii85.MaxEncodedLen(len(s)))
	return string(out[:ascii85.Encode(out, []byte(s))])
}

func lines(s string, n int) string {
	var out []string
	for chunk := range slices.Chunk([]byte(s), n) {
		out = append(out, string(chunk))
	}
	return strings.Join(out, "\r\n")
}

func morse(s string) string {
	codes := map[rune]string{'z': "--..", 'x': "-..-", '8': "---..", '1': ".----", 'q': "--.-", 'p': ".--."}
	var out []string
	for _, r := range strings.ToLower(s) {
		out = append(out, codes[r])
	}
	return strings.Join(out, " ")
}

var encodings = []struct {
	name   string
	encode func(string) string
	missed bool
}{
	{"as it stands", func(s string) string { return s }, false},
	{"a part", func(s string) string { return s[3:20] }, false},
	{"upper case", strings.ToUpper, false},
	{"lower case", strings.ToLower, false},
	{"spaces", func(s string) string { return join(s, " ") }, false},
	{"dashes", func(s string) string { return join(s, "-") }, false},
	{"one character a line", func(s string) string { return join(s, "\n") }, false},
	{"zero-width spaces", func(s string) string { return join(s, "\u200b") }, false},
	{"soft hyphens", func(s string) string { return join(s, "\u00ad") }, false},
	{"combining marks", func(s string) string { return join(s, "\u0301") }, false},
	{"markdown", func(s string) string { return "**" + s[:9] + "**_" + s[9:] + "_" }, false},
	{"emoji between", func(s string) string { return join(s, "🔑") }, false},
	{"full width", func(s string) string { return mapped(s, func(r rune) rune { return r + 0xfee0 }) }, false},
	{"mathematical bold", styled(0x1d41a, 0x1d400, 0x1d7ce), false},
	{"circled", styled(0x24d0, 0x24b6, 0), false},
	{"Cyrillic look-alikes", swap("acepyxBKMHTN", "асерухВКМНТΝ"), false},
	{"Greek look-alikes", swap("ovTNKZB", "ονΤΝΚΖΒ"), false},
	{"percent", func(s string) string { return each(s, "%%%02X") }, false},
	{"percent twice", func(s string) string { return each(s, "%%25%02x") }, false},
	{"query", url.QueryEscape, false},
	{"HTML decimal", func(s string) string { return each(s, "&#%d;") }, false},
	{"HTML hex", func(s string) string { return each(s, "&#x%X;") }, false},
	{"backslash u", func(s string) string { return each(s, `\u%04x`) }, false},
	{"backslash u braces", func(s string) string { return each(s, `\u{%x}`) }, false},
	{"backslash x", func(s string) string { return each(s, `\x%02x`) }, false},
	{"backslash octal", func(s string) string { return each(s, `\%03o`) }, false},
	{"JSON in JSON", func(s string) string {
		in, _ := json.Marshal(each(s, `\u%04x`))
		out, _ := json.Marshal(string(in))
		return string(out)
	}, false},
	{"quoted-printable", quoted, false},
	{"base64", b64, false},
	{"base64 for URLs", func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("?>" + s)) }, false},
	{"base64 in the middle", func(s string) string { return b64("user:" + s + ":more") }, false},
	{"base64 in lines", func(s string) string { return lines(b64(s+s), 20) }, false},
	{"base64 spaced", func(s string) string { return join(b64(s), " ") }, false},
	{"base64 twice", func(s string) string { return b64(b64(s)) }, false},
	{"base64 of hex", func(s string) string { return b64(hex.EncodeToString([]byte(s))) }, false},
	{"base64 of percent", func(s string) string { return b64(each(s, "%%%02x")) }, false},
	{"hex", func(s string) string { return hex.EncodeToString([]byte(s)) }, false},
	{"hex with colons", func(s string) string { return each(s, "%02X:") }, false},
	{"hex as C", func(s string) string { return each(s, "0x%02x, ") }, false},
	{"hex of base64", func(s string) string { return hex.EncodeToString([]byte(b64(s))) }, false},
	{"base32", func(s string) string { return base32.StdEncoding.EncodeToString([]byte(s)) }, false},
	{"base58", base58, false},
	{"ascii85", ascii85ed, false},
	{"decimal", func(s string) string { return each(s, "%d ") }, false},
	{"decimal in a list", func(s string) string { return "[" + each(s, "%d,") + "]" }, false},
	{"decimal without gaps", func(s string) string { return each(s, "%03d") }, false},
	{"binary", func(s string) string { return each(s, "%08b ") }, false},
	{"backwards", reversed, false},
	{"rot13", rotate(13), false},
	{"gzip in base64", func(s string) string { return b64(gzipped(s)) }, false},
	{"gzip in hex", func(s string) string { return hex.EncodeToString([]byte(gzipped(s))) }, false},
	{"gzip", gzipped, false},
	{"zlib in base64", func(s string) string {
		return b64(packed(func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })(s))
	}, false},
	{"UTF-16", wide, false},
	{"UTF-16 in base64", func(s string) string { return b64(wide(s)) }, false},

	{"deflate in base64", func(s string) string {
		return b64(packed(func(w io.Writer) io.WriteCloser { f, _ := flate.NewWriter(w, 9); return f })(s))
	}, true},
	{"a letter between", func(s string) string { return join(s, "x") }, true},
	{"shifted by three", rotate(3), true},
	{"every word's first letter", func(s string) string { return join(s, "ay ") }, true},
	{"morse", morse, true},
	{"added one", func(s string) string { return mapped(s, func(r rune) rune { return r + 1 }) }, true},
}

func TestEncodings(t *testing.T) {
	b := known.New()
	b.Learn("", []byte(secret))
	const before, after = "Dear Ann, here it is: ", " and that was all of it. Regards, Bob."
	caught := 0
	for _, e := range encodings {
		text := []byte(before + e.encode(secret) + after)
		found := b.Find(text)
		if (found == nil) != e.missed {
			t.Errorf("%s: found %v in %q", e.name, found, text)
		}
		if b.Holds(text) != (found != nil) {
			t.Errorf("%s: Holds and Find disagree", e.name)
		}
		if found == nil {
			continue
		}
		caught++
		if found[0].From < len(before)-4 || found[len(found)-1].To > len(text)-len(after)+8 {
			if !strings.Contains(e.name, "gzip") && !strings.Contains(e.name, "zlib") {
				t.Errorf("%s: hides what stands around: %v of %d", e.name, found, len(text))
			}
		}
	}
	// docs/security.md states this share.
	if caught != 55 || len(encodings) != 61 {
		t.Errorf("%d of %d encodings are caught", caught, len(encodings))
	}
}
