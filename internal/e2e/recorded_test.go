package e2e_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// eachWay runs a test with the adapter in Go and with the one that is a guest.
func eachWay(t *testing.T, test func(t *testing.T, guest bool)) {
	t.Helper()
	for name, guest := range map[string]bool{"native": false, "guest": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, guest)
		})
	}
}

// policies are those of direct chats. They are the gateway's, so that with a guest
// two of them show enough.
func policies(guest bool) []string {
	if guest {
		return []string{"open", "disabled"}
	}
	return []string{"open", "pairing", "allowlist", "disabled"}
}

// sameOutcomes holds a run to a golden file, which is written anew by that with
// the adapter in Go alone. With a guest, some payloads may be left out.
func sameOutcomes(t *testing.T, golden, got string, guest bool) {
	t.Helper()
	if *update && !guest {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if guest {
		want = triedOf(want, got)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// triedOf are the outcomes of a golden file whose payloads are among those of
// another: each has a line with its name, and one with what became of it.
func triedOf(golden []byte, got string) (tried []byte) {
	name := ""
	for line := range strings.Lines(string(golden)) {
		if !strings.HasPrefix(line, "\t") {
			name = line
		}
		if strings.HasPrefix(got, name) || strings.Contains(got, "\n"+name) {
			tried = append(tried, line...)
		}
	}
	return tried
}

// TestRecordedPayloads sends what was recorded in production through the real
// binary, under each policy of direct chats. The golden file says what becomes
// of each payload: answered, ignored with its reason, or refused.
func TestRecordedPayloads(t *testing.T) {
	t.Parallel()
	eachWay(t, recordedPayloads)
}

func recordedPayloads(t *testing.T, guest bool) {
	t.Helper()
	folder := filepath.Join("testdata", "recorded")
	raw, err := os.ReadFile(filepath.Join(folder, "telegram.json"))
	if err != nil {
		t.Fatal(err)
	}
	var recorded map[string]json.RawMessage
	if err := json.Unmarshal(raw, &recorded); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, policy := range policies(guest) {
		for _, name := range []string{"mention", "followUp"} {
			fmt.Fprintf(&got, "%s, dm: %s\n\t%s\n", name, policy, outcome(t, policy, guest, recorded[name]))
		}
	}
	sameOutcomes(t, filepath.Join(folder, "outcomes.golden"), got.String(), guest)
}

var (
	ignored = regexp.MustCompile(`msg="(?:event|update) ignored".*? (?:err|reason)=("[^"]*"|\S+)`)
	// guests say which one it was between the two words
	ignoredByGuest = regexp.MustCompile(`msg="the guest says".*? text="(?:event|update) (?:\S+ )?ignored: ([^"]*)"`)
	code           = regexp.MustCompile(`\b[A-HJ-NP-Z2-9]{8}\b`)
)

// ignoring is a line of the log that says that something was ignored.
type ignoring struct{ line, why string }

// whatWasIgnored are the lines of a log that say so, in order.
func whatWasIgnored(log string) (all []ignoring) {
	for line := range strings.Lines(log) {
		for _, form := range []*regexp.Regexp{ignored, ignoredByGuest} {
			if m := form.FindStringSubmatch(line); m != nil {
				all = append(all, ignoring{line, strings.Trim(m[1], `"`)})
			}
		}
	}
	return all
}

// outcome is what the gateway does with one update of a stranger.
func outcome(t *testing.T, policy string, guest bool, raw json.RawMessage) string {
	t.Helper()
	set := settings{policy: policy, level: "debug"}
	if guest {
		set.binary, set.adapter, set.channel = withGuests(t), "wasm", []string{"module: telegram"}
	}
	r := newRig(t, set)
	if guest {
		shareCompiled(t, r.dir)
	}
	_, chat := r.person(7527593)
	if _, err := r.bot.Inject(raw); err != nil {
		t.Fatal(err)
	}
	r.up()
	what := ""
	done := eventually(patience, func() bool {
		if sent := texts(chat.Delivered()); len(sent) > 0 {
			what = said(sent[0])
			return true
		}
		if all := whatWasIgnored(r.proc.log.lines()); len(all) > 0 {
			what = "ignored: " + all[0].why
			return true
		}
		return false
	})
	if !done {
		t.Fatalf("nothing became of it\n%s", r.proc.log)
	}
	if !eventually(patience, func() bool { return r.bot.Pending() == 0 }) { // the next poll does it
		t.Error("the update was not acknowledged")
	}
	r.term()
	if n := len(texts(chat.Delivered())); n > 1 {
		t.Errorf("it was answered %d times", n)
	}
	return what
}

// unsaid is the outcome of a payload that is taken in, and of which nothing is said.
const unsaid = "taken, and nothing is said"

// watchFor is how long to wait for what becomes of a payload, whose line in the
// golden file begins with head: not longer than that where silence is expected.
func watchFor(golden []byte, head string) time.Duration {
	if bytes.Contains(golden, []byte(head+"\n\t"+unsaid+"\n")) {
		return 10 * time.Second
	}
	return patience
}

// said tells the model's answer from what the gateway says itself.
func said(text string) string {
	if strings.HasPrefix(text, "echo: ") {
		return "answered: " + text
	}
	first, _, _ := strings.Cut(code.ReplaceAllString(text, "CODE"), "\n")
	return "refused: " + first
}
