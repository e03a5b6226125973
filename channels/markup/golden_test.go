package markup_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden renders each testdata/golden/*.md in every dialect.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/golden/*.md")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	for _, in := range inputs {
		src, err := os.ReadFile(in)
		if err != nil {
			t.Fatal(err)
		}
		tree := markup.Parse(string(src))
		for _, d := range dialects {
			name := strings.TrimSuffix(filepath.Base(in), ".md") + "." + string(d)
			t.Run(name, func(t *testing.T) {
				golden(t, filepath.Join("testdata/golden", name), visible(d, d.Render(tree)))
			})
		}
	}
}

// visible spells out what an editor would not show, or would do to a terminal.
func visible(d markup.Dialect, s string) string {
	switch d {
	case markup.Terminal:
		return strings.ReplaceAll(s, "\x1b", "␛")
	case markup.WebHTML: // one element a line reads better
		for _, tag := range []string{"</p>", "</li>", "</tr>", "</pre>", "</h1>", "</h2>", "<br/>", "<ul>", "</ul>", "<ol>", "</ol>", "</blockquote>", "</table>", "<hr/>"} {
			s = strings.ReplaceAll(s, tag, tag+"\n")
		}
	}
	return s
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	got += "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}
