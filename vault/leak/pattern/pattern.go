// Package pattern recognises secrets that nobody has told it of, by the form
// that the keys of well-known services have.
//
// The rules are data: those of gitleaks (data/rules.json, made from
// data/gitleaks.toml, under the licence beside it) and our own for chat
// platforms and databases (data/own.json). A text is read once for the words
// that the rules' keys contain; a rule's regular expression is tried only
// around such a word.
package pattern

//go:generate go run ./convert data/gitleaks.toml data/rules.json

import (
	"embed"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"sync"
)

//go:embed data/rules.json data/own.json
var data embed.FS

// Rule describes one form of secret.
type Rule struct {
	ID       string   `json:"id"`
	Regexp   string   `json:"regexp"`
	Group    int      `json:"group,omitempty"`    // which group is the secret; 0: the first one that matched, or all
	Keywords []string `json:"keywords"`           // in lower case; one of them stands in every match
	Entropy  float64  `json:"entropy,omitempty"`  // bits a character that the secret has at least
	Allow    []string `json:"allow,omitempty"`    // secrets that match one of these are examples
	Distance int      `json:"distance,omitempty"` // the keyword stands again that many bytes on
}

// Span is a secret's place in a text, as offsets in bytes.
type Span struct{ From, To int }

// Set is a set of rules. It is safe for concurrent use.
type Set struct {
	rules  []*rule
	words  *words
	ofWord [][]int // by the word's number: the rules to try
}

// rule is a rule with its expressions, which are compiled when they are needed
// first: most are not within the life of a process.
type rule struct {
	Rule
	once          sync.Once
	expression    *regexp.Regexp
	allow         []*regexp.Regexp
	before, after int // how far a match reaches from its keyword
}

// Load reads the rules that come with this package.
func Load() (*Set, error) {
	var all []Rule
	for _, name := range []string{"data/rules.json", "data/own.json"} {
		text, err := data.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var some []Rule
		if err := json.Unmarshal(text, &some); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, some...)
	}
	return newSet(all), nil
}

func newSet(all []Rule) *Set {
	s := &Set{}
	number := map[string]int{}
	var texts []string
	for i, r := range all {
		s.rules = append(s.rules, &rule{Rule: r})
		for _, k := range r.Keywords {
			n, is := number[k]
			if !is {
				n = len(texts)
				number[k], texts, s.ofWord = n, append(texts, k), append(s.ofWord, nil)
			}
			s.ofWord[n] = append(s.ofWord[n], i)
		}
	}
	s.words = newWords(texts)
	return s
}

// Find returns where secrets stand in text, in order and without overlaps; nil
// where there are none.
func (s *Set) Find(text []byte) []Span {
	var try map[int][]Span
	s.words.find(text, func(word, end int) {
		length := s.words.length(word)
		for _, i := range s.ofWord[word] {
			r := s.rules[i]
			if !again(text, end-1, r.Distance) {
				continue
			}
			r.once.Do(r.compile)
			if try == nil {
				try = map[int][]Span{}
			}
			try[i] = join(try[i], Span{max(0, end-length-r.before), min(len(text), end+r.after)})
		}
	})
	var found []Span
	for i, windows := range try {
		for _, w := range windows {
			found = s.rules[i].find(text, w, found)
		}
	}
	return merge(found)
}

// again reports whether the byte at a place stands again at a distance; 0: it need
// not.
func again(text []byte, at, distance int) bool {
	return at+distance < len(text) && text[at+distance] == text[at]
}

// find tries the rule's expression on one window.
func (r *rule) find(text []byte, w Span, found []Span) []Span {
	for _, at := range r.expression.FindAllSubmatchIndex(text[w.From:w.To], -1) {
		from, to := at[0], at[1]
		for g := 1; g < len(at)/2; g++ {
			if at[2*g] >= 0 && (g == r.Group || r.Group == 0) {
				from, to = at[2*g], at[2*g+1]
				break
			}
		}
		secret := text[w.From+from : w.From+to]
		if len(secret) == 0 || r.Entropy > 0 && entropy(secret) <= r.Entropy || r.allowed(secret) {
			continue
		}
		found = append(found, Span{w.From + from, w.From + to})
	}
	return found
}

func (r *rule) allowed(secret []byte) bool {
	return slices.ContainsFunc(r.allow, func(e *regexp.Regexp) bool { return e.Match(secret) })
}

// compile compiles the rule's expressions. They are tested with the rules.
func (r *rule) compile() {
	r.expression = regexp.MustCompile(r.Regexp)
	for _, a := range r.Allow {
		r.allow = append(r.allow, regexp.MustCompile(a))
	}
	r.before, r.after = reach(r.Regexp)
}

// entropy is Shannon's, in bits a byte.
func entropy(text []byte) float64 {
	var count [256]int
	for _, c := range text {
		count[c]++
	}
	sum := 0.0
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(text))
			sum -= p * math.Log2(p)
		}
	}
	return sum
}

// merge sorts spans and joins those that overlap.
func merge(all []Span) []Span {
	slices.SortFunc(all, func(a, b Span) int { return a.From - b.From })
	out := all[:0]
	for _, s := range all {
		out = join(out, s)
	}
	return out
}

// join adds a span to those before it, or makes the last one longer where they
// meet.
func join(all []Span, s Span) []Span {
	if n := len(all); n > 0 && s.From <= all[n-1].To {
		all[n-1].To = max(all[n-1].To, s.To)
		return all
	}
	return append(all, s)
}
