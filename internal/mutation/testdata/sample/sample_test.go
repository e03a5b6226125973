package sample_test

import (
	"testing"

	"github.com/gatehouse-chat/gatehouse/internal/mutation/testdata/sample"
)

func TestClamp(t *testing.T) {
	for x, want := range map[int]int{0: 1, 1: 1, 2: 2, 5: 5} {
		if got := sample.Clamp(x, 1, 5); got != want {
			t.Errorf("%d: %d", x, got)
		}
	}
}

func TestSum(t *testing.T) {
	if got := sample.Sum([]int{1, 2, 4}); got != 7 {
		t.Error(got)
	}
}
