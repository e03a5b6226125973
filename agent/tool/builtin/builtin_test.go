package builtin_test

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/tool/builtin"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

func noon() time.Time { return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC) }

func turn(member, room string, seen agent.Label) *agent.Turn {
	return &agent.Turn{Seen: seen, Scope: scope.New(scope.Principal{
		Workspace: "w", Channel: "c", Conversation: room, Member: member, Role: scope.Ordinary, Direct: room == "",
	})}
}

func call(t *testing.T, x agent.Tool, tn *agent.Turn, args string) (string, agent.Label) {
	t.Helper()
	res, err := x.Call(t.Context(), tn, json.RawMessage(args))
	if err != nil {
		return "error: " + err.Error(), res.Label
	}
	return res.Text, res.Label
}

func TestClock(t *testing.T) {
	for args, want := range map[string]string{
		`{}`:                       "Wednesday, 2026-07-01T12:00:00Z (UTC)",
		`{"zone":"Europe/Berlin"}`: "Wednesday, 2026-07-01T14:00:00+02:00 (CEST)",
		`{"at":"2026-12-31T23:30:00Z","add":"45m"}`: "Friday, 2027-01-01T00:15:00Z (UTC)",
		`{"zone":"Local"}`:                          "error: \"Local\" is not a time zone",
		`{"zone":"../etc/x"}`:                       "error: \"../etc/x\" is not a time zone",
		`{"add":"tomorrow"}`:                        "error: \"tomorrow\" is not a duration",
		`{"at":"noon"}`:                             "error: \"noon\" is not a moment",
		`{"when":"now"}`:                            "error: the arguments do not fit",
	} {
		if got, label := call(t, builtin.Clock{Now: noon}, turn("a", "", agent.Trusted), args); !strings.HasPrefix(got, want) || label != agent.Trusted {
			t.Errorf("%s: %q (%s), want %q", args, got, label, want)
		}
	}
}

func TestCompute(t *testing.T) {
	for in, want := range map[string]string{
		"1+2*3": "7", "(1+2)*3": "9", "-2^2": "-4", "2^3^2": "512", "2^-2": "0.25", "7%3": "1", "-7%3": "2", "10/4": "2.5",
		"19.99*3*1.19": "71.3643", "1/3": "≈0.333333333333", "1 000 + 1": "1001", "0.1+0.2": "0.3", "--3": "3", "2*-3": "-6",
	} {
		if got, err := builtin.Compute(in); err != nil || got != want {
			t.Errorf("%s = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "1+", "(1", "1)", "a", "1/0", "1%0", "2^0.5", "2^513", "9^512^9", "1..2", strings.Repeat("(", 999), strings.Repeat("-", 900) + "1",
		"9^500*9^500*9^500*9^500*9^500*9^500*9^500*9^500*9^500*9^500*9^500*9^500", strings.Repeat("1", 1001), "0^-1",
	} {
		if got, err := builtin.Compute(in); err == nil {
			t.Errorf("%.20q = %.20q, want an error", in, got)
		}
	}
}

func TestComputeIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b")
		x, y := big.NewInt(a), big.NewInt(b)
		got, err := builtin.Compute("(" + x.String() + ")*(" + y.String() + ")")
		if want := new(big.Int).Mul(x, y).String(); err != nil || got != want {
			t.Fatalf("%d*%d = %q, %v, want %q", a, b, got, err, want)
		}
	})
}

func FuzzCompute(f *testing.F) {
	f.Add("1+2*(3-4)^2/5%6")
	f.Fuzz(func(t *testing.T, in string) {
		if got, err := builtin.Compute(in); err == nil && got == "" {
			t.Errorf("%q has no result", in)
		}
	})
}

func TestNotes(t *testing.T) {
	tools := builtin.Notes{Store: inprocess.New(inprocess.Options{}), Now: noon}.Tools()
	read, write := tools[0], tools[1]
	ada := turn("ada", "", agent.Trusted)
	steps := []struct {
		who   *agent.Turn
		tool  agent.Tool
		args  string
		want  string
		label agent.Label
	}{
		{ada, write, `{"title":"Milk","text":"two bottles"}`, `Kept under "Milk".`, agent.Trusted},
		{ada, read, `{"title":" milk "}`, "two bottles", agent.Trusted},
		{ada, write, `{"title":"Milk","text":"and bread","append":true}`, `Kept under "Milk".`, agent.Trusted},
		{ada, read, `{"search":"BREAD"}`, "- Milk\ntwo bottles\nand bread\n", agent.Trusted},
		{ada, write, `{"title":"milk","undo":true}`, `Kept under "milk".`, agent.Trusted},
		{ada, read, `{"title":"Milk"}`, "two bottles", agent.Trusted},
		{turn("bob", "", agent.Trusted), read, `{}`, "There are no such notes.", agent.Trusted},
		{turn("ada", "room", agent.Trusted), read, `{"title":"Milk"}`, "There is no note of that title.", agent.Trusted},
		{turn("ada", "room", agent.Trusted), write, `{"title":"Plan","text":"at noon"}`, `Kept under "Plan".`, agent.Trusted},
		{turn("bob", "room", agent.Trusted), read, `{"title":"Plan"}`, "at noon", agent.ByMember},
		{turn("bob", "room", agent.Untrusted), write, `{"title":"Page","text":"from a page"}`, `Kept under "Page".`, agent.Trusted},
		{turn("bob", "room", agent.Trusted), read, `{"title":"Page"}`, "from a page", agent.Untrusted},
		{turn("bob", "room", agent.Trusted), write, `{"title":"Page","text":"mine","append":true}`, `Kept under "Page".`, agent.Trusted},
		{turn("bob", "room", agent.Trusted), read, `{"title":"Page"}`, "from a page\nmine", agent.Untrusted},
		{turn("ada", "room", agent.Trusted), read, `{}`, "- Page\n- Plan\n", agent.Untrusted},
		{ada, write, `{"title":"","text":"x"}`, "error: a title has", agent.Trusted},
		{ada, write, `{"title":"none","undo":true}`, "error: there is no note", agent.Trusted},
		{&agent.Turn{}, read, `{}`, "error: there are no notes here", agent.Trusted},
		{&agent.Turn{}, write, `{"title":"x","text":"y"}`, "error: there are no notes here", agent.Trusted},
	}
	for i, s := range steps {
		if got, label := call(t, s.tool, s.who, s.args); !strings.HasPrefix(got, s.want) || label != s.label {
			t.Errorf("step %d: %q (%s), want %q (%s)", i, got, label, s.want, s.label)
		}
	}
}
