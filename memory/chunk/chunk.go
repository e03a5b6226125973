// Package chunk cuts texts into the parts that memory finds: along headings,
// paragraphs and code, of about one size, each beginning with the end of the one
// before. It knows Markdown's structure, which plain text has in part, too, and
// into which memory/ingest turns everything else.
package chunk

import (
	"strings"
	"unicode"

	"github.com/gatehouse-chat/gatehouse/memory"
)

// What a size is where the configuration says nothing.
const (
	DefaultTokens  = 220
	DefaultOverlap = 30
)

// Size says how large chunks are, in tokens as [Tokens] estimates them.
type Size struct {
	Tokens  int // at most; 0 means DefaultTokens
	Overlap int // repeated from the chunk before; less than half of Tokens counts
}

func (s Size) filled() Size {
	if s.Tokens <= 0 {
		s = Size{Tokens: DefaultTokens, Overlap: DefaultOverlap}
	}
	s.Overlap = max(0, min(s.Overlap, s.Tokens/2))
	return s
}

// Cutter returns a chunker of a size. Chunks are in order, their offsets are
// bytes of the text, and together they hold every rune that is not white
// space. It takes time and memory in proportion to the text.
func Cutter(s Size) memory.Chunker {
	s = s.filled()
	return func(_ memory.Kind, text string) []memory.Chunk {
		if !strings.ContainsFunc(text, isWord) {
			return nil
		}
		p := packer{text: text, size: s}
		for _, b := range blocks(text) {
			p.add(b)
		}
		p.close()
		return p.chunks
	}
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// packer fills chunks with blocks.
type packer struct {
	text   string
	size   Size
	chunks []memory.Chunk

	path  []string // the headings above what comes next, by level
	floor int      // overlap does not reach back before this: the section's beginning

	// The chunk that is being filled.
	start, end int // empty while start == end
	tokens     int
	heading    string
}

// add puts a block into the chunk that is being filled, or into new ones.
func (p *packer) add(b block) {
	if b.level > 0 {
		p.section(b)
	}
	begin := b.start
	if p.start < p.end {
		begin = p.end // what is between counts, too
	}
	tokens := Tokens(p.text[begin:b.end])
	if p.start < p.end && p.tokens+tokens > p.room(p.start) {
		p.close()
	}
	if p.tokens+tokens > p.room(b.start) {
		p.long(b)
		return
	}
	p.put(b.start, b.end, tokens)
}

// section begins a section. What was collected is closed, unless it is so short
// that it says little alone: a heading without a text, or a line.
func (p *packer) section(b block) {
	if p.tokens >= p.size.Tokens/8 {
		p.close()
	}
	for len(p.path) < b.level {
		p.path = append(p.path, "")
	}
	p.path = p.path[:b.level]
	p.path[b.level-1] = b.title
	p.floor = b.start
}

// long cuts a block that does not fit into one chunk.
func (p *packer) long(b block) {
	for at := b.start; at < b.end; {
		to := cut(p.text, at, b.end, p.room(at), b.code)
		if from, until := trim(p.text, at, to); from < until {
			p.close()
			p.put(from, until, Tokens(p.text[from:until]))
		}
		at = to
	}
}

// room is how many tokens fit into a chunk that begins at start, behind what it
// repeats.
func (p *packer) room(start int) int {
	if start <= p.floor || len(p.chunks) == 0 && p.start == p.end {
		return p.size.Tokens
	}
	return p.size.Tokens - p.size.Overlap
}

// put adds a stretch of the text to the chunk that is being filled.
func (p *packer) put(start, end, tokens int) {
	if p.start == p.end {
		p.start, p.heading = start, p.above()
	}
	p.end = end
	p.tokens += tokens
}

// close ends the chunk that is being filled.
func (p *packer) close() {
	if p.start == p.end {
		return
	}
	start := p.start
	if n := len(p.chunks); n > 0 {
		// Overlap must not swallow the chunk before it whole.
		floor := max(p.floor, p.chunks[n-1].Start+1)
		if floor < start {
			start, _ = trim(p.text, overlap(p.text, runeAt(p.text, floor), start, p.size.Overlap), p.end)
		}
	}
	p.chunks = append(p.chunks, memory.Chunk{
		Index: len(p.chunks), Heading: p.heading, Text: p.text[start:p.end], Start: start, End: p.end,
	})
	p.start, p.tokens = p.end, 0
}

// above joins the headings that are open, outermost first.
func (p *packer) above() string {
	var open []string
	for _, title := range p.path {
		if title != "" {
			open = append(open, title)
		}
	}
	return strings.Join(open, " > ")
}
