package wasm_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestVersionIsOfAllSources: a file that Version does not read could change what
// is refused, while modules that were checked before stay in the cache.
func TestVersionIsOfAllSources(t *testing.T) {
	own, err := os.ReadFile("version.go")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`(?m)^//go:embed (.*)$`).FindSubmatch(own)
	if named == nil {
		t.Fatal("version.go embeds nothing")
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	want := slices.DeleteFunc(files, func(name string) bool { return name == "version.go" || strings.HasSuffix(name, "_test.go") })
	if diff := cmp.Diff(want, strings.Fields(string(named[1]))); diff != "" {
		t.Errorf("the files of this package, and what version.go names:\n%s", diff)
	}
}
