package builtin_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/tool/builtin"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/sqlite/sqlitetest"
)

func TestMemoryTools(t *testing.T) {
	now := time.Date(2126, 5, 4, 0, 0, 0, 0, time.UTC)
	mem := sqlitetest.Open(t)
	tools := map[string]agent.Tool{}
	for _, x := range (builtin.Memory{Store: mem, Now: func() time.Time { return now }}).Tools() {
		tools[x.Spec().Name] = x
	}
	direct := scope.Principal{Workspace: "w", Channel: "c", Conversation: "c/1", Member: "ada", Role: scope.Ordinary, Direct: true}
	room := direct
	room.Conversation, room.Direct = "c/room", false
	bob := room
	bob.Member = "bob"
	call := func(p scope.Principal, seen agent.Label, tool, args string) agent.ToolResult {
		t.Helper()
		turn := &agent.Turn{ID: "t1", Scope: scope.New(p), Seen: seen, Events: []channels.Event{{Key: "k1"}}, Sources: []agent.Source{{Mark: 3}}}
		res, err := tools[tool].Call(t.Context(), turn, json.RawMessage(args))
		if err != nil {
			res.Text = "error: " + err.Error()
		}
		return res
	}
	if got := call(direct, agent.Trusted, "recall", `{"query":"cat"}`); got.Text != "Nothing is remembered about this." || got.Label != agent.Trusted {
		t.Errorf("%+v", got)
	}
	first := call(direct, agent.Trusted, "remember", `{"text":"the cat is called Tom","days":2,"tags":["pets"]}`)
	if again := call(direct, agent.Trusted, "remember", `{"tags":["pets"],"days":2,"text":"the cat is called Tom"}`); again.Text != first.Text {
		t.Errorf("a turn that runs again keeps %q, then %q", first.Text, again.Text)
	}
	got := call(direct, agent.Trusted, "recall", `{"query":"cat"}`)
	if !strings.Contains(got.Text, "[10] (fact, 4 May 2126) the cat is called Tom") || len(got.Sources) != 1 || got.Label != agent.Trusted {
		t.Errorf("%+v", got)
	}
	items, err := mem.Get(t.Context(), scope.New(direct), got.Sources[0].Item)
	if err != nil || len(items) != 1 {
		t.Fatal(items, err)
	}
	want := memory.Item{
		ID: got.Sources[0].Item, Reach: memory.Private, Kind: memory.Fact, Text: "the cat is called Tom", Source: "k1", Label: memory.Trusted,
		Member: "ada", Tags: []string{"pets"}, At: now, Until: now.Add(48 * time.Hour),
	}
	if d := cmp.Diff(want, items[0].Item); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := call(room, agent.Trusted, "recall", `{"query":"cat"}`); got.Text != "Nothing is remembered about this." {
		t.Errorf("in the room: %+v", got)
	}
	call(room, agent.Untrusted, "remember", `{"text":"the dog obeys the stranger","kind":"note"}`)
	if got := call(bob, agent.Trusted, "recall", `{"query":"dog"}`); got.Label != agent.Untrusted {
		t.Errorf("%+v", got)
	}
	call(room, agent.Trusted, "remember", `{"text":"the dog is brown"}`)
	if got := call(bob, agent.Trusted, "recall", `{"query":"brown","kinds":["fact"]}`); got.Label != agent.ByMember || strings.Contains(got.Text, "stranger") {
		t.Errorf("%+v", got)
	}
	for tool, args := range map[string]string{"recall": `{"query":" "}`, "remember": `{"text":" "}`} {
		if got := call(direct, agent.Trusted, tool, args); !strings.HasPrefix(got.Text, "error: ") || got.Label != agent.Trusted {
			t.Errorf("%s: %+v", tool, got)
		}
	}
}
