// Command convert turns the rules of gitleaks into the data file of package
// pattern. It is run by go generate in that package.
//
// It leaves out rules that depend on a file's name, and the generic rule, which
// takes any long word behind an equals sign for a secret.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/gatehouse-chat/gatehouse/vault/leak/pattern"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: convert gitleaks.toml rules.json")
		os.Exit(2) //nolint:forbidigo // a main of its own
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "convert:", err)
		os.Exit(1) //nolint:forbidigo // a main of its own
	}
}

func run(from, to string) error {
	text, err := os.ReadFile(from) //nolint:gosec // what the caller names is to be read
	if err != nil {
		return err
	}
	rules, err := convert(text)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	out, err := encode(rules)
	if err != nil {
		return err
	}
	return os.WriteFile(to, out, 0o644) //nolint:gosec // sources are readable
}

// encode writes one rule a line, so that a change of the data can be read.
func encode(rules []pattern.Rule) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("[\n")
	for i, r := range rules {
		if i > 0 {
			out.WriteString(",\n")
		}
		var line bytes.Buffer
		e := json.NewEncoder(&line)
		e.SetEscapeHTML(false)
		if err := e.Encode(r); err != nil {
			return nil, err
		}
		out.Write(bytes.TrimSpace(line.Bytes()))
	}
	out.WriteString("\n]\n")
	return out.Bytes(), nil
}

// dropped are rules that find too much in what people write.
var dropped = map[string]bool{"generic-api-key": true}

// narrower are words that stand in every match as well, and in less else.
var narrower = map[string][]string{"jwt": {"eyj"}}

// convert reads the part of TOML that the rules are written in: tables, and
// keys with a string, a number or a list of strings.
func convert(text []byte) ([]pattern.Rule, error) {
	var rules []pattern.Rule
	var paths bool // the rule depends on a file's name
	table := ""
	finish := func() {
		if n := len(rules); n > 0 && (paths || dropped[rules[n-1].ID]) {
			rules = rules[:n-1]
		}
		paths = false
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#':
			continue
		case line[0] == '[':
			table = line
			if table == "[[rules]]" {
				finish()
				rules = append(rules, pattern.Rule{})
			}
			continue
		}
		key, value, ok := strings.Cut(line, " = ")
		if !ok {
			return nil, fmt.Errorf("not understood: %s", line)
		}
		for value == "[" || strings.HasPrefix(value, "[") && !strings.HasSuffix(value, "]") {
			if !lines.Scan() {
				return nil, fmt.Errorf("the list of %s does not end", key)
			}
			value += strings.TrimSpace(lines.Text())
		}
		if key == "path" && table == "[[rules]]" {
			paths = true
		}
		if len(rules) > 0 {
			if err := set(&rules[len(rules)-1], table, key, value); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", rules[len(rules)-1].ID, key, err)
			}
		}
	}
	finish()
	return rules, lines.Err()
}

// set sets one key of the rule that is being read.
func set(r *pattern.Rule, table, key, value string) (err error) {
	switch table + key {
	case "[[rules]]id":
		r.ID, err = strconv.Unquote(value)
	case "[[rules]]regex":
		r.Regexp = strings.Trim(value, "'")
	case "[[rules]]entropy":
		r.Entropy, err = strconv.ParseFloat(value, 64)
	case "[[rules]]secretGroup":
		r.Group, err = strconv.Atoi(value)
	case "[[rules]]keywords":
		if r.Keywords = narrower[r.ID]; r.Keywords == nil {
			r.Keywords, err = list(value)
		}
	case "[[rules.allowlists]]regexes":
		r.Allow, err = list(value)
	}
	return err
}

// list reads a list of strings, of either kind of quotes.
func list(s string) (all []string, err error) {
	s = strings.TrimSpace(s[1 : len(s)-1])
	for s != "" {
		var item string
		if rest, literal := strings.CutPrefix(s, "'''"); literal {
			item, s, _ = strings.Cut(rest, "'''")
		} else {
			quoted, err := strconv.QuotedPrefix(s)
			if err != nil {
				return nil, err
			}
			s = s[len(quoted):]
			if item, err = strconv.Unquote(quoted); err != nil {
				return nil, err
			}
		}
		all = append(all, item)
		s = strings.TrimLeft(s, ", ")
	}
	return all, nil
}
