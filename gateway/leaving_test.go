package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// mortal is an engine whose process dies at a write, right before or right after
// its commit. From then on nothing is written any more.
type mortal struct {
	bus.Engine
	after bool

	mu    sync.Mutex
	armed bool
	left  int // writes until it dies
	dead  bool
}

var errKilled = errors.New("killed")

func (m *mortal) arm(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.armed, m.left = true, n
}

func (m *mortal) died() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

// commit runs what writes, unless the process dies here or is dead.
func (m *mortal) commit(do func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errKilled
	}
	if m.armed {
		m.dead = m.left == 0
		m.left--
	}
	if m.dead && !m.after {
		return errKilled
	}
	if err := do(); err != nil || !m.dead {
		return err
	}
	return errKilled
}

func (m *mortal) Write(ctx context.Context, w ...bus.Write) error {
	return m.commit(func() error { return m.Engine.Write(ctx, w...) })
}

func (m *mortal) Discard(ctx context.Context, tag string) (n int, err error) {
	err = m.commit(func() (err error) {
		n, err = m.Engine.Discard(ctx, tag)
		return err
	})
	return n, err
}

func (m *mortal) Revise(ctx context.Context, after int64, limit int, f func(bus.Letter) bus.Revision) (last int64, err error) {
	err = m.commit(func() (err error) {
		last, err = m.Engine.Revise(ctx, after, limit, f)
		return err
	})
	return last, err
}

// atEachWrite runs something on an engine that dies at its first write, then at
// its second, and so on until it survives, each before and after the commit.
func atEachWrite(t *testing.T, least int, run func(t *testing.T, m *mortal, n int)) {
	t.Helper()
	for _, after := range []bool{false, true} {
		n, alive := 0, false
		for ; !alive; n++ {
			t.Run(fmt.Sprintf("write %d, after %v", n, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := &mortal{Engine: inprocess.New(inprocess.Options{}), after: after}
					run(t, m, n)
					alive = !m.died()
					_ = m.Close()
				})
			})
			if t.Failed() {
				return
			}
		}
		if n <= least {
			t.Errorf("only %d writes were killed", n-1)
		}
	}
}

// TestKilledWhileAMemberLeaves: the process dies at each of the writes with
// which a member is taken out. Before the first they are still in, with all that
// they had; from then on the next start ends everything.
func TestKilledWhileAMemberLeaves(t *testing.T) {
	atEachWrite(t, 4, func(t *testing.T, m *mortal, n int) {
		calls, e := 0, &endings{}
		options := func(on bus.Engine) rigOptions {
			o := paying(agent.External, &calls)()
			o.policy, o.engine, o.leave = pairs().policy, on, []gateway.Offboarder{e}
			return o
		}
		r := newRig(t, options(m))
		id := r.join("anna", scope.Ordinary)
		r.accept(forwarded("anna", "1", "pay him"))
		r.accept(ordered("anna", "2", "approve", r.asked(2)+" here"))
		r.wait(4)
		if err := r.dir.AllowRoom(t.Context(), r.owner(), channels.Address{Channel: "chat", Conversation: "room"}); err != nil {
			t.Fatal(err)
		}
		elsewhere := forwarded("anna", "3", "pay him")
		elsewhere.Where.Conversation, elsewhere.Room.Direct = "room", false
		r.accept(elsewhere)
		r.asked(5) // and it stays open
		m.arm(n)
		_, err := r.gw.RemoveMember(t.Context(), r.owner(), id)
		if m.died() != (err != nil) {
			t.Fatalf("dead: %v; %v", m.died(), err)
		}
		r.stop()

		again := newRig(t, options(m.Engine))
		again.after(15 * time.Minute)
		standing, err := again.gw.Standings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 && m.died() && !m.after {
			if _, err := again.dir.Member(t.Context(), id); err != nil || len(standing) != 1 || len(e.said()) != 0 {
				t.Errorf("nothing was begun: %v, standing %+v, ended %v", err, standing, e.said())
			}
			again.stop()
			return
		}
		questions, err := again.gw.Questions(t.Context())
		if err != nil || slices.ContainsFunc(questions, func(q approval.Question) bool { return q.Open(time.Now()) }) {
			t.Errorf("questions: %+v, %v", questions, err)
		}
		departures, err := again.dir.Departures(t.Context())
		if err != nil || len(departures) != 0 || len(standing) != 0 || !slices.Contains(e.said(), "offboard main "+id) {
			t.Errorf("departures %+v, %v; standing %+v; ended %v", departures, err, standing, e.said())
		}
		if _, err := again.dir.Member(t.Context(), id); !errors.Is(err, identity.ErrUnknown) {
			t.Errorf("the member: %v", err)
		}
		again.stop()
	})
}

// TestKilledWhileAWorkspaceIsDeleted: the same, with a workspace. Its key goes
// before anything that is sealed under it, each time anew.
func TestKilledWhileAWorkspaceIsDeleted(t *testing.T) {
	atEachWrite(t, 3, func(t *testing.T, m *mortal, n int) {
		e := &endings{}
		options := func(on bus.Engine) rigOptions {
			return rigOptions{engine: on, shred: []gateway.Shredder{e}}
		}
		r := newRig(t, options(m))
		if _, err := r.dir.CreateWorkspace(t.Context(), r.owner(), "acme", ""); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"acme|chat/x!1", "main|chat/x!1"} {
			if err := m.Write(t.Context(), bus.Write{Space: "session", Key: key, Value: []byte("{}")}); err != nil {
				t.Fatal(err)
			}
		}
		m.arm(n)
		if err := r.gw.DeleteWorkspace(t.Context(), r.owner(), "acme"); m.died() != (err != nil) {
			t.Fatalf("dead: %v; %v", m.died(), err)
		}
		r.stop()

		again := newRig(t, options(m.Engine))
		again.after(15 * time.Minute)
		all, err := again.dir.Workspaces(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rows, err := m.List(t.Context(), "session", "", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 && m.died() && !m.after {
			if len(all) != 2 || all[1].Ending || len(rows) != 2 || len(e.said()) != 0 {
				t.Errorf("nothing was begun: %+v, rows %+v, ended %v", all, rows, e.said())
			}
		} else if len(all) != 1 || len(rows) != 1 || rows[0].Key != "main|chat/x!1" || !slices.Contains(e.said(), "shred acme") {
			t.Errorf("%+v, rows %+v, ended %v", all, rows, e.said())
		}
		again.stop()
	})
}

var _ bus.Engine = (*mortal)(nil)
