//go:build !race

package bustest

const slow = false
