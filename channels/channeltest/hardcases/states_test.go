package hardcases_test

import (
	"io/fs"
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
	sources := testSources(t, filepath.Join("..", "..", ".."))
	for _, m := range regexp.MustCompile("`(Test[A-Z][A-Za-z0-9_]*)`").FindAllStringSubmatch(string(page), -1) {
		if m[1] != "TestFailpoints" && !strings.Contains(sources, "func "+m[1]+"(") {
			t.Errorf("docs/states.md names %s, which is no test", m[1])
		}
	}
}

// testSources is what stands in the test files below a folder.
func testSources(t *testing.T, root string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
