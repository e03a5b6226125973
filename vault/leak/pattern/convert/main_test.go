package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/vault/leak/pattern"
)

func TestTheDataIsWhatTheRulesSay(t *testing.T) {
	text, err := os.ReadFile("../data/gitleaks.toml")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := convert(text)
	if err != nil {
		t.Fatal(err)
	}
	want, err := encode(rules)
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("../data/rules.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, have) {
		t.Error("data/rules.json is stale: run go generate ./vault/leak/pattern")
	}
}

func TestConvert(t *testing.T) {
	const text = `
# A comment.
title = "rules"
[allowlist]
paths = [
    '''x''',
]
[[rules]]
id = "one"
regex = '''a="([b'])"'''
entropy = 3.5
secretGroup = 2
keywords = [
    "a=",
    "b\"c",
]
[[rules.allowlists]]
paths = ['''only for files''']
regexes = ['''EXAMPLE$''', '''^$''']
[[rules]]
id = "of-a-file"
path = '''\.tf$'''
regex = '''x'''
[[rules]]
id = "generic-api-key"
regex = '''x'''
`
	got, err := convert([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []pattern.Rule{{
		ID: "one", Regexp: `a="([b'])"`, Group: 2, Entropy: 3.5,
		Keywords: []string{"a=", `b"c`}, Allow: []string{"EXAMPLE$", "^$"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, broken := range []string{
		"[[rules]]\nid", "[[rules]]\nid = one", "[[rules]]\nkeywords = [\n", "[[rules]]\nkeywords = [one]", "[[rules]]\nentropy = much",
	} {
		if _, err := convert([]byte(broken)); err == nil {
			t.Errorf("%q passed", broken)
		}
	}
}
