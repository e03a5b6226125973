package markup

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// breakBefore is the best place for a cut in (from, most]. It goes down the
// blocks that lie across most. Before such a block it cuts if the block then
// fits into a piece as a whole, or if the piece is half full already; otherwise
// the block has to be cut anyway, and is cut here.
func (s *splitter) breakBefore(from, most int) int {
	if most >= len(s.flat) {
		return most
	}
	blk, before := &s.root, 0
	for !blk.isLeafBlock() {
		i := blk.kidAt(most)
		k := &blk.kids[i]
		if blk.node.Kind == Table && i == 1 {
			if before > from { // a head does not stay without a row
				return before
			}
		} else if cut := blk.cutBefore(i, from); cut > from {
			if s.halfFull(from, cut, most) || s.fitsAlone(k) {
				return cut
			}
			before = cut
		}
		if k.start == most {
			return most // nothing has to be cut, and nothing better was found
		}
		blk = k
	}
	return s.breakInside(blk, max(from, blk.start), from, most)
}

// cutBefore is where to cut so that child i begins the next piece: before the
// headings that belong to it, if they come after from.
func (s *span) cutBefore(i, from int) int {
	for i > 0 && s.kids[i-1].node.Kind == Heading && s.kids[i-1].start > from {
		i--
	}
	return s.kids[i].start
}

func (s *splitter) halfFull(from, cut, most int) bool {
	return cut-from >= (most-from)/2
}

// fitsAlone reports whether a block fits into a piece of its own. It does not
// look at blocks that are out of proportion.
func (s *splitter) fitsAlone(k *span) bool {
	return k.end-k.start <= 4*s.limit && s.fits(k.start, k.end)
}

// breakInside finds a cut within a leaf block, in (low, most], for a piece that
// starts at from. Lines and sentences count if they leave the piece half full;
// a word also does if it fits into the next piece as a whole.
func (s *splitter) breakInside(leaf *span, low, from, most int) int {
	text := s.flat[low:most]
	half := max(from+(most-from)/2, low) - low
	if i := bytes.LastIndexByte(text, '\n'); i >= half && i > 0 {
		return low + i + 1
	}
	if s.flat[most] == '\n' && most < leaf.end {
		return most + 1
	}
	if leaf.node.Kind != CodeBlock {
		if i := lastSentence(s.flat[low:leaf.end], len(text)); i > half {
			return low + i
		}
	}
	if i := lastWord(s.flat[low:leaf.end], len(text)); i > 0 && (i >= half || s.wordFits(low+i, leaf.end)) {
		return low + i
	}
	if cut := s.clusterBefore(low, most); cut > from {
		return cut
	}
	return most
}

// wordFits reports whether the word at i fits into a piece.
func (s *splitter) wordFits(i, end int) bool {
	stop := min(end, i+4*s.limit)
	for j := i; j < stop; {
		r, n := utf8.DecodeRune(s.flat[j:stop])
		if unicode.IsSpace(r) {
			stop = j
			break
		}
		j += n
	}
	return s.fits(i, stop)
}

// lastSentence is the last place up to limit where a sentence begins, 0 if
// there is none.
func lastSentence(text []byte, limit int) int {
	for i := limit; i > 0; {
		r, n := utf8.DecodeLastRune(text[:i])
		next, _ := utf8.DecodeRune(text[i:])
		switch {
		case extends(next) || unicode.IsLower(next) || unicode.IsSpace(next):
		case isWide(r) && isStop(r) && !isClosing(next):
			return i
		case unicode.IsSpace(r) && i < len(text) && endsSentence(text[:i-n]):
			return i
		}
		i -= n
	}
	return 0
}

// endsSentence reports whether text ends in a full stop, perhaps closed by a
// quotation mark or bracket.
func endsSentence(text []byte) bool {
	for len(text) > 0 {
		r, n := utf8.DecodeLastRune(text)
		if isStop(r) {
			return true
		}
		if !unicode.In(r, unicode.Pe, unicode.Pf) && r != '"' && r != '\'' {
			return false
		}
		text = text[:len(text)-n]
	}
	return false
}

func isStop(r rune) bool {
	switch r {
	case '.', '!', '?', '…', '。', '！', '？', '．', '؟', '।':
		return true
	}
	return false
}

// lastWord is the last place up to limit where a word begins: after white
// space, or beside a character of a script that is written without.
func lastWord(text []byte, limit int) int {
	for i := limit; i > 0; {
		r, n := utf8.DecodeLastRune(text[:i])
		next, _ := utf8.DecodeRune(text[i:])
		if unicode.IsSpace(r) && !extends(next) {
			return i
		}
		if i < len(text) && !extends(next) {
			if unicode.IsSpace(next) {
				return i
			}
			if isWide(r) && !isOpening(r) && (isWide(next) || unicode.IsLetter(next)) && !isClosing(next) {
				return i
			}
		}
		i -= n
	}
	return 0
}

// isWide reports a character of the scripts that are written without spaces,
// and their punctuation.
func isWide(r rune) bool {
	return r >= 0x2E80 && (unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) ||
		r >= 0x3000 && r <= 0x303F || r >= 0xFF01 && r <= 0xFF60)
}

// extends reports a character that belongs to the one before it.
func extends(r rune) bool {
	return r >= 0x300 && (unicode.Is(unicode.M, r) || r == 0x200C || r == 0x200D ||
		r >= 0x1F3FB && r <= 0x1F3FF || r >= 0xE0020 && r <= 0xE007F)
}

func isOpening(r rune) bool { return unicode.In(r, unicode.Ps, unicode.Pi) }

// isClosing reports what must not begin a line.
func isClosing(r rune) bool {
	return unicode.In(r, unicode.Pe, unicode.Pf, unicode.Po, unicode.Mn, unicode.Lm)
}

// clusterBefore is the last boundary between grapheme clusters in (low, most],
// low if there is none.
func (s *splitter) clusterBefore(low, most int) int {
	start := low
	// Between two printable ASCII characters there always is a boundary.
	for i := most - 1; i > low+1; i-- {
		if ascii(s.flat[i-1]) && ascii(s.flat[i]) {
			start = i
			break
		}
	}
	state := -1
	rest := s.flat[start:s.runeEnd(min(most+1, len(s.flat)))] // one rune more tells
	pos := start
	for len(rest) > 0 {
		var cluster []byte
		cluster, rest, _, state = uniseg.FirstGraphemeCluster(rest, state)
		if pos+len(cluster) > most {
			break
		}
		pos += len(cluster)
	}
	return pos
}

func ascii(c byte) bool { return c >= ' ' && c < 0x7f }

// skip moves on over white space that a piece would begin with. Indentation
// in a code block is no such thing.
func (s *splitter) skip(i int) int {
	for i < len(s.flat) && i > 0 && s.leafAt(i).node.Kind != CodeBlock {
		r, n := utf8.DecodeRune(s.flat[i:])
		if !unicode.IsSpace(r) {
			break
		}
		i += n
	}
	return i
}

// trim moves the end of a piece back over white space; in a code block over
// the one line end at which it is cut.
func (s *splitter) trim(from, to int) int {
	if s.leafAt(to-1).node.Kind == CodeBlock {
		if s.flat[to-1] == '\n' && to-1 > from {
			return to - 1
		}
		return to
	}
	i := to
	for i > from && s.leafAt(i-1).node.Kind != CodeBlock {
		r, n := utf8.DecodeLastRune(s.flat[from:i])
		if !unicode.IsSpace(r) {
			break
		}
		i -= n
	}
	if i == from {
		return to
	}
	return i
}
