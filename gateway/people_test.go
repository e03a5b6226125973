package gateway_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// endings notes what was ended, and fails as often as it is told to.
type endings struct {
	mu    sync.Mutex
	told  []string
	fails int
}

var errBusy = errors.New("busy")

func (e *endings) Offboard(_ context.Context, workspace, member string) error {
	return e.note("offboard " + workspace + " " + member)
}

func (e *endings) Shred(_ context.Context, workspace string) error {
	return e.note("shred " + workspace)
}

func (e *endings) note(what string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = append(e.told, what)
	if e.fails--; e.fails >= 0 {
		return errBusy
	}
	return nil
}

func (e *endings) said() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.told)
}

// join lets a sender in by an invitation, and returns their member's id.
func (r *rig) join(who string, role scope.Role) string {
	r.t.Helper()
	code, _, err := r.dir.Invite(r.t.Context(), r.owner(), who, role)
	if err != nil {
		r.t.Fatal(err)
	}
	n := len(r.chat.sent())
	r.accept(said(who, "join-"+who, code))
	r.wait(n + 1)
	links, err := r.dir.Links(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	i := slices.IndexFunc(links, func(l identity.Link) bool { return l.Sender == who })
	if i < 0 {
		r.t.Fatalf("%s is not linked: %+v", who, r.chat.sent())
	}
	return links[i].Member
}

// TestOffboarding: a turn that runs is ended and sends nothing more, and what the
// person writes from then on is a stranger's.
func TestOffboarding(t *testing.T) {
	e := &endings{}
	o := func() rigOptions {
		p := pairs()
		p.leave = []gateway.Offboarder{e}
		p.agent.Runner = runner(func(ctx context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
			if strings.Contains(texts(t.Events), "slow") {
				<-ctx.Done()
				return reply("what I had so far"), nil
			}
			return reply("echo: " + texts(t.Events)), nil
		})
		return p
	}
	bubble(t, o, func(r *rig) {
		id := r.join("anna", scope.Ordinary)
		r.accept(said("anna", "1", "slow"))
		r.after(time.Second)
		sentBefore := len(r.chat.sent())
		left, err := r.gw.RemoveMember(t.Context(), r.owner(), id)
		if err != nil || left.Member.ID != id || len(left.Links) != 1 {
			t.Fatalf("%+v, %v", left, err)
		}
		r.after(time.Minute)
		if got := r.chat.sent(); len(got) != sentBefore {
			t.Errorf("after they left they were sent %+v", got[sentBefore:])
		}
		if got := strings.Join(e.said(), ", "); got != "offboard main "+id {
			t.Errorf("ended: %s", got)
		}
		r.accept(said("anna", "2", "hello?"))
		if got := r.wait(sentBefore + 1); !strings.Contains(got[sentBefore].Text, "I do not know you yet") {
			t.Errorf("as a stranger: %q", got[sentBefore].Text)
		}
		if _, err := r.gw.RemoveMember(t.Context(), r.owner(), identity.OwnerID); !errors.Is(err, identity.ErrLastOwner) {
			t.Errorf("the last owner: %v", err)
		}
	})
}

// TestRolesChangeUnderWay: a turn whose member has another role meanwhile is
// ended, wherever it runs, when its lease is next extended.
func TestRolesChangeUnderWay(t *testing.T) {
	o := func() rigOptions {
		p := pairs()
		p.agent.Runner = runner(func(ctx context.Context, _ agent.Turn, _ agent.Port) (agent.Result, error) {
			<-ctx.Done()
			return reply("what I had so far"), nil
		})
		return p
	}
	bubble(t, o, func(r *rig) {
		id := r.join("anna", scope.Approver)
		r.accept(said("anna", "1", "slow"))
		r.after(time.Second)
		n := len(r.chat.sent())
		if _, err := r.dir.SetRole(t.Context(), r.owner(), id, scope.Guest); err != nil {
			t.Fatal(err)
		}
		r.after(time.Minute)
		if got := r.chat.sent(); len(got) != n {
			t.Errorf("sent %+v", got[n:])
		}
	})
}

// TestOffboardingGoesOn: what could not be ended is tried again by the
// housekeeping, and after a restart.
func TestOffboardingGoesOn(t *testing.T) {
	e := &endings{fails: 2}
	engine := inprocess.New(inprocess.Options{})
	o := func() rigOptions {
		p := pairs()
		p.engine, p.leave = engine, []gateway.Offboarder{e}
		return p
	}
	bubble(t, func() rigOptions { engine = inprocess.New(inprocess.Options{}); return o() }, func(r *rig) {
		id := r.join("anna", scope.Ordinary)
		if _, err := r.gw.RemoveMember(t.Context(), r.owner(), id); !errors.Is(err, errBusy) {
			t.Fatalf("the first attempt: %v", err)
		}
		if _, err := r.dir.Member(t.Context(), id); !errors.Is(err, identity.ErrUnknown) {
			t.Errorf("they are still in: %v", err)
		}
		r.stop()
		again := newRig(t, o())
		again.after(15 * time.Minute)
		if left, err := again.dir.Departures(t.Context()); err != nil || len(left) != 0 || len(e.said()) != 3 {
			t.Errorf("after a restart: %v, left %+v, %v", e.said(), left, err)
		}
		again.after(15 * time.Minute)
		if len(e.said()) != 3 {
			t.Errorf("it goes on for ever: %v", e.said())
		}
		again.stop()
	})
}

// TestOffboardingEndsApprovals: what they were asked, and what they had allowed.
func TestOffboardingEndsApprovals(t *testing.T) {
	calls := 0
	o := func() rigOptions {
		p := paying(agent.External, &calls)()
		p.policy = pairs().policy
		return p
	}
	bubble(t, o, func(r *rig) {
		id := r.join("anna", scope.Ordinary)
		r.accept(forwarded("anna", "1", "pay him"))
		r.accept(ordered("anna", "2", "approve", r.asked(2)+" always"))
		r.wait(4)
		if standing, err := r.gw.Standings(t.Context()); err != nil || len(standing) != 1 || calls != 1 {
			t.Fatalf("it is not allowed for long: %+v, %v, ran %d times", standing, err, calls)
		}
		if _, err := r.gw.RemoveMember(t.Context(), r.owner(), id); err != nil {
			t.Fatal(err)
		}
		if standing, err := r.gw.Standings(t.Context()); err != nil || len(standing) != 0 {
			t.Errorf("standing: %+v, %v", standing, err)
		}
		ben := r.join("ben", scope.Ordinary)
		n := len(r.chat.sent())
		r.accept(forwarded("ben", "3", "pay him"))
		r.asked(n + 1)
		if _, err := r.gw.RemoveMember(t.Context(), r.owner(), ben); err != nil {
			t.Fatal(err)
		}
		open, err := r.gw.Questions(t.Context())
		if err != nil || slices.ContainsFunc(open, func(q approval.Question) bool { return q.Open(time.Now()) }) {
			t.Errorf("questions: %+v, %v", open, err)
		}
		n = len(r.chat.sent())
		r.after(time.Hour)
		got := r.chat.sent()[n:] // the question is closed, and that is all
		if calls != 1 || len(got) != 1 || !strings.HasPrefix(got[0].Text, "Stopped") {
			t.Errorf("afterwards: %+v, ran %d times", got, calls)
		}
	})
}

// forwarded is somebody else's words: an effect after them asks a person.
func forwarded(who, key, text string) channels.Event {
	e := said(who, key, text)
	e.Content = channels.Message{ID: channels.MessageID(key), Text: text, Forwarded: "Mallory"}
	return e
}

// TestLettingInFromTheChat: by those who approve, in the direct chat that is
// theirs, with the code and nothing else.
func TestLettingInFromTheChat(t *testing.T) {
	var kept recorded
	o := func() rigOptions {
		p := pairs()
		p.audit = &kept
		return p
	}
	bubble(t, o, func(r *rig) {
		r.join("anna", scope.Approver)
		r.join("ben", scope.Ordinary)
		n := len(r.chat.sent())
		r.accept(said("eve", "1", "may I?"))
		_, rest, _ := strings.Cut(r.wait(n + 1)[n].Text, "Your code is ")
		code := rest[:8]
		say := func(e channels.Event) string {
			t.Helper()
			n := len(r.chat.sent())
			r.accept(e)
			return r.wait(n + 1)[n].Text
		}
		if got := say(ordered("ben", "2", "approve", code)); !strings.Contains(got, "Only the owner") {
			t.Errorf("a member: %q", got)
		}
		for _, name := range []string{"approve", "deny"} {
			if got := say(ordered("anna", "3"+name, name, "AAAAAAAA")); !strings.Contains(got, "Nobody waits") {
				t.Errorf("/%s with a wrong code: %q", name, got)
			}
		}
		got := say(ordered("anna", "4", "approve", strings.ToLower(code)))
		r.after(time.Minute)
		all := strings.Join(sentTexts(r.chat.sent()), "\n")
		if !strings.Contains(all, "eve is in") || !strings.Contains(all, "echo: may I?") {
			t.Errorf("approved: %q; %s", got, all)
		}
		if got := say(ordered("anna", "5", "deny", code)); !strings.Contains(got, "Nobody waits") {
			t.Errorf("a code that was used: %q", got)
		}
		n = len(r.chat.sent())
		r.accept(said("mallory", "6", "me too"))
		_, rest, _ = strings.Cut(r.wait(n + 1)[n].Text, "Your code is ")
		if got := say(ordered("anna", "7", "deny", rest[:8])); !strings.Contains(got, "mallory is refused") {
			t.Errorf("refused: %q", got)
		}
		if err := r.dir.AllowRoom(t.Context(), r.owner(), channels.Address{Channel: "chat", Conversation: "room"}); err != nil {
			t.Fatal(err)
		}
		e := ordered("anna", "8", "approve", code)
		e.Where.Conversation, e.Room.Direct = "room", false
		if got := say(e); !strings.Contains(got, "only in a direct chat") {
			t.Errorf("in a room: %q", got)
		}
		want := []string{
			"pairing approved: failed", "pairing approved: failed", "pairing denied: failed", "pairing approved eve", "pairing denied: failed", "pairing denied mallory",
		}
		if d := cmp.Diff(want, kept.admin()); d != "" {
			t.Errorf("the audit log: %s", d)
		}
	})
}

// recorded is an audit log in memory.
type recorded struct {
	mu  sync.Mutex
	all []audit.Entry
}

func (r *recorded) Record(e audit.Entry) { _ = r.Keep(context.Background(), e) } // it cannot fail

func (r *recorded) Keep(_ context.Context, entries ...audit.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, entries...)
	return nil
}

