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
