package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// allVerbs are the commands that do something.
func allVerbs(c *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	for _, s := range c.Commands() {
		switch {
		case s.Hidden || s.Name() == "help" || s.Name() == "completion":
		case s.HasSubCommands():
			all = append(all, allVerbs(s)...)
		default:
			all = append(all, s)
		}
	}
	return all
}

// TestHelpHasWorkingExamples: each command shows at least one call, and each call
// that is shown is one that the command takes.
func TestHelpHasWorkingExamples(t *testing.T) {
	for _, verb := range allVerbs(rootCommand()) {
		if !verb.HasExample() {
			t.Errorf("%s has no example", verb.CommandPath())
		}
		for line := range strings.Lines(strings.ReplaceAll(verb.Example, "\\\n", " ")) {
			_, call, found := strings.Cut(line, "gatehouse ")
			if !found {
				continue // another program's part in it
			}
			call, _, _ = strings.Cut(call, " | ")
			root := rootCommand() // flags keep what an earlier call said
			c, rest, err := root.Find(words(call))
			if err != nil {
				t.Errorf("%s: %v", call, err)
				continue
			}
			if c.CommandPath() != verb.CommandPath() {
				t.Errorf("the help of %s shows a call of %s: %s", verb.CommandPath(), c.CommandPath(), call)
			}
			if err := c.ParseFlags(rest); err != nil {
				t.Errorf("%s: %v", call, err)
			}
			if err := c.ValidateArgs(c.Flags().Args()); err != nil {
				t.Errorf("%s: %v", call, err)
			}
			if err := c.ValidateRequiredFlags(); err != nil {
				t.Errorf("%s: %v", call, err)
			}
		}
	}
	for path := range examples {
		if c, _, err := rootCommand().Find(strings.Fields(path)); err != nil || c.CommandPath() != "gatehouse "+path {
			t.Errorf("the example of %q is for no command", path)
		}
	}
}

// words splits a call as a shell does, without what is redirected.
func words(call string) []string {
	var out []string
	var word strings.Builder
	quote, open := rune(0), false
	end := func() {
		if w := word.String(); open && !strings.HasPrefix(w, "<") && !strings.HasPrefix(w, ">") {
			out = append(out, w)
		}
		word.Reset()
		open = false
	}
	for _, r := range strings.TrimSpace(call) {
		switch {
		case quote == 0 && (r == '\'' || r == '"'):
			quote, open = r, true
		case r == quote:
			quote = 0
		case quote == 0 && r == ' ':
			end()
		default:
			word.WriteRune(r)
			open = true
		}
	}
	end()
	return out
}

// TestHelpIsShort: a page fits a terminal, and lines do not wrap.
func TestHelpIsShort(t *testing.T) {
	for _, verb := range allVerbs(rootCommand()) {
		var out bytes.Buffer
		root := rootCommand()
		root.SetOut(&out)
		root.SetArgs(append(strings.Fields(strings.TrimPrefix(verb.CommandPath(), "gatehouse ")), "--help"))
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		page := out.String()
		if lines := strings.Count(page, "\n"); lines > 45 {
			t.Errorf("the help of %s has %d lines", verb.CommandPath(), lines)
		}
		description, _, _ := strings.Cut(page, "\nUsage:")
		for line := range strings.Lines(description) {
			if len(line) > 90 {
				t.Errorf("the help of %s has a line of %d characters: %s", verb.CommandPath(), len(line), line)
			}
		}
		if strings.Contains(page, "GATEHOUSE_LISTEN") {
			t.Errorf("the help of %s repeats the flags of every command", verb.CommandPath())
		}
	}
}

// TestDocsShowCallsThatWork: each call in the code blocks of the documentation is
// one that a command takes.
func TestDocsShowCallsThatWork(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	calls := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
			m := shownCall.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			calls++
			call := m[1]
			for _, end := range []string{" #", " | ", " && "} {
				call, _, _ = strings.Cut(call, end)
			}
			root := rootCommand()
			c, rest, err := root.Find(words(call))
			if err != nil {
				t.Errorf("%s: gatehouse %s: %v", filepath.Base(page), call, err)
				continue
			}
			if err := c.ParseFlags(rest); err != nil {
				t.Errorf("%s: gatehouse %s: %v", filepath.Base(page), call, err)
				continue
			}
			if err := c.ValidateArgs(c.Flags().Args()); err != nil {
				t.Errorf("%s: gatehouse %s: %v", filepath.Base(page), call, err)
			}
			if err := c.ValidateRequiredFlags(); err != nil {
				t.Errorf("%s: gatehouse %s: %v", filepath.Base(page), call, err)
			}
		}
	}
	if calls < 30 {
		t.Errorf("only %d calls were found; do the pages show them in another form?", calls)
	}
}

// TestDocsNameVerbsThatExist: a command within a sentence is one that there is,
// with flags that it has.
func TestDocsNameVerbsThatExist(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	for _, page := range append(pages, "../../README.md", "../../RATIONALE.md", "../../CONTRIBUTING.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range namedCall.FindAllStringSubmatch(string(text), -1) {
			call := strings.TrimRight(m[1], ".… ")
			c, rest, err := rootCommand().Find(words(call))
			if err != nil {
				t.Errorf("%s: `gatehouse %s`: %v", filepath.Base(page), call, err)
				continue
			}
			if c.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") && rest[0] != strings.ToUpper(rest[0]) {
				t.Errorf("%s: `gatehouse %s`: %s has no %s", filepath.Base(page), call, c.Name(), rest[0])
				continue
			}
			for _, w := range rest {
				name, isFlag := strings.CutPrefix(w, "--")
				name, _, _ = strings.Cut(name, "=")
				if isFlag && name != "" && c.Flag(name) == nil && c.InheritedFlags().Lookup(name) == nil && name != "help" {
					t.Errorf("%s: `gatehouse %s`: %s has no --%s", filepath.Base(page), call, c.CommandPath(), name)
				}
			}
		}
	}
}

// namedCall is a command between backticks.
var namedCall = regexp.MustCompile("[^`]`gatehouse ([a-z][^`\n]*)`")

// TestCommandLinePageHasEveryVerb: in the table of docs/cli.md a row's first
// span names the group, those behind it may leave it out.
func TestCommandLinePageHasEveryVerb(t *testing.T) {
	page, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		row, isRow := strings.CutPrefix(line, "| `")
		if !isRow {
			continue
		}
		cell, _, _ := strings.Cut(row, " | ")
		group, _, _ := strings.Cut(cell, " ")
		for _, span := range strings.Split(strings.ReplaceAll(cell, "`", ""), ", ") {
			w := strings.Fields(span)
			for n := range w {
				call := strings.Join(w[:n+1], " ")
				listed[call], listed[group+" "+call] = true, true
			}
		}
	}
	for _, verb := range allVerbs(rootCommand()) {
		if call := strings.TrimPrefix(verb.CommandPath(), "gatehouse "); !listed[call] {
			t.Errorf("the table of docs/cli.md does not list `gatehouse %s`", call)
		}
	}
}

// shownCall is a line of a code block that calls the program, after a pipe or a
// prompt, or at once.
var shownCall = regexp.MustCompile(`^\s*(?:\$ )?(?:sudo )?(?:[A-Za-z][^|#]*\| )?(?:bin/|\./)?gatehouse ([a-z].*?)\s*$`)
