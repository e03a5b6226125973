//go:build race

package bustest

// slow: the race detector makes the translated C code of SQLite many times
// slower, so the random cases are fewer.
const slow = true
