package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// needsTools are failpoints that only a turn which calls a tool comes to.
var needsTools = map[failpoint.Name]bool{failpoint.JournalBefore: true, failpoint.JournalAfter: true}

// needsDrafts are failpoints that only an answer which is shown while it grows
// comes to.
var needsDrafts = map[failpoint.Name]bool{
	failpoint.DraftAfter: true, failpoint.HoldBeforeCommit: true, failpoint.HoldAfterCommit: true,
}

// needsFiles are failpoints that only an answer with a file comes to.
var needsFiles = map[failpoint.Name]bool{failpoint.BlobBefore: true, failpoint.BlobAfter: true}

// moments are the times at which a failpoint kills: at its first hit, which for
// some is at the start, and later, between whatever happens then.
var moments = []int{1, 2, 5}

// TestFailpoints kills the real binary at every durable boundary, starts it
// again and looks at what people got.
func TestFailpoints(t *testing.T) {
	for _, name := range failpoint.Names() {
		if strings.HasPrefix(string(name), "vault.") || rare[name] {
			continue // TestVaultFailpoints and TestRareFailpoints kill there
		}
		t.Run(string(name), func(t *testing.T) {
			for _, nth := range moments {
				t.Run(fmt.Sprintf("hit %d", nth), func(t *testing.T) {
					t.Parallel()
					dieAt(t, name, nth, "")
				})
			}
			t.Run("in Postgres", func(t *testing.T) {
				t.Parallel()
				dieAt(t, name, 3, pgtest.DSN(t))
			})
		})
	}
}

// dieAt lets a few people write, kills the gateway at the failpoint and checks
// what they got in the end. Without a store everything is kept in the data folder.
func dieAt(t *testing.T, name failpoint.Name, nth int, store string) {
	const chats, each = 3, 4
	set := settings{binary: armed(t), script: closed(agenttest.Echo), store: store}
	if needsDrafts[name] {
		set.stream, set.script = true, closed(slowly)
	}
	if needsTools[name] {
		set.agent, set.script = []string{"tools: [notes]"}, noting
		set.channel = []string{`allow: ["1001", "1002", "1003"]`} // a guest would have to ask for each note
	}
	if needsFiles[name] {
		set.agent, set.script = []string{"tools: [files]"}, withFile
		set.channel = []string{`allow: ["1001", "1002", "1003"]`} // guests are offered fewer tools
	}
	c := &crash{campaign: campaign{chats: chats, each: each}, said: ledger{}, rig: newRig(t, set)}
	c.watch = watching(t, c.bot)
	for i := range chats {
		u, room := c.person(int64(1001 + i))
		c.people, c.rooms = append(c.people, u), append(c.rooms, room)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	c.start(fmt.Sprintf("%s=%s:%d", failpoint.Env, name, nth))
	var writing sync.WaitGroup
	writing.Go(func() { writeOneOpen(ctx, c) })
	select {
	case <-c.proc.done:
	case <-time.After(patience):
		cancel()
		writing.Wait()
		t.Fatalf("%s was not hit %d times", name, nth)
	}
	if !c.proc.diedOf(syscall.SIGKILL) {
		t.Fatalf("the gateway ended otherwise: %v\n%s", c.proc.err, c.proc.log)
	}
	c.count(true, true)
	c.up()
	writing.Wait()
	c.finish(ctx)
	f := judge(c.said, c.bot.Delivered())
	for _, fault := range f.Faults {
		t.Error(fault)
	}
	if f.Repeated+f.Doubted+f.Drafts > c.inFlight {
		t.Errorf("%+v, with %d sends under way at the kill", f, c.inFlight)
	}
}

// closed ends every answer of a script, nil for the echo, with the mark of a
// whole one.
func closed(s agenttest.Script) agenttest.Script {
	if s == nil {
		s = agenttest.Echo
	}
	return func(r *agenttest.Request) agenttest.Answer {
		a := s(r)
		a.Text += closing
		return a
	}
}

// slowly says an echo so slowly that it is shown while it grows.
func slowly(r *agenttest.Request) agenttest.Answer {
	a := agenttest.Echo(r)
	a.Pieces, a.Each = 12, 150*time.Millisecond
	return a
}

// noting keeps a note of what was said, and echoes it then.
func noting(r *agenttest.Request) agenttest.Answer {
	all := r.Messages()
	if last := all[len(all)-1]; last.Role != agent.ToolRole {
		args, err := json.Marshal(map[string]string{"title": "said", "text": strings.Join(r.Asked(), " | ")})
		if err != nil {
			return agenttest.Refuse(http.StatusInternalServerError, "")
		}
		return agenttest.Use(fmt.Sprintf("call_%d", r.N), "notes_write", string(args))
	}
	for _, m := range slices.Backward(all) {
		if len(m.Calls) > 0 {
			var args struct{ Text string }
			if json.Unmarshal(m.Calls[0].Args, &args) == nil {
				return agenttest.Say("echo: " + args.Text + closing)
			}
		}
	}
	return agenttest.Echo(r)
}
