package archtest

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
)

// rules all look at one file at a time.
var rules = []func(*file) []Violation{
	checkAreas, checkLibraries, checkCodecs, checkDotImports,
	checkScopes, checkEgress, checkSleeps, checkInits, checkGoroutines,
}

// Check holds all sources under root to the rules and returns what breaks
// them, in the order of files and lines. Exceptions that excuse nothing are
// reported beside the violations, unless what they excuse does not exist.
func Check(root fs.FS) ([]Violation, error) { return check(root, exceptions) }

func check(root fs.FS, exceptions []exception) ([]Violation, error) {
	files, err := load(root)
	if err != nil {
		return nil, err
	}
	var found []Violation
	for _, f := range files {
		for _, rule := range rules {
			found = append(found, rule(f)...)
		}
	}
	used := make([]bool, len(exceptions))
	found = slices.DeleteFunc(found, func(v Violation) bool {
		i := slices.IndexFunc(exceptions, func(e exception) bool { return e.excuses(v) })
		if i < 0 {
			return false
		}
		used[i] = true
		return true
	})
	for i, e := range exceptions {
		if _, err := fs.Stat(root, e.path); err == nil && !used[i] {
			found = append(found, Violation{File: e.path, Rule: e.rule, Text: fmt.Sprintf("the exception (%s) excuses nothing any more", e.why)})
		}
	}
	slices.SortFunc(found, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule))
	})
	return found, nil
}
