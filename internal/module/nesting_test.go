package module_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/internal/module"
)

// TestDeepNesting: a manifest cannot exhaust the stack.
func TestDeepNesting(t *testing.T) {
	for _, unit := range []string{"[", `{"features":`, `{"http":[`} {
		if _, err := module.ParseManifest([]byte(strings.Repeat(unit, 200_000/len(unit)))); err == nil {
			t.Errorf("a manifest of many %q passed", unit)
		}
	}
}
