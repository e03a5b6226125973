package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

var (
	described = regexp.MustCompile(`^Desc\{fqName: "(gatehouse_[a-z_]+)".*variableLabels: \{([a-z,]*)\}\}$`)
	figure    = regexp.MustCompile("gatehouse_[a-z]+(?:_[a-z]+)+")
	figureRow = regexp.MustCompile("`(gatehouse_[a-z_]+)(?:\\{([a-z,]+)\\})?`")
)

// registered are the gateway's own figures with their labels, as /metrics has
// them.
func registered(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "gatehouse.yaml")
	if err := os.WriteFile(file, []byte("channels: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := openApp(t.Context(), flags{config: file, data: filepath.Join(dir, "data"), key: filepath.Join(dir, "key")}, asCommand())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.close(); err != nil {
			t.Error(err)
		}
	})
	all := make(chan *prometheus.Desc)
	go func() {
		defer close(all)
		a.registry.Describe(all)
	}()
	out := map[string]string{}
	for d := range all {
		if m := described.FindStringSubmatch(d.String()); m != nil {
			out[m[1]] = m[2]
		}
	}
	return out
}

// TestOperatorsPageHasEveryFigure: the table that an operator reads at night has
// what /metrics has, label by label, and no page names a figure that is gone.
func TestOperatorsPageHasEveryFigure(t *testing.T) {
	want := registered(t)
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(page)) {
		first, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		if !strings.HasPrefix(line, "| `gatehouse_") {
			continue
		}
		for _, m := range figureRow.FindAllStringSubmatch(first, -1) {
			got[m[1]] = m[2]
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("docs/operations.md (-registered +documented):\n%s", d)
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range slices.Concat(pages, []string{"../../README.md", "../../RATIONALE.md"}) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range figure.FindAllString(string(text), -1) {
			series := strings.NewReplacer("_bucket", "", "_count", "", "_sum", "").Replace(name)
			if _, known := want[series]; !known {
				t.Errorf("%s names %s, which /metrics does not have", filepath.Base(page), name)
			}
		}
	}
}
