package archtest_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	makeRule = regexp.MustCompile(`(?m)^([a-z]+):(?:[^=]|$)`)
	makeCall = regexp.MustCompile("(?m)(?:`|^    )make ([a-z]+)")
)

// TestMakeTargets: what make says that it can do, and what the pages tell people
// to call, has a rule. A target that is only declared does nothing, and make is
// content with that.
func TestMakeTargets(t *testing.T) {
	const root = "../../"
	makefile := read(t, root+"Makefile")
	var rules []string
	for _, m := range makeRule.FindAllStringSubmatch(makefile, -1) {
		rules = append(rules, m[1])
	}
	_, declared, _ := strings.Cut(makefile, ".PHONY: ")
	declared, _, _ = strings.Cut(declared, "\n")
	for _, target := range strings.Fields(declared) {
		if target != "FORCE" && !slices.Contains(rules, target) {
			t.Errorf("the Makefile declares %q and has no rule for it", target)
		}
	}
	calls := 0
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		pages, err := filepath.Glob(root + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			for _, m := range makeCall.FindAllStringSubmatch(read(t, page), -1) {
				if calls++; !slices.Contains(rules, m[1]) {
					t.Errorf("%s says to call make %s, for which there is no rule", filepath.Base(page), m[1])
				}
			}
		}
	}
	if calls == 0 {
		t.Error("no page names a target: the pattern does not fit")
	}
}
