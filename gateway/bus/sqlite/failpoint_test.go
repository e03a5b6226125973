//go:build failpoint

package sqlite_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/sqlite"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// scriptEnv makes this binary run the script on the file that it names.
const scriptEnv = "GATEHOUSE_BUS_SCRIPT"

const scriptMessages = 6

// TestMessagesOfScript is the process that is killed: it publishes messages and
// works them off, as often as it is started, until nothing is left.
func TestMessagesOfScript(t *testing.T) {
	path, is := os.LookupEnv(scriptEnv)
	if !is {
		t.Skip("this is the script of TestFailpoints")
	}
	e, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	for i := range scriptMessages {
		// A sender that was not told repeats its message.
		r := bus.Record{Channel: "c", Queue: bus.Inbox, Key: fmt.Sprint(i), Order: fmt.Sprint("o", i%2)}
		if err := e.Publish(t.Context(), bus.Batch{Records: []bus.Record{r}}); err != nil {
			t.Fatal(err)
		}
		drainScript(t, e)
	}
	drainScript(t, e)
}

func drainScript(t *testing.T, e *sqlite.Engine) {
	t.Helper()
	for {
		ls, err := e.Lease(t.Context(), bus.Want{Queue: bus.Inbox, NoWait: true, For: 1})
		if err != nil {
			t.Fatal(err)
		}
		if len(ls) == 0 {
			return
		}
		if err := answer(t.Context(), e, ls[0]); err != nil && !errors.Is(err, bus.ErrLeaseLost) {
			t.Fatal(err)
		}
	}
}

// answer counts the message's answers in the state and emits one.
func answer(ctx context.Context, e *sqlite.Engine, l *bus.Lease) error {
	_, err := e.Hold(ctx, l, bus.Hold{
		Join:     true,
		Progress: map[string]json.RawMessage{l.Records[0].Key: json.RawMessage(`1`)},
	})
	if err != nil {
		return err
	}
	o := bus.Outcome{Verdicts: map[string]bus.Verdict{}}
	for _, r := range l.Records {
		o.Verdicts[r.Key] = bus.Verdict{Fate: bus.Ack}
		o.Emit = append(o.Emit, bus.Record{
			Channel: "c", Queue: bus.Outbox, Order: l.Order, Key: fmt.Sprintf("%s by %d", r.Key, os.Getpid()),
		})
		o.State = append(o.State, bus.Write{Space: "answers", Key: r.Key, If: bus.Absent, Value: []byte("1")})
	}
	return e.Settle(ctx, l, o)
}

// TestFailpoints kills the process at each place of the bus, starts it again
// without the failpoint, and looks for lost and doubled answers.
func TestFailpoints(t *testing.T) {
	for _, name := range failpoint.Names() {
		station, _, _ := strings.Cut(string(name), ".")
		switch station {
		case "publish", "lease", "hold", "settle":
		default:
			continue // others' places
		}
		for _, nth := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s:%d", name, nth), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "bus.db")
				died := runScript(t, path, fmt.Sprintf("%s:%d", name, nth))
				if !died {
					t.Fatal("the failpoint was not hit")
				}
				if runScript(t, path, "") {
					t.Fatal("died without a failpoint")
				}
				checkScript(t, path)
			})
		}
	}
}

// runScript reports whether the process was killed.
func runScript(t *testing.T, path, fp string) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestMessagesOfScript$")
	cmd.Env = append(os.Environ(), scriptEnv+"="+path)
	if fp != "" {
		cmd.Env = append(cmd.Env, failpoint.Env+"="+fp)
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if s, is := exit.Sys().(syscall.WaitStatus); is && s.Signal() == syscall.SIGKILL {
			return true
		}
	}
	if err != nil {
		t.Fatalf("the script failed: %v\n%s", err, out)
	}
	return false
}

func checkScript(t *testing.T, path string) {
	t.Helper()
	e, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	ls, err := e.Replies(t.Context(), "c", "")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, l := range ls {
		key, _, _ := strings.Cut(l.Key, " ")
		got[l.Order] = append(got[l.Order], key)
	}
	want := map[string][]string{}
	for i := range scriptMessages {
		order := fmt.Sprint("o", i%2)
		want[order] = append(want[order], fmt.Sprint(i))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("answers (-want +got):\n%s", d)
	}
	entries, err := e.List(t.Context(), "answers", "", "", 0)
	if err != nil || len(entries) != scriptMessages {
		t.Errorf("%d answers in the state, %v; want %d", len(entries), err, scriptMessages)
	}
}
