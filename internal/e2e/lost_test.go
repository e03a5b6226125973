package e2e_test

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// TestReplyThatIsKilledTwice: an answer whose every send ends the process is
// set aside after its one repetition; the person is told once, and the letter
// can still be replayed.
func TestReplyThatIsKilledTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{binary: armed(t)})
	user, chat := r.person(1001)
	arm := fmt.Sprintf("%s=%s:1", failpoint.Env, failpoint.SendBefore)
	r.up(arm)
	chat.Say(user, "hello")
	for i := range 2 {
		if i > 0 {
			r.start(arm)
		}
		select {
		case <-r.proc.done:
		case <-time.After(patience):
			t.Fatalf("life %d: nothing was sent", i)
		}
		if !r.proc.diedOf(syscall.SIGKILL) {
			t.Fatalf("life %d ended otherwise: %v", i, r.proc.err)
		}
	}
	r.up()
	r.awaitText(chat, "cannot tell whether it reached you")
	if n := len(r.bot.Delivered().In(chat.ID()).Of(telegramtest.Sent)); n != 1 {
		t.Errorf("%d messages were sent, want the notice alone: %q", n, texts(r.bot.Delivered()))
	}
	list := r.verb("dead", "list")
	seq := regexp.MustCompile(`(?m)^(\d+) `).FindStringSubmatch(list)
	if seq == nil {
		t.Fatalf("dead letters: %s", list)
	}
	r.verb("dead", "replay", seq[1])
	if got := r.awaitText(chat, "hello"); !strings.Contains(got, "may be a repetition") {
		t.Errorf("the replay says %q", got)
	}
}

// verb runs a command line beside the running gateway and returns its output.
func (r *rig) verb(args ...string) string {
	r.t.Helper()
	out, err := r.tried(args...)
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// audited waits until the running gateway's audit log says what it should: what
// happens is kept a moment later.
func (r *rig) audited(is func(said string) bool, query ...string) {
	r.t.Helper()
	said := ""
	if !eventually(patience, func() bool {
		said = r.verb(append([]string{"audit", "list"}, query...)...)
		return is(said)
	}) {
		r.t.Errorf("the audit log has\n%s", said)
	}
}

// refused runs a command that must fail, and returns what it said.
func (r *rig) refused(args ...string) string {
	r.t.Helper()
	out, err := r.tried(args...)
	if err == nil {
		r.t.Errorf("%s was not refused:\n%s", strings.Join(args, " "), out)
	}
	return out
}

func (r *rig) tried(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience) // some compile a guest
	defer cancel()
	cmd := exec.CommandContext(ctx, cmp.Or(r.set.verbs, r.set.binary), append(args, "--config", r.configPath())...) //nolint:gosec // a binary of ours
	cmd.Env = r.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}
