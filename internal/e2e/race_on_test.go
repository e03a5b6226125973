//go:build race

package e2e_test

// raceEnabled says whether these tests watch for races; the binary then does, too.
const raceEnabled = true
