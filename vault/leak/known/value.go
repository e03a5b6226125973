package known

import (
	"bytes"
	"encoding/ascii85"
	"encoding/json"
	"math/big"
	"regexp"
	"slices"
)

// window is one part of a value that is to be known.
type window struct {
	text [Window]byte
	weak bool
}

// frames are parts of values that are no secret, but common to all of a kind.
// They would make ordinary text match.
var frames = regexp.MustCompile(`-----(BEGIN|END)[^\n-]*-----|` +
	`^(?i:bearer|basic|token)\s+|` +
	`^eyJ[A-Za-z0-9_-]+\.|` + // the header of a JSON web token
	`^(sk-ant-[a-z]+[0-9]+-|sk-proj-|sk-svcacct-|sk-or-v1-|sk-|github_pat_|gh[pousr]_|glpat-|xox[a-z]-|xapp-|AKIA|ASIA|AIza|(?i:age-secret-key-1))`)

// secretKey are the names under which a JSON document holds its secrets.
var secretKey = regexp.MustCompile(`(?i)key$|secret|token|passw|credential`)

// telling splits a value into the parts that are secret.
func telling(plain []byte) [][]byte {
	var document map[string]any
	if json.Unmarshal(plain, &document) == nil {
		if parts := leaves(document, nil); parts != nil {
			return parts
		}
	}
	if _, rest, isURL := bytes.Cut(plain, []byte("://")); isURL && len(plain)-len(rest) < 16 {
		return ofURL(rest)
	}
	return bytes.Split(frames.ReplaceAll(plain, []byte{0}), []byte{0})
}

// leaves are the strings of a document that stand under a telling name.
func leaves(document map[string]any, out [][]byte) [][]byte {
	for name, v := range document {
		switch v := v.(type) {
		case string:
			if secretKey.MatchString(name) {
				out = append(out, bytes.Split(frames.ReplaceAll([]byte(v), []byte{0}), []byte{0})...)
			}
		case map[string]any:
			out = leaves(v, out)
		}
	}
	return out
}

// ofURL leaves out the host: it is where the secret goes, and no secret.
func ofURL(rest []byte) [][]byte {
	host, path, _ := bytes.Cut(rest, []byte("/"))
	user := host[:max(bytes.LastIndexByte(host, '@'), 0)]
	name, password, _ := bytes.Cut(user, []byte(":"))
	return [][]byte{name, password, path}
}

// windowsOf lists the windows by which a value is known. exact says that they
// are its bytes as they stand, for folding leaves too little of it.
func windowsOf(plain []byte) (all []window, exact bool) {
	for _, piece := range telling(plain) {
		all = append(all, foldedWindows(piece)...)
	}
	if len(all) == 0 {
		return cut(plain, 1, nil), true
	}
	for _, form := range rewritten(plain) {
		all = append(all, cut(fold(nil, form), sparse, nil)...)
	}
	return all, false
}

// foldedWindows are the windows of one telling part.
func foldedWindows(piece []byte) []window {
	folded := fold(nil, piece)
	defer clear(folded)
	var words []bool
	if len(folded) >= longRun {
		words = wordlike(piece, len(folded))
	}
	return cut(folded, 1, words)
}

// cut cuts a text into windows: the first ones all, then each sparse-th.
func cut(text []byte, step int, words []bool) []window {
	var out []window
	for i := 0; i+Window <= len(text); i += step {
		if i >= dense {
			step = sparse
		}
		w := window{text: [Window]byte(text[i : i+Window])}
		if kinds(w.text[:]) < minKinds {
			continue
		}
		w.weak = words != nil && !slices.Contains(words[i:i+Window], false)
		out = append(out, w)
	}
	return out
}

// wordlike says of each folded character whether it could belong to a word, by
// how the value is written: no digit, and no capital within the word. nil when
// the value has characters whose folding moves the others.
func wordlike(piece []byte, n int) []bool {
	out := make([]bool, 0, n)
	for i, c := range piece {
		switch {
		case c >= 0x80:
			return nil
		case c >= '0' && c <= '9':
			out = append(out, false)
		case c >= 'a' && c <= 'z':
			out = append(out, true)
		case c >= 'A' && c <= 'Z':
			within := i > 0 && piece[i-1] >= 'a' && piece[i-1] <= 'z'
			out = append(out, !within)
		}
	}
	return out
}

// kinds counts the different bytes.
func kinds(part []byte) int {
	n := 0
	for i, c := range part {
		if bytes.IndexByte(part[:i], c) < 0 {
			n++
		}
	}
	return n
}

// maxRewritten bounds the values that are known in rewritten forms: those take
// a number as large as the value.
const maxRewritten = 512

// rewritten are forms of a whole value that no view of a text undoes cheaply.
func rewritten(plain []byte) [][]byte {
	if len(plain) > maxRewritten {
		return nil
	}
	backwards := slices.Clone(plain)
	slices.Reverse(backwards)
	rotated := slices.Clone(plain)
	for i, c := range rotated {
		switch {
		case c >= 'a' && c <= 'z':
			rotated[i] = 'a' + (c-'a'+13)%26
		case c >= 'A' && c <= 'Z':
			rotated[i] = 'A' + (c-'A'+13)%26
		}
	}
	return [][]byte{backwards, rotated, base58(plain), base85(plain)}
}

const bitcoin = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

func base58(plain []byte) []byte {
	n, radix, rest := new(big.Int).SetBytes(plain), big.NewInt(58), new(big.Int)
	var out []byte
	for n.Sign() > 0 {
		n.DivMod(n, radix, rest)
		out = append(out, bitcoin[rest.Int64()])
	}
	slices.Reverse(out)
	return out
}

func base85(plain []byte) []byte {
	out := make([]byte, ascii85.MaxEncodedLen(len(plain)))
	return out[:ascii85.Encode(out, plain)]
}
