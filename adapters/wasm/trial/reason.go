package trial

import (
	"errors"
	"strings"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// Reason is what is wrong, as the first check that failed shows it, with the
// others that fail because of it.
type Reason struct {
	First Result
	Also  []Result
}

// Reasons brings what failed down to what has to be mended: one mistake fails a
// test on both engines, and most of what is made from that test. place is where
// in the author's sources a check failed, "" if nobody knows; checks that fail at
// one place, or with the same words, have one reason. So does what fails without
// a place of its own where the test that it was made from fails already.
func Reasons(all []Result, place func(Result) string) []Reason {
	var found []Reason
	known, tests := map[string]int{}, map[string]int{} // indexes of found
	for _, r := range all {
		if r.Err == nil {
			continue
		}
		at := place(r)
		key := at
		if key == "" {
			key = words(r.Err)
		}
		i, ok := known[key]
		if !ok && !r.Own && at == "" {
			i, ok = tests[r.Test]
		}
		if ok {
			found[i].Also = append(found[i].Also, r)
		} else {
			i = len(found)
			found = append(found, Reason{First: r})
		}
		known[key] = i
		if _, failed := tests[r.Test]; r.Own && !failed {
			tests[r.Test] = i
		}
	}
	return found
}

// words are what an error says, but for the operation and the input with which a
// guest died.
func words(err error) string {
	var fault *sandbox.Fault
	if errors.As(err, &fault) {
		return string(fault.Kind) + ": " + fault.Detail + strings.Join(fault.Trace, " < ")
	}
	return err.Error()
}
