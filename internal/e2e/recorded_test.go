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

// TestRecordedPayloads sends what was recorded in production through the real
// binary, under each policy of direct chats. The golden file says what becomes
// of each payload: answered, ignored with its reason, or refused.
func TestRecordedPayloads(t *testing.T) {
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
	for _, policy := range []string{"open", "pairing", "allowlist", "disabled"} {
		for _, name := range []string{"mention", "followUp"} {
			fmt.Fprintf(&got, "%s, dm: %s\n\t%s\n", name, policy, outcome(t, policy, recorded[name]))
		}
	}
	golden := filepath.Join(folder, "outcomes.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

var (
	ignored = regexp.MustCompile(`msg="(?:event|update) ignored".*? (?:err|reason)=("[^"]*"|\S+)`)
	code    = regexp.MustCompile(`\b[A-HJ-NP-Z2-9]{8}\b`)
)

// outcome is what the gateway does with one update of a stranger.
func outcome(t *testing.T, policy string, raw json.RawMessage) string {
	t.Helper()
	r := newRig(t, settings{policy: policy, level: "debug"})
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
		if m := ignored.FindStringSubmatch(r.proc.log.String()); m != nil {
			what = "ignored: " + strings.Trim(m[1], `"`)
			return true
		}
		return false
	})
	if !done {
		t.Fatalf("nothing became of it\n%s", r.proc.log)
	}
	r.term()
	if n := len(texts(chat.Delivered())); n > 1 {
		t.Errorf("it was answered %d times", n)
	}
	if r.bot.Pending() > 0 {
		t.Error("the update was not acknowledged")
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
