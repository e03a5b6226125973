package gateway_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// TestEverySpaceIsDecided: of each space somebody has said what becomes of it
// when a person is erased.
func TestEverySpaceIsDecided(t *testing.T) {
	for space, d := range gateway.Decided() {
		if d.Erased == (d.Why != "") || d.Erased == (d.What == "") {
			t.Errorf("%s: either it is erased and has a name in the report, or there is a reason why not: %+v", space, d)
		}
	}
}

// remembering answers, and keeps what was said and what a call has cost.
var remembering = runner(func(_ context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
	res := reply("echo: " + texts(t.Events))
	for _, e := range t.Events {
		if m, ok := e.Content.(channels.Message); ok {
			res.Entries = append(res.Entries, agent.Entry{At: e.At, Role: agent.User, Member: t.Scope.Member(), Name: e.Who.ID, Text: m.Text})
		}
	}
	res.Entries = append(res.Entries, agent.Entry{Role: agent.Assistant, Text: "echo: " + texts(t.Events)})
	res.Usage = []agent.Usage{{Model: "m", Input: 1, USD: 0.5}}
	return res, nil
})

// everything is all that is stored, in words.
func everything(t *testing.T, on bus.Engine) string {
	t.Helper()
	var b strings.Builder
	spaces, err := on.Spaces(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range spaces {
		rows, err := on.List(t.Context(), s, "", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			b.WriteString(s + " " + r.Key + " " + string(r.Value) + "\n")
		}
	}
	_, err = on.Revise(t.Context(), 0, 0, func(l bus.Letter) bus.Revision {
		b.WriteString(l.Queue + " " + l.Key + " " + l.Order + " " + string(l.State) + " " + string(l.Body) + string(l.Progress) + "\n")
		return bus.Revision{}
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// lived lets anna and bob in and has both of them leave traces everywhere. It
// returns anna's member.
func lived(t *testing.T, r *rig) string {
	t.Helper()
	id, bob := r.join("anna", scope.Ordinary), r.join("bob", scope.Ordinary)
	if err := r.dir.AllowRoom(t.Context(), r.owner(), channels.Address{Channel: "chat", Conversation: "room"}); err != nil {
		t.Fatal(err)
	}
	r.accept(said("anna", "a1", "anna's secret"), said("bob", "b1", "bob remains"))
	r.wait(4)
	r.accept(saidIn("room", "anna", "a2", "anna asks", true))
	r.wait(5)
	r.accept(saidIn("room", "bob", "b2", "bob asks", true))
	r.wait(6)
	r.accept(saidIn("room", "anna", "a3", "anna mutters", false), saidIn("room", "bob", "b3", "bob mutters", false))
	r.after(time.Second)
	plant := func(who, text string) []kv.Write {
		name, _ := json.Marshal(map[string]string{"member": who, "text": text})
		asked, _ := json.Marshal(map[string]any{"id": "q" + who, "requester": map[string]string{"workspace": "main", "member": who}, "summary": text})
		lasting, _ := json.Marshal(map[string]any{"id": "s" + who, "workspace": "main", "member": who, "expires": time.Now().Add(time.Hour)})
		return []kv.Write{
			{Space: "note", Key: "main/member/" + who + "/x", Value: name},
			{Space: "note", Key: "main/room/r/" + text, Value: name},
			{Space: "channel/console", Key: "m/" + who + "/1", Value: name},
			{Space: "channel/console", Key: "k/" + who + "/k", Value: []byte("1")},
			{Space: "approval", Key: "q/q" + who, Value: asked},
			{Space: "approval", Key: "s/" + who + "/s", Value: lasting},
			{Space: "approval", Key: "t/turn" + who + "/0", Value: []byte("q" + who)},
		}
	}
	noted := []kv.Write{
		{Space: "channel/chat", Key: "wrote/anna", Value: []byte("1")},
		{Space: "channel/chat", Key: "wrote/bob", Value: []byte("1")},
		{Space: "channel/chat", Key: "number/US.1/anna", Value: []byte("1")},
		{Space: "channel/chat", Key: "bot/direct/dm-anna", Value: []byte("1")},
		{Space: "channel/chat", Key: "bot/direct/dm-bob", Value: []byte("1")},
	}
	if err := r.bus.Write(t.Context(), slices.Concat(noted, plant(id, "anna's"), plant(bob, "bob's"))...); err != nil {
		t.Fatal(err)
	}
	return id
}

// traces are what must be gone, but for the departure's own row.
func traces(t *testing.T, on bus.Engine, id string) []string {
	t.Helper()
	var found []string
	for line := range strings.Lines(everything(t, on)) {
		if (strings.Contains(line, "anna") || strings.Contains(line, id)) && !strings.HasPrefix(line, "outbox") || strings.Contains(line, "anna's secret") {
			found = append(found, line)
		}
	}
	return found
}

func TestErasure(t *testing.T) {
	o := func() rigOptions {
		p := pairs()
		p.agent.Runner, p.policy.Mention = remembering, true
		return p
	}
	bubble(t, o, func(r *rig) {
		id := lived(t, r)
		before := everything(t, r.bus)
		bobs := strings.Count(before, "bob")
		if n := len(traces(t, r.bus, id)); n < 15 {
			t.Fatalf("only %d traces to begin with:\n%s", n, before)
		}
		done, err := r.gw.EraseMember(t.Context(), r.owner(), id)
		if err != nil || done.Waiting != 0 {
			t.Fatal(done, err)
		}
		if left := traces(t, r.bus, id); len(left) != 0 {
			t.Errorf("%d traces are left:\n%s", len(left), strings.Join(left, ""))
		}
		for _, place := range []string{
			"messages in the inbox", "messages in the outbox", "histories", "notes", "approvals", "records of turns",
			"overheard in rooms", "figures of spending, now without a name", "the console's transcript, and what channels note of people",
		} {
			if done.Erased[place] == 0 {
				t.Errorf("nothing is reported of %s: %v", place, done.Erased)
			}
		}
		if n := strings.Count(everything(t, r.bus), "bob"); n != bobs {
			t.Errorf("of bob %d of %d mentions are left", n, bobs)
		}
		again, err := r.gw.EraseMember(t.Context(), r.owner(), id)
		if err != nil || len(again.Erased) != 0 {
			t.Errorf("again: %v, %v", again, err)
		}
		if d, err := r.dir.Departures(t.Context()); err != nil || len(d) != 0 {
			t.Errorf("departures %v, %v", d, err)
		}
		r.accept(said("anna", "a9", "hello again"))
		r.after(time.Second)
		if got := r.chat.sent(); !strings.Contains(got[len(got)-1].Text, "Your code is") {
			t.Errorf("she is told %q", got[len(got)-1].Text)
		}
	})
}

// TestErasureIsForThoseInCharge, and takes the last owner for nobody.
func TestErasureIsForThoseInCharge(t *testing.T) {
	bubble(t, pairs, func(r *rig) {
		id := r.join("anna", scope.Approver)
		anna, err := r.dir.Operator(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.gw.EraseMember(t.Context(), anna, identity.OwnerID); err == nil {
			t.Error("an approver erases the owner")
		}
		if _, err := r.gw.EraseMember(t.Context(), r.owner(), identity.OwnerID); err == nil {
			t.Error("the last owner is erased")
		}
		if _, err := r.dir.Operator(t.Context(), identity.OwnerID); err != nil {
			t.Error(err)
		}
	})
}

// TestKilledWhileSomebodyIsErased: whenever the process dies, the next start
// erases what is left.
func TestKilledWhileSomebodyIsErased(t *testing.T) {
	atEachWrite(t, 10, func(t *testing.T, m *mortal, n int) {
		options := func(on bus.Engine) rigOptions {
			p := pairs()
			p.agent.Runner, p.engine, p.policy.Mention = remembering, on, true
			return p
		}
		r := newRig(t, options(m))
		id := lived(t, r)
		m.arm(n)
		_, err := r.gw.EraseMember(t.Context(), r.owner(), id)
		if m.died() != (err != nil) {
			t.Fatalf("dead: %v; %v", m.died(), err)
		}
		r.stop()
		again := newRig(t, options(m.Engine))
		again.after(15 * time.Minute)
		left := traces(t, m.Engine, id)
		begun := n > 0 || m.after || !m.died()
		if begun && len(left) > 0 {
			t.Errorf("%d traces are left:\n%s", len(left), strings.Join(left, ""))
		}
		if !begun && len(left) < 15 {
			t.Error("nothing was begun, and something is gone")
		}
		again.stop()
	})
}
