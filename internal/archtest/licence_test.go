package archtest_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPermissiveBuild: with the tag nowhatsapp no module under the GPL is
// linked. The default build shows that the test would see one.
func TestPermissiveBuild(t *testing.T) {
	for _, c := range []struct {
		tags string
		want []string
	}{
		{"", []string{"go.mau.fi/libsignal"}},
		{"nowhatsapp", nil},
	} {
		if d := cmp.Diff(c.want, copyleft(t, c.tags)); d != "" {
			t.Errorf("modules under the GPL with the tags %q (-want +got):\n%s", c.tags, d)
		}
	}
}

var gpl = regexp.MustCompile(`(?i)GNU (AFFERO |LESSER |LIBRARY )?GENERAL PUBLIC LICENSE\s+Version`)

// copyleft lists the modules whose licence is of the GPL's family.
func copyleft(t *testing.T, tags string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=Module", "-tags="+tags, "./cmd/gatehouse") //nolint:gosec // our own arguments
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	seen := map[string]bool{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct{ Module *struct{ Path, Dir string } }
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Module == nil || seen[p.Module.Path] {
			continue
		}
		seen[p.Module.Path] = true
		names, err := filepath.Glob(filepath.Join(p.Module.Dir, "[LC][IO][CP][EY]*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err == nil && gpl.Match(b[:min(len(b), 2000)]) {
				found = append(found, p.Module.Path)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
