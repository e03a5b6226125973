//go:build !wasip1

package channels

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Guided is a [Driver] that leads a person through the set-up of a channel. The
// command line and the console ask the same questions. A driver without it is
// set up by hand, in the configuration file.
type Guided interface {
	Guide() Guide
}

// Guide is what a person does, and has to give, for a new channel.
type Guide struct {
	Title string // the platform as people call it: "Telegram"
	// Steps come before the questions, each one or two sentences. What stands
	// in `backticks` is shown as something to type; an https URL is a link.
	Steps []string
	// Paste is something to copy into the platform's own pages, such as a
	// manifest; PasteTitle says what it is.
	Paste, PasteTitle string
	Asks              []Ask
	// Link says that an account is connected by a person's hand once the
	// channel exists: its channels have the capability [Linker].
	Link bool
}

// Ask is one question. Its answer becomes a key of the channel's section: a
// secret is kept in the vault, and the section refers to it.
type Ask struct {
	Key      string // in the section; dots lead into mappings: "verify.secret"
	Label    string // "Bot token"
	Help     string // where to find it, or what it does; one sentence
	Example  string
	Secret   bool
	Optional bool     // may stay empty
	Choices  []string // a closed list; the first is taken when nothing is said
	// Only is "key=value": the question is asked where an earlier one was
	// answered so. Empty: always.
	Only string
}

// Default is the answer of who says nothing.
func (a Ask) Default() string {
	if len(a.Choices) == 0 {
		return ""
	}
	return a.Choices[0]
}

// Asked reports whether a question applies after the answers so far.
func (a Ask) Asked(answers map[string]string) bool {
	key, value, _ := strings.Cut(a.Only, "=")
	return a.Only == "" || answers[key] == value
}

// Answers are the questions' answers by key, without those that do not apply,
// with defaults for those that were left out.
type Answers map[string]string

// Settle checks answers: every question that applies has an answer that is one
// of its choices, and there is no answer to anything else.
func (g Guide) Settle(given map[string]string) (Answers, error) {
	out := Answers{}
	var errs []error
	for _, a := range g.Asks {
		v := strings.TrimSpace(given[a.Key])
		switch {
		case !a.Asked(out):
			continue
		case v == "" && a.Default() != "":
			v = a.Default()
		case v == "" && a.Optional:
			continue
		case v == "":
			errs = append(errs, fmt.Errorf("%s is missing (%s)", a.Label, a.Key))
			continue
		case len(a.Choices) > 0 && !slices.Contains(a.Choices, v):
			errs = append(errs, fmt.Errorf("%s must be one of %s", a.Key, strings.Join(a.Choices, ", ")))
			continue
		}
		out[a.Key] = v
	}
	for key := range given {
		if !slices.ContainsFunc(g.Asks, func(a Ask) bool { return a.Key == key }) {
			errs = append(errs, fmt.Errorf("%q is none of the questions", key))
		}
	}
	return out, errors.Join(errs...)
}

// Section puts answers into a section, in which a secret is what ref makes of
// it: a reference. It changes section.
func (g Guide) Section(section map[string]any, answers Answers, ref func(a Ask, value string) (string, error)) error {
	for _, a := range g.Asks {
		v, ok := answers[a.Key]
		if !ok {
			continue
		}
		if a.Secret {
			r, err := ref(a, v)
			if err != nil {
				return err
			}
			v = r
		}
		at, path := section, strings.Split(a.Key, ".")
		for _, p := range path[:len(path)-1] {
			next, ok := at[p].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[p] = next
			}
			at = next
		}
		at[path[len(path)-1]] = v
	}
	return nil
}
