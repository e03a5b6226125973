package identity_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a directory with a member, a link to a member who is gone, and an
// admitted room. Its clock stands still unless a test moves it.
type world struct {
	t     *testing.T
	store bus.Engine
	dir   *identity.Directory
	now   time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, store: inprocess.New(inprocess.Options{}), now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	var err error
	w.dir, err = identity.Open(t.Context(), w.store, "main", func() time.Time { return w.now }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	w.put("member/m-member", identity.Member{ID: "m-member", Name: "Anna", Role: scope.Ordinary})
	w.link("s-member", "m-member")
	w.link("s-removed", "m-removed")
	if err := w.dir.AllowRoom(t.Context(), w.owner(), channels.Address{Channel: "chat", Account: "a", Conversation: "r-admitted"}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) put(key string, v any) {
	w.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.Write(w.t.Context(), kv.Write{Space: "identity", Key: "main/" + key, Value: b}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) link(sender, member string) {
	w.t.Helper()
	w.put("link/chat/a/"+sender, identity.Link{Channel: "chat", Account: "a", Sender: sender, Member: member})
}

func (w *world) owner() scope.Scope {
	w.t.Helper()
	s, err := w.dir.Operator(w.t.Context(), identity.OwnerID)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// as mints the scope of a new member with a role, or in another workspace.
func (w *world) as(role scope.Role, workspace string) scope.Scope {
	return scope.New(scope.Principal{Workspace: workspace, Member: "by-" + string(role), Role: role})
}

func (w *world) judge(e channels.Event, p identity.Policy) identity.Judgement {
	w.t.Helper()
	j, err := w.dir.Judge(w.t.Context(), e, p)
	if err != nil {
		w.t.Fatal(err)
	}
	return j
}

func (w *world) commit(j identity.Judgement) {
	w.t.Helper()
	if err := w.store.Write(w.t.Context(), j.State...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) expect(e channels.Event, p identity.Policy, want verdict) {
	w.t.Helper()
	j := w.judge(e, p)
	if d := cmp.Diff(want, verdict{j.Do, j.Scope.Role()}); d != "" {
		w.t.Errorf("%s (reason %q)", d, j.Reason)
	}
	if (want.Role != "") != j.Scope.Valid() {
		w.t.Errorf("the scope is %v", j.Scope)
	}
}

// keys lists what the directory keeps under a prefix.
func (w *world) keys(prefix string) []string {
	w.t.Helper()
	rows, err := w.store.List(w.t.Context(), "identity", "main/"+prefix, "", 0)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, r := range rows {
		out = append(out, strings.TrimPrefix(r.Key, "main/"))
	}
	return out
}
