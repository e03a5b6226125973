package e2e_test

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// rare are failpoints that no conversation comes to.
var rare = map[failpoint.Name]bool{failpoint.LeaveStep: true, failpoint.ShredStep: true, failpoint.ContentStep: true}

// TestRareFailpoints kills the real binary while a member is erased, while a
// workspace is deleted and while stored content is encrypted; whatever was begun
// is completed by the next start.
func TestRareFailpoints(t *testing.T) {
	kills := map[failpoint.Name]struct {
		die func(t *testing.T, arm string)
		at  []int
	}{
		failpoint.LeaveStep:   {dieErasing, []int{1, 2, 3, 5, 8, 12}},
		failpoint.ShredStep:   {dieDeleting, []int{1, 2, 3}},
		failpoint.ContentStep: {dieEncrypting, []int{1, 2, 3, 5}},
	}
	for name := range rare {
		for _, nth := range kills[name].at {
			t.Run(fmt.Sprintf("%s/hit %d", name, nth), func(t *testing.T) {
				t.Parallel()
				kills[name].die(t, fmt.Sprintf("%s=%s:%d", failpoint.Env, name, nth))
			})
		}
	}
}

// killedBy runs a command that kills the gateway.
func (r *rig) killedBy(args ...string) {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), r.set.binary, append(args, "--config", r.configPath())...) //nolint:gosec // a binary of ours
	cmd.Env = r.env
	if out, err := cmd.CombinedOutput(); err == nil {
		r.t.Fatalf("%s is done, and nothing was killed\n%s", strings.Join(args, " "), out)
	}
	r.killed()
}

// killed waits until the failpoint has killed the gateway.
func (r *rig) killed() {
	r.t.Helper()
	select {
	case <-r.proc.done:
	case <-time.After(patience):
		r.t.Fatal("the failpoint was not hit")
	}
	if !r.proc.diedOf(syscall.SIGKILL) {
		r.t.Fatalf("the gateway ended otherwise: %v\n%s", r.proc.err, r.proc.log)
	}
}

func dieErasing(t *testing.T, arm string) {
	r := newRig(t, settings{binary: armed(t), policy: "pairing"})
	r.up(arm)
	ada, adas := r.person(1001)
	ben, bens := r.person(1002)
	id := r.member(ada, adas)
	r.member(ben, bens)
	adas.Say(ada, "zebras in the garden")
	r.awaitText(adas, "echo: zebras")
	room := r.bot.Supergroup(-1001, "Both", ada, ben)
	room.Say(ada, "overheard in a room")
	room.Say(ada, "@"+r.bot.Bot().Username+" hello there")
	r.awaitText(room, "hello there")
	r.secret("a-value-of-hers-123456", "hers", "--member", id)
	r.killedBy("members", "erase", id, "--confirm", id)

	r.up()
	if !eventually(patience, func() bool { return r.proc.log.contains("what is kept of a member was erased") }) {
		t.Fatalf("the erasure is not completed\n%s", r.proc.log)
	}
	if got := r.verb("members", "erase", id, "--confirm", id); !strings.Contains(got, "nothing was kept") {
		t.Errorf("after it was completed there was still:\n%s", got)
	}
	if got := r.verb("members", "list"); strings.Contains(got, id) {
		t.Errorf("she is still a member:\n%s", got)
	}
	if got := r.verb("secrets", "list"); strings.Contains(got, "hers") {
		t.Errorf("her secret is still there:\n%s", got)
	}
	bens.Say(ben, "still here")
	r.awaitText(bens, "echo: still here")
}

func dieDeleting(t *testing.T, arm string) {
	r := newRig(t, settings{binary: armed(t)})
	r.up(arm)
	r.verb("workspaces", "create", "acme")
	r.secret("a-value-of-theirs-123456", "theirs", "--workspace", "acme")
	r.killedBy("workspaces", "delete", "acme", "--yes", "acme")

	r.up()
	if !eventually(patience, func() bool { return !strings.Contains(r.verb("workspaces", "list"), "acme") }) {
		t.Fatalf("the workspace is still there\n%s", r.verb("workspaces", "list"))
	}
	r.verb("workspaces", "create", "acme")
	if got := r.verb("secrets", "list", "--workspace", "acme"); strings.Contains(got, "theirs") {
		t.Errorf("a new one of the name has the old one's secret:\n%s", got)
	}
}

func dieEncrypting(t *testing.T, arm string) {
	r := newRig(t, settings{binary: armed(t), policy: "pairing", agent: []string{"tools: [files]"}})
	r.up()
	ada, adas := r.person(1001)
	r.member(ada, adas)
	adas.Say(ada, written[0])
	r.awaitText(adas, "echo: "+written[0])
	adas.Document(ada, "notes.txt", "text/plain", []byte(strings.Repeat(written[1]+"\n", 300)))
	if !eventually(patience, func() bool { return len(r.kept()) > 0 }) {
		t.Fatal("the file is not kept")
	}
	r.converse(ada, adas)
	r.term()

	r.set.extra = "encrypt: content\n"
	r.configure()
	r.start(arm)
	r.killed()
	r.up()
	if !eventually(patience, func() bool { return r.proc.log.contains("stored content was converted") }) {
		t.Fatalf("the conversion is not completed\n%s", r.proc.log)
	}
	adas.Say(ada, "and now?")
	r.awaitText(adas, "echo: and now?")
	if got := string(r.model.Requests()[len(r.model.Requests())-1].Body); !strings.Contains(got, written[0]) {
		t.Error("the model is not told what was said before")
	}
	r.term()
	for what, where := range r.readable() {
		t.Errorf("%q can be read in %s", what, where)
	}
}
