package hardcases_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// TestStatesNameEveryFailpoint keeps docs/states.md complete: a durable boundary
// that the page does not explain is one that nobody has thought through.
func TestStatesNameEveryFailpoint(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "states.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, name := range failpoint.Names() {
		known[string(name)] = true
		if !strings.Contains(string(page), "`"+string(name)+"`") {
			t.Errorf("docs/states.md does not name the failpoint %s", name)
		}
	}
	for _, m := range regexp.MustCompile("`([a-z]+\\.(?:before|after)[a-z-]*)`").FindAllStringSubmatch(string(page), -1) {
		if !known[m[1]] {
			t.Errorf("docs/states.md names %s, which is no failpoint", m[1])
		}
	}
}

// TestStatesNameRealTests: every test that the page sends its reader to exists.
func TestStatesNameRealTests(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "states.md"))
	if err != nil {
		t.Fatal(err)
	}
	var sources strings.Builder
	for _, dir := range []string{".", filepath.Join("..", "..", "..", "gateway")} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(b)
		}
	}
	for _, m := range regexp.MustCompile("`(Test[A-Z][A-Za-z]*)`").FindAllStringSubmatch(string(page), -1) {
		if m[1] != "TestFailpoints" && !strings.Contains(sources.String(), "func "+m[1]+"(") {
			t.Errorf("docs/states.md names %s, which is no test", m[1])
		}
	}
}
