package archtest_test

import (
	"fmt"
	"regexp"
	"strconv"
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
