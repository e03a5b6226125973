package agent

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/memory"
)

// Recall is what turns are given of memory before they begin.
type Recall struct {
	Memory   memory.Store  // nil: nothing is remembered
	Tokens   int           // of what is given, at most; 0: nothing is looked for
	HalfLife time.Duration // after which an item counts half; 0: age does not matter
}

// Source is an item of memory that a turn was given.
type Source struct {
	Mark  int    `json:"mark"` // by which the answer may name it: [1]
	Item  string `json:"item"`
	Chunk int    `json:"chunk,omitempty"`
}

const (
	recallHits   = 8
	recallFor    = 2 * time.Second // how long a turn waits for memory
	recallQuery  = 2000            // bytes of what was said that are searched for
	recallAlike  = 0.5             // how much repetition is passed over
	firstToolRef = 10              // marks of what the tool finds begin here
)

// remembered is a source with what is told of it.
type remembered struct {
	Source
	line string
}

// recall looks for what may matter to the turn, and gives it to the model with
// the circumstances. Whatever it finds counts as seen: an item that is not
// trusted makes the turn as little trusted as it was when it was kept.
func (r *run) recall(ctx context.Context) {
	if r.recollect.Memory == nil || r.recollect.Tokens <= 0 || r.asked == 0 {
		return
	}
	var said []string
	for i := range r.fresh {
		said = append(said, r.fresh[i].Text)
	}
	query := strings.Join(said, "\n")
	if len(query) > recallQuery {
		query = strings.ToValidUTF8(query[len(query)-recallQuery:], "")
	}
	limited, cancel := context.WithTimeout(ctx, recallFor)
	defer cancel()
	hits, err := r.recollect.Memory.Recall(limited, r.turn.Scope, memory.Query{
		Text: query, Limit: recallHits, HalfLife: r.recollect.HalfLife, Diversity: recallAlike,
	})
	if err != nil {
		if ctx.Err() == nil {
			r.log.Warn("memory could not be searched", "turn", r.turn.ID, "err", err)
			r.unsearched = true
		}
		return
	}
	room := r.recollect.Tokens * bytesPerToken
	for i := range hits {
		h := &hits[i]
		label := LabelOfHit(h, r.turn.Scope.Member())
		line := TellHit(i+1, h, label)
		if label == Untrusted {
			line = r.wrapped(line)
		}
		if room -= len(line); room < 0 {
			return
		}
		r.see(label)
		r.memories = append(r.memories, remembered{Source{Mark: i + 1, Item: h.ID, Chunk: h.Chunk.Index}, r.leaks.RedactKnown(line)})
		r.turn.Sources = append(r.turn.Sources, Source{Mark: i + 1, Item: h.ID, Chunk: h.Chunk.Index})
	}
}

// bytesPerToken is how tokens are estimated.
const bytesPerToken = 4

// LabelOfHit is how far what was found is to be trusted by whoever asks: others'
// words are others', however much they were trusted by themselves.
func LabelOfHit(h *memory.Hit, member string) Label {
	switch {
	case h.Label == memory.Trusted && h.Member == member:
		return Trusted
	case h.Label == memory.Trusted, h.Label == memory.ByMember:
		return ByMember
	}
	return Untrusted
}

// TellHit writes what was found for a model, under a mark.
func TellHit(mark int, h *memory.Hit, label Label) string {
	about := []string{string(h.Kind), h.At.UTC().Format("2 January 2006")}
	if t := oneLine(h.Title); t != "" {
		about = append(about, strconv.Quote(short(t, maxName)))
	}
	if label == ByMember {
		about = append(about, "said by another member")
	}
	return fmt.Sprintf("[%d] (%s) %s", mark, strings.Join(about, ", "), strings.TrimSpace(h.Chunk.Text))
}

// aboutMemory stands before what is remembered.
const aboutMemory = "Found in memory for this message; some of it may have nothing to do with it. " +
	"Where you use an entry, name it by its mark, such as [1]. Do not speak of entries that you do not use."

const sayUnsearched = "Memory could not be searched just now. If the answer depends on what was said before, say so."

// tellMemories is what the circumstances say of memory.
func (r *run) tellMemories() string {
	if r.unsearched {
		return sayUnsearched
	}
	if len(r.memories) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(aboutMemory)
	for _, m := range r.memories {
		b.WriteString("\n" + m.line)
	}
	return b.String()
}

// cited finds the marks in a text.
var cited = regexp.MustCompile(`\[(\d{1,3})\]`)

// used are the sources that an answer names; those that it was given where it
// names none.
func used(text string, given []Source) []Source {
	var out []Source
	for _, m := range cited.FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			continue
		}
		at := slices.IndexFunc(given, func(s Source) bool { return s.Mark == n })
		if at >= 0 && !slices.Contains(out, given[at]) {
			out = append(out, given[at])
		}
	}
	if len(out) == 0 {
		return given
	}
	return out
}

// sayCited tells the person how to open what the answer names.
const sayCited = "*(The numbers are from memory: /sources shows them.)*"

// cite notes with the last answer what it was given of memory.
func (r *run) cite(text string) string {
	if len(r.turn.Sources) == 0 || len(r.fresh) == 0 || r.fresh[len(r.fresh)-1].Role != Assistant {
		return text
	}
	all := used(text, r.turn.Sources)
	r.fresh[len(r.fresh)-1].Sources = all
	if !slices.ContainsFunc(all, func(s Source) bool { return strings.Contains(text, fmt.Sprintf("[%d]", s.Mark)) }) {
		return text
	}
	return join(text, sayCited)
}

// FirstToolMark is the mark of the first hit of a call of the tool, in a turn
// that was given some already.
func (t *Turn) FirstToolMark() int {
	next := firstToolRef
	for _, s := range t.Sources {
		next = max(next, s.Mark+1)
	}
	return next
}
