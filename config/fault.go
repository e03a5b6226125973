package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/internal/nearest"
)

// Fault is one mistake. A warning does not keep the gateway from starting.
type Fault struct {
	Path    string // dotted: "channels.support.dm"
	Line    int    // 1 for the first line; 0 when it does not come from the file
	Text    string // what is wrong, and what would be right
	Warning bool
}

// String writes a fault as an editor would show it.
func (f Fault) String() string {
	var parts []string
	if f.Warning {
		parts = append(parts, "warning")
	}
	if f.Line > 0 {
		parts = append(parts, fmt.Sprintf("line %d", f.Line))
	}
	if f.Path != "" {
		parts = append(parts, f.Path)
	}
	return strings.Join(append(parts, f.Text), ": ")
}

// Faults are all mistakes of one configuration, in the order of the file.
type Faults []Fault

// Error implements error.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, x := range f {
		lines[i] = x.String()
	}
	return strings.Join(lines, "\n")
}

// Errors are the faults that are not warnings.
func (f Faults) Errors() Faults {
	return slices.DeleteFunc(slices.Clone(f), func(x Fault) bool { return x.Warning })
}

// Warnings are the faults that are only warnings.
func (f Faults) Warnings() Faults {
	return slices.DeleteFunc(slices.Clone(f), func(x Fault) bool { return !x.Warning })
}

func (f Faults) sorted() Faults {
	slices.SortStableFunc(f, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path))
	})
	return f
}

// suggest names the known word that a mistyped one probably meant, or "".
func suggest(word string, known []string) string {
	return nearest.Of(strings.ToLower(word), known, len(word)/2)
}