// admin is what those in charge did, or tried.
func (r *recorded) admin() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, e := range r.all {
		switch {
		case e.Kind != audit.Admin:
		case e.Err != "":
			all = append(all, e.Do+": failed")
		default:
			all = append(all, e.Do+" "+e.On)
		}
	}
	return all
}

// TestRoomSettings reach the turns of the room, and no others.
func TestRoomSettings(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]agent.Turn{}
	o := func() rigOptions {
		no := false
		return rigOptions{
			policy: identity.Policy{DM: identity.DMOpen, Groups: identity.GroupsAllowlist, Mention: true, Allow: []string{"plain"}, Rooms: map[channels.ConversationID]identity.RoomPolicy{
				"room": {Mention: &no, Model: "fast", Instructions: "Be kind.", Tools: []string{}},
			}},
			agent: gateway.AgentSettings{Model: "default", Models: []string{"default", "fast"}, Instructions: "Be brief.", Runner: runner(func(_ context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
				mu.Lock()
				defer mu.Unlock()
				seen[string(t.Where.Conversation)] = t
				return reply("ok"), nil
			})},
		}
	}
	bubble(t, o, func(r *rig) {
		r.accept(saidIn("room", "anna", "1", "hi", false), saidIn("plain", "anna", "2", "hi", true), said("anna", "3", "hi"))
		r.wait(3)
		mu.Lock()
		defer mu.Unlock()
		for where, want := range map[string]agent.Turn{
			"room":    {Model: "fast", Instructions: "Be brief.\n\nBe kind.", Tools: []string{}},
			"plain":   {Model: "default", Instructions: "Be brief."},
			"dm-anna": {Model: "default", Instructions: "Be brief."},
		} {
			got := seen[where]
			if got.Model != want.Model || got.Instructions != want.Instructions || (got.Tools == nil) != (want.Tools == nil) {
				t.Errorf("%s: model %q, instructions %q, tools %v", where, got.Model, got.Instructions, got.Tools)
			}
		}
	})
}

