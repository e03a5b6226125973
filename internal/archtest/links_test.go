package archtest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	pageFence   = regexp.MustCompile("(?ms)^```.*?\\n```")
	pageLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	pageHeading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	linkInside  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	noAnchor    = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// long is how many words a page may have before it needs a list of its parts.
const long = 2000

// TestPagesCanBeRead: each link of the documentation leads somewhere, and a long
// page begins with a list of its parts.
func TestPagesCanBeRead(t *testing.T) {
	const root = "../../"
	pages, err := filepath.Glob(root + "docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	for _, name := range []string{"README.md", "ARCHITECTURE.md", "RATIONALE.md", "CONTRIBUTING.md"} {
		pages = append(pages, root+name)
	}
	for _, page := range pages {
		text := read(t, page)
		inside := false
		for _, m := range pageLink.FindAllStringSubmatch(text, -1) {
			file, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(file, ":") {
				continue // another site
			}
			inside = inside || file == ""
			to := page
			if file != "" {
				to = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: there is no %s", page, m[1])
				continue
			}
			if anchor != "" && filepath.Ext(to) == ".md" && !slices.Contains(anchors(read(t, to)), anchor) {
				t.Errorf("%s: %s has no such heading", page, m[1])
			}
		}
		if n := len(strings.Fields(text)); n > long && !inside {
			t.Errorf("%s has %d words and no list of its parts", page, n)
		}
	}
}

// read returns a page without its blocks of code.
func read(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return pageFence.ReplaceAllString(string(text), "")
}

// anchors are the names by which the headings of a page can be reached.
func anchors(text string) []string {
	var all []string
	for _, m := range pageHeading.FindAllStringSubmatch(text, -1) {
		h := linkInside.ReplaceAllString(m[1], "$1")
		h = noAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(h)), "")
		all = append(all, strings.ReplaceAll(h, " ", "-"))
	}
	return all
}

var namedPlace = regexp.MustCompile("`([a-z][a-z0-9_/]*(?:\\.go)?)`")

// TestArchitectureNamesWhatExists: the files and folders that ARCHITECTURE.md
// names are there, and each folder at the top that has code is named.
func TestArchitectureNamesWhatExists(t *testing.T) {
	const root = "../../"
	named := map[string]bool{}
	for line := range strings.Lines(read(t, root+"ARCHITECTURE.md")) {
		row := strings.HasPrefix(line, "| `")
		places := line
		if row {
			places, _, _ = strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		}
		for _, m := range namedPlace.FindAllStringSubmatch(places, -1) {
			if !row && !strings.Contains(m[1], "/") {
				continue // a word of the code, such as a folder within the one before
			}
			named[m[1]] = true
			if _, err := os.Stat(root + m[1]); err != nil {
				t.Errorf("there is no %s", m[1])
			}
		}
	}
	tops, err := filepath.Glob(root + "*/*.go")
	if err != nil || len(tops) == 0 {
		t.Fatalf("no code: %v", err)
	}
	for _, file := range tops {
		if top := filepath.Base(filepath.Dir(file)); !named[top] {
			t.Errorf("ARCHITECTURE.md does not say what lives in %s", top)
		}
	}
}
