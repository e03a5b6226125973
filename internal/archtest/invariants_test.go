package archtest_test

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var invariantTest = regexp.MustCompile(`(?m)^func TestInvariant(\d\d)[A-Z]\w*\(`)

// invariants is how many of them docs/security.md lists.
const invariants = 10

// TestEachInvariantIsTested: tests carry the number of the invariant that they
// hold the code to, every invariant has some, and the page lists them all. They
// run wherever all tests do: none is behind a build tag.
func TestEachInvariantIsTested(t *testing.T) {
	tagged := regexp.MustCompile(`(?m)^//go:build `)
	found := map[int]int{}
	for name, text := range sources(t, "_test.go") {
		for _, m := range invariantTest.FindAllSubmatch(text, -1) {
			n, err := strconv.Atoi(string(m[1]))
			if err != nil || n < 1 || n > invariants {
				t.Errorf("%s: there is no invariant %s", name, m[1])
			}
			if !tagged.Match(text) {
				found[n]++
			}
		}
	}
	page := string(sources(t, "security.md")["docs/security.md"])
	for n := 1; n <= invariants; n++ {
		if found[n] == 0 {
			t.Errorf("no test is called TestInvariant%02d...", n)
		}
		if !regexp.MustCompile(fmt.Sprintf("(?m)^\\| %d \\|.*`TestInvariant%02d", n, n)).MatchString(page) {
			t.Errorf("docs/security.md names no test of invariant %d", n)
		}
	}
}

// scoped are the types whose methods take a scope, each with the test that calls
// every such method with scopes that are not the right ones. Those tests are made
// from the methods that there are, and fail where one is missing; this table finds a
// type that none of them knows.
var scoped = map[string]string{
	"vault.Store":                "TestInvariant01StoreMatrix",
	"gateway/approval.Book":      "TestInvariant01StoreMatrix",
	"gateway/approval.Question":  "TestInvariant07WhoDecides",
	"memory/store.Store":         "TestInvariant01StoreMatrix",
	"gateway/identity.Directory": "TestInvariant01ScopeMatrix",
	"gateway/operator.Operator":  "TestEveryMethodRefusesThoseNotInCharge",
	// These ask none themselves: the operator has, or what they call does.
	"gateway.Gateway":      "TestEveryMethodRefusesThoseNotInCharge",
	"cmd/gatehouse.passes": "TestInvariant06SecretOfWhoSpeaks",
}

var takesScope = regexp.MustCompile(`(?m)^func \(\w+ \*?(\w+)\) [A-Z]\w*\([^)]*\bscope\.Scope\b`)

// TestInvariant01NoStoreIsForgotten: every type with a method that takes a scope is
// tried with wrong ones.
func TestInvariant01NoStoreIsForgotten(t *testing.T) {
	tests := map[string]bool{}
	for _, text := range sources(t, "_test.go") {
		for _, m := range testFunc.FindAllSubmatch(text, -1) {
			tests[string(m[1])] = true
		}
	}
	found := map[string]bool{}
	for name, text := range sources(t, ".go") {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, m := range takesScope.FindAllSubmatch(text, -1) {
			found[path.Dir(name)+"."+string(m[1])] = true
		}
	}
	for typ := range found {
		if scoped[typ] == "" {
			t.Errorf("%s has methods that take a scope, and no test calls them with wrong ones", typ)
		}
	}
	for typ, test := range scoped {
		if !found[typ] || !tests[test] {
			t.Errorf("%s takes a scope: %v; %s exists: %v", typ, found[typ], test, tests[test])
		}
	}
}
