package trial_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm/trial"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// TestReasons: what one mistake breaks is one reason, and two mistakes are two.
func TestReasons(t *testing.T) {
	trap := func(op sandbox.Op, function string) error {
		return fmt.Errorf("changed body 3: %w", &sandbox.Fault{Module: "a", Op: op, Kind: sandbox.KindTrap, Detail: "unreachable", Trace: []string{function}})
	}
	own := func(test, engine, err string) trial.Result {
		r := trial.Result{Name: test + ", " + engine, Test: test, Own: true}
		if err != "" {
			r.Err = errors.New(err) //nolint:err113 // as a guest says it
		}
		return r
	}
	made := func(test, what, err string) trial.Result {
		return trial.Result{Name: test + ": " + what, Test: test, Err: errors.New(err)} //nolint:err113 // as a guest says it
	}
	places := map[string]string{"thrown in one place": "main.js:3", "thrown again there": "main.js:3", "thrown elsewhere": "main.js:9"}
	tests := []struct {
		name string
		all  []trial.Result
		want [][]string // the names, by reason
	}{
		{"all is well", []trial.Result{own("in", "compiled", ""), own("in", "interpreted", "")}, nil},
		{"both engines", []trial.Result{own("in", "compiled", "no"), own("in", "interpreted", "no")}, [][]string{{"in, compiled", "in, interpreted"}}},
		{
			"what is made of a test that fails",
			[]trial.Result{own("in", "compiled", "no"), made("in", "status 429", "says no, want x"), made("out", "status 429", "says y, want x")},
			[][]string{{"in, compiled", "in: status 429"}, {"out: status 429"}},
		},
		{
			"one place",
			[]trial.Result{own("in", "compiled", "thrown in one place"), own("out", "compiled", "thrown again there"), made("in", "hostile", "thrown elsewhere")},
			[][]string{{"in, compiled", "out, compiled"}, {"in: hostile"}},
		},
		{
			"one trap in several operations",
			[]trial.Result{
				{Name: "in", Test: "in", Own: true, Err: trap(sandbox.OpPoll, "parse")},
				{Name: "out", Test: "out", Own: true, Err: trap(sandbox.OpSend, "parse")},
				{Name: "edit", Test: "edit", Own: true, Err: trap(sandbox.OpEdit, "other")},
			},
			[][]string{{"in", "out"}, {"edit"}},
		},
		{
			"one engine alone",
			[]trial.Result{own("in", "compiled", ""), own("in", "interpreted", "no"), made("in", "both engines agree", "interpreted no")},
			[][]string{{"in, interpreted", "in: both engines agree"}},
		},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			var got [][]string
			for _, r := range trial.Reasons(x.all, func(r trial.Result) string { return places[r.Err.Error()] }) {
				names := []string{r.First.Name}
				for _, a := range r.Also {
					names = append(names, a.Name)
				}
				got = append(got, names)
			}
			if diff := cmp.Diff(x.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