// TestWorkspacesAreDeleted: with the sessions in them, also when a crash or a
// failure cuts it in two, and nothing of another.
func TestWorkspacesAreDeleted(t *testing.T) {
	e := &endings{fails: 1}
	o := func() rigOptions { return rigOptions{shred: []gateway.Shredder{e}} }
	bubble(t, o, func(r *rig) {
		if _, err := r.dir.CreateWorkspace(t.Context(), r.owner(), "acme", ""); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"acme|chat/x!1", "acme|chat/y!1", "acm|chat/x!1", "main|chat/x!1"} {
			for _, space := range []string{"session", "session-meta"} {
				if err := r.bus.Write(t.Context(), bus.Write{Space: space, Key: key, Value: []byte("{}")}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := r.gw.DeleteWorkspace(t.Context(), r.owner(), "acme"); !errors.Is(err, errBusy) {
			t.Errorf("the first attempt: %v", err)
		}
		r.after(15 * time.Minute)
		all, err := r.dir.Workspaces(t.Context())
		if err != nil || len(all) != 1 || strings.Join(e.said(), ", ") != "shred acme, shred acme" {
			t.Errorf("%+v, %v; %v", all, err, e.said())
		}
		for _, space := range []string{"session", "session-meta"} {
			rows, err := r.bus.List(t.Context(), space, "", "", 0)
			if err != nil || len(rows) != 2 || rows[0].Key != "acm|chat/x!1" {
				t.Errorf("%s: %+v, %v", space, rows, err)
			}
		}
		if err := r.gw.DeleteWorkspace(t.Context(), r.owner(), "main"); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("the home: %v", err)
		}
	})
}
