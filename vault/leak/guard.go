// Package leak is the last net under everything that leaves: replies, drafts,
// logs, tool results, and the requests of tools and guests.
//
// A [Guard] finds what it was taught (package known) and what has the form of a
// key (package pattern). It is a net and not a boundary: a model that is free
// to choose an encoding of its own gets past it. What holds is that no model,
// adapter or guest has a value to begin with.
package leak

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/vault/leak/known"
	"github.com/gatehouse-chat/gatehouse/vault/leak/pattern"
)

// Hidden stands where a secret was.
const Hidden = "[secret]"

// Lingers is how long a value stays known after it was replaced or deleted: it
// may be valid elsewhere, and on its way in an answer.
const Lingers = 24 * time.Hour

const (
	tailBytes = 512  // of what went before, that is looked at together with what follows
	maxSinks  = 1024 // whose tails are kept
)

// Guard finds secrets. A nil Guard finds nothing. It may be used concurrently.
type Guard struct {
	known    *known.Book
	patterns *pattern.Set

	mu    sync.Mutex
	tails map[string][]byte
	order []string // of the sinks, the one that was used longest ago first, roughly
}

// New makes a guard that knows the patterns and no values.
func New() (*Guard, error) {
	p, err := pattern.Load()
	if err != nil {
		return nil, fmt.Errorf("load the patterns of secrets: %w", err)
	}
	return &Guard{known: known.New(), patterns: p, tails: map[string][]byte{}}, nil
}

// Learn adds a value for good. The caller clears plain; the guard keeps keyed
// hashes of parts of it only. Values shorter than known.Window are never found.
func (g *Guard) Learn(plain []byte) { g.LearnAs("", plain) }

// LearnAs is Learn under a name, by which it can be forgotten.
func (g *Guard) LearnAs(name string, plain []byte) {
	if g != nil {
		g.known.Learn(name, plain)
	}
}

// Forget lets what was learnt under a name be forgotten after [Lingers].
func (g *Guard) Forget(name string) {
	if g != nil {
		g.known.Forget(name, time.Now().Add(Lingers))
	}
}

// Holds reports whether a secret stands in text.
func (g *Guard) Holds(text []byte) bool {
	return g != nil && (g.known.Holds(text) || g.patterns.Find(text) != nil)
}

// Redact returns text with the secrets in it replaced by [Hidden], and text
// itself when there are none. What was redacted for the same sink before is
// looked at together with it, so that a value that comes in two pieces is
// found; the second piece is hidden then. A sink is one place where pieces
// could be put together again, such as a conversation; "" has no past.
func (g *Guard) Redact(sink, text string) string {
	if g == nil || text == "" {
		return text
	}
	past := g.past(sink, text)
	joined := make([]byte, 0, len(past)+len(text))
	joined = append(append(joined, past...), text...)
	found := g.find(joined)
	if len(found) == 0 {
		return text
	}
	return string(replace(nil, joined, found, len(past), len(joined)))
}

// Crosses reports whether a secret stands in text, or in the end of what crossed
// to the same sink before and text together.
func (g *Guard) Crosses(sink, text string) bool { return g.Redact(sink, text) != text }

// RedactKnown is Redact for what a person writes: it hides what the guard was
// taught, and leaves alone what only looks like a key. It has no sink.
func (g *Guard) RedactKnown(text string) string {
	if g == nil {
		return text
	}
	found := g.known.Find([]byte(text))
	if found == nil {
		return text
	}
	all := make([]span, len(found))
	for i, s := range found {
		all[i] = span{s.From, s.To}
	}
	return string(replace(nil, []byte(text), all, 0, len(text)))
}

// RedactDraft is Redact for a text that is still growing. It leaves out the last
// word if that could be the beginning of a secret: nobody should see half of
// what is hidden a moment later.
func (g *Guard) RedactDraft(sink, text string) string {
	if g == nil {
		return text
	}
	return g.Redact(sink, text[:len(text)-unfinished([]byte(text))])
}

// unfinished is the length of the word at the end of text, if it is made of the
// characters that keys and encodings have.
func unfinished(text []byte) int {
	n := 0
	for n < len(text) {
		c := text[len(text)-1-n]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && strings.IndexByte("+/_-.:=~%\\&#;", c) < 0 {
			break
		}
		n++
	}
	return n
}

// past returns what went to the sink before, and notes what goes there now.
func (g *Guard) past(sink, text string) []byte {
	if sink == "" {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	past, is := g.tails[sink]
	if !is {
		if len(g.order) == maxSinks {
			delete(g.tails, g.order[0])
			g.order = g.order[1:]
		}
		g.order = append(g.order, sink)
	}
	g.tails[sink] = tail(past, []byte(text))
	return past
}

// tail is the end of two texts together, in memory of its own.
func tail(past, text []byte) []byte {
	keep := min(len(past), max(0, tailBytes-len(text)))
	return slices.Concat(past[len(past)-keep:], text[max(0, len(text)-tailBytes):])
}

// span is a secret's place in a text.
type span struct{ from, to int }

// find returns where secrets stand, in order; those that touch are one.
func (g *Guard) find(text []byte) []span {
	var all []span
	for _, s := range g.known.Find(text) {
		all = append(all, span{s.From, s.To})
	}
	for _, s := range g.patterns.Find(text) {
		all = append(all, span{s.From, s.To})
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b span) int { return a.from - b.from })
	out := all[:1]
	for _, s := range all[1:] {
		if last := &out[len(out)-1]; s.from <= last.to {
			last.to = max(last.to, s.to)
			continue
		}
		out = append(out, s)
	}
	return out
}

// replace appends from..to of text to out, with the spans hidden.
func replace(out, text []byte, found []span, from, to int) []byte {
	for _, s := range found {
		if s.to <= from || s.from >= to {
			continue
		}
		out = append(out, text[from:max(from, s.from)]...)
		out = append(out, Hidden...)
		from = min(s.to, to)
	}
	return append(out, text[from:to]...)
}
