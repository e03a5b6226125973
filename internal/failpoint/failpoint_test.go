package failpoint_test

import (
	"testing"

	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

func TestNamesAreUnique(t *testing.T) {
	seen := map[failpoint.Name]bool{}
	for _, n := range failpoint.Names() {
		if seen[n] {
			t.Errorf("%s is listed twice", n)
		}
		seen[n] = true
	}
}

// TestUnarmed: without the environment variable a hit returns in every build.
func TestUnarmed(*testing.T) {
	for _, n := range failpoint.Names() {
		failpoint.Hit(n)
	}
}
