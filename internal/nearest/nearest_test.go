package nearest_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/internal/nearest"
)

func TestOf(t *testing.T) {
	known := []string{"listen", "log", "models", "mode", "data"}
	tests := []struct {
		word string
		most int
		want string
	}{
		{"listn", 2, "listen"},
		{"model", 2, "mode"}, // as near as "models", and before it
		{"modelz", 1, "models"},
		{"xyz", 2, ""},
		{"log", 0, "log"},
		{"", 2, ""},
		{strings.Repeat("listen", 20), 200, "data"},
	}
	for _, tt := range tests {
		if got := nearest.Of(tt.word, known, tt.most); got != tt.want {
			t.Errorf("%.20q within %d: %q, want %q", tt.word, tt.most, got, tt.want)
		}
	}
	if got := nearest.Of("a", nil, 9); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}

// TestDistanceIsOne holds it to what a distance is.
func TestDistanceIsOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[abc]{0,12}`)
		a, b, c := word.Draw(t, "a"), word.Draw(t, "b"), word.Draw(t, "c")
		ab := nearest.Distance(a, b)
		if ab != nearest.Distance(b, a) || (ab == 0) != (a == b) || ab > max(len(a), len(b)) || ab < len(a)-len(b) {
			t.Fatalf("from %q to %q: %d", a, b, ab)
		}
		if ac, cb := nearest.Distance(a, c), nearest.Distance(c, b); ab > ac+cb {
			t.Fatalf("%q to %q is %d, but %d by way of %q", a, b, ab, ac+cb, c)
		}
		if cut := nearest.Distance(a, a+"x"); cut != 1 {
			t.Fatalf("one letter more: %d", cut)
		}
	})
}
