package project

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// position is how compilers and runtimes write a place in a source.
var position = regexp.MustCompile(`([A-Za-z0-9_./-]+\.(?:go|rs|c|h|ts|js)):(\d+)(?::(\d+))?`)

// Place finds in what a guest wrote before it died the first place in the
// author's own sources, such as "main.go:45"; "" when there is none.
func Place(dir string, said []string) string {
	for _, line := range said {
		for _, m := range position.FindAllStringSubmatch(line, -1) {
			if m[1] == engineFile {
				if at := scriptPlace(dir, m[2], m[3]); at != "" {
					return at
				}
				continue
			}
			if f := own(dir, m[1]); f != "" {
				return f + strings.TrimPrefix(m[0], m[1])
			}
		}
	}
	return ""
}

// engineFile is what the engine for JavaScript calls the script.
const engineFile = "script.js"

// scriptPlace is the place of a line of the script in what its author wrote.
func scriptPlace(dir, line, column string) string {
	b, err := os.ReadFile(filepath.Join(dir, scriptFile+".map")) //nolint:gosec // the author's own
	if err != nil {
		return "main.js:" + line
	}
	l, _ := strconv.Atoi(line)
	c, _ := strconv.Atoi(column)
	var m sourceMap
	if json.Unmarshal(b, &m) != nil {
		return ""
	}
	return m.place(l, max(c, 1))
}

// own is a file of the project by whatever name a compiler gave to it: with the
// module's name before it, or a folder of the compiler's. The kit is not the
// author's.
func own(dir, name string) string {
	parts := strings.Split(filepath.ToSlash(filepath.Clean(name)), "/")
	for i := range parts {
		rest := filepath.Join(parts[i:]...)
		if strings.HasPrefix(rest, "gatehouse") || strings.HasPrefix(parts[len(parts)-1], "gw1.") {
			return ""
		}
		if info, err := os.Stat(filepath.Join(dir, rest)); err == nil && info.Mode().IsRegular() {
			return rest
		}
	}
	return ""
}
