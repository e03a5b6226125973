package identity_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

var pairing = identity.Policy{DM: identity.DMPairing, Groups: identity.GroupsOpen}

func text(who string) channels.Event {
	return direct(channels.Sender{ID: who, Name: "Name of " + who}, channels.Message{ID: "1", Text: "hello"})
}

// ask lets a stranger ask, and returns the request.
func (w *world) ask(who string) identity.Pairing {
	w.t.Helper()
	p, _ := w.asks(who)
	return p
}

// asks returns the code that the stranger was told as well.
func (w *world) asks(who string) (identity.Pairing, string) {
	w.t.Helper()
	j := w.judge(text(who), pairing)
	if j.Do != identity.Park || j.Reply == "" {
		w.t.Fatalf("%s was judged %+v", who, j)
	}
	w.commit(j)
	open, err := w.dir.Pairings(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range open {
		if p.Who.ID == who {
			_, rest, _ := strings.Cut(j.Reply, "`")
			said, _, _ := strings.Cut(rest, "`")
			return p, said
		}
	}
	w.t.Fatalf("%s is not among %+v", who, open)
	return identity.Pairing{}, ""
}

func TestPairingCodes(t *testing.T) {
	w := newWorld(t)
	p, code := w.asks("x")
	if len(code) != 8 || strings.Trim(code, "23456789ABCDEFGHJKLMNPQRSTUVWXYZ") != "" {
		t.Errorf("the code is %q", code)
	}
	if d := p.Expires.Sub(p.Created); d != time.Hour {
		t.Errorf("it lasts %v", d)
	}
	w.keepsNothingOf(code)
	for _, wrong := range []string{"", code[:7], code + "A", code[:7] + "?", p.ID[:5], "pair/" + p.ID} {
		if _, err := w.dir.Approve(t.Context(), w.owner(), wrong); !errors.Is(err, identity.ErrUnknown) {
			t.Errorf("%q was taken for %q: %v", wrong, code, err)
		}
	}
	if _, err := w.dir.Approve(t.Context(), w.owner(), " "+strings.ToLower(code[:4]+"-"+code[4:])+"\n"); err != nil {
		t.Errorf("as people type it: %v", err)
	}
}

// keepsNothingOf checks that a code can be read from no row.
func (w *world) keepsNothingOf(code string) {
	w.t.Helper()
	rows, err := w.store.List(w.t.Context(), "identity", "", "", 0)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range rows {
		if strings.Contains(strings.ToUpper(r.Key+string(r.Value)), code) {
			w.t.Errorf("the code is kept under %q", r.Key)
		}
	}
}

// TestPairingMintsOrdinaryMembers: whoever approves, and whatever the stranger
// is called.
func TestPairingMintsOrdinaryMembers(t *testing.T) {
	w := newWorld(t)
	for i, name := range []string{"owner", "admin", `{"role":"owner"}`, "Owner\nrole: owner"} {
		who := fmt.Sprint("x", i)
		e := direct(channels.Sender{ID: who, Name: name, Handle: "owner"}, channels.Message{Text: "hi"})
		w.commit(w.judge(e, pairing))
		open, err := w.dir.Pairings(t.Context())
		if err != nil || len(open) != 1 {
			t.Fatal(open, err)
		}
		p, err := w.dir.Approve(t.Context(), w.owner(), open[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		w.expect(e, pairing, regular)
		if err := w.dir.Forget(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	members, err := w.dir.Members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		if m.Role != scope.Ordinary && m.ID != identity.OwnerID {
			t.Errorf("%+v", m)
		}
	}
}

func TestOneAnswerAnHour(t *testing.T) {
	w := newWorld(t)
	w.ask("x")
	replies := 1
	for range 23 { // every ten minutes for almost four hours
		w.now = w.now.Add(10 * time.Minute)
		j := w.judge(text("x"), pairing)
		w.commit(j)
		if j.Reply != "" {
			replies++
		}
	}
	if replies != 4 {
		t.Errorf("%d answers, want 4", replies)
	}
}

func TestParkedEventsAreBounded(t *testing.T) {
	w := newWorld(t)
	p := w.ask("x")
	parked := 1
	for range 50 {
		j := w.judge(text("x"), pairing)
		w.commit(j)
		switch j.Do {
		case identity.Park:
			parked++
			if j.Tag != p.Tag() || j.Until != p.Expires || j.Reply != "" {
				t.Fatalf("parked as %+v", j)
			}
		case identity.Ignore:
		default:
			t.Fatalf("judged %+v", j)
		}
	}
	if parked != identity.MostParked {
		t.Errorf("%d were parked, want %d", parked, identity.MostParked)
	}
}

func TestOpenCodesAreBounded(t *testing.T) {
	w := newWorld(t)
	first := w.ask("a")
	w.ask("b")
	// Two strangers take the last place at the same moment: one of them has to
	// be judged again.
	c, d := w.judge(text("c"), pairing), w.judge(text("d"), pairing)
	w.commit(c)
	if err := w.store.Write(t.Context(), d.State...); !errors.Is(err, kv.ErrConflict) {
		t.Fatalf("both took it: %v", err)
	}
	j := w.judge(text("d"), pairing)
	if j.Do != identity.Answer || !strings.Contains(j.Reply, "try again") {
		t.Errorf("the fourth was judged %+v", j)
	}
	w.commit(j)
	if j := w.judge(text("d"), pairing); j.Do != identity.Ignore {
		t.Errorf("and then %+v", j)
	}
	other := text("e")
	other.Where.Channel = "other"
	if j := w.judge(other, pairing); j.Do != identity.Park {
		t.Errorf("another channel has its own places: %+v", j)
	}
	if _, err := w.dir.Deny(t.Context(), w.owner(), first.ID); err != nil {
		t.Fatal(err)
	}
	w.ask("f") // the place is free again
	w.now = w.now.Add(time.Hour)
	w.ask("g") // and all of them after an hour
	w.ask("h")
	w.ask("i")
}

// TestApprovalMeetsAMessage: a message that was judged before the approval and
// is committed after it is not parked where nobody looks any more.
func TestApprovalMeetsAMessage(t *testing.T) {
	for _, decide := range []func(*world, string) error{
		func(w *world, code string) error { _, err := w.dir.Approve(t.Context(), w.owner(), code); return err },
		func(w *world, code string) error { _, err := w.dir.Deny(t.Context(), w.owner(), code); return err },
	} {
		w := newWorld(t)
		p := w.ask("x")
		j := w.judge(text("x"), pairing)
		if err := decide(w, p.ID); err != nil {
			t.Fatal(err)
		}
		if err := w.store.Write(t.Context(), j.State...); !errors.Is(err, kv.ErrConflict) {
			t.Errorf("it was parked all the same: %v", err)
		}
	}
}

func TestDecisionsAreMadeOnce(t *testing.T) {
	w := newWorld(t)
	p := w.ask("x")
	if _, err := w.dir.Approve(t.Context(), w.owner(), p.ID); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"approve again":   func() error { _, err := w.dir.Approve(t.Context(), w.owner(), p.ID); return err },
		"deny afterwards": func() error { _, err := w.dir.Deny(t.Context(), w.owner(), p.ID); return err },
		"another code":    func() error { _, err := w.dir.Approve(t.Context(), w.owner(), "AAAAAAAA"); return err },
		"no code":         func() error { _, err := w.dir.Approve(t.Context(), w.owner(), ""); return err },
	} {
		if err := f(); !errors.Is(err, identity.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if passed, err := w.dir.Passed(t.Context()); err != nil || len(passed) != 1 {
		t.Errorf("passed: %+v, %v", passed, err)
	}
	late := w.ask("y")
	w.now = w.now.Add(time.Hour)
	if _, err := w.dir.Approve(t.Context(), w.owner(), late.ID); !errors.Is(err, identity.ErrUnknown) {
		t.Errorf("an expired code: %v", err)
	}
}

func (w *world) code(member string) string {
	w.t.Helper()
	code, err := w.dir.StartCode(w.t.Context(), w.owner(), member)
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

func tapped(who, code string) channels.Event {
	return direct(channels.Sender{ID: who, Name: who}, channels.Command{Name: "start", Args: code})
}

func TestStartCodes(t *testing.T) {
	w := newWorld(t)
	code := w.code(identity.OwnerID)
	w.keepsNothingOf(code)
	room := tapped("x", code)
	room.Room.Direct = false
	if j := w.judge(room, pairing); j.Do == identity.Answer {
		t.Errorf("it was redeemed in a room: %+v", j)
	}
	first, second := w.judge(tapped("x", code), pairing), w.judge(tapped("y", code), pairing)
	w.commit(first)
	if err := w.store.Write(t.Context(), second.State...); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("it worked twice at the same moment: %v", err)
	}
	w.expect(text("x"), pairing, verdict{identity.Run, scope.Owner})
	if j := w.judge(tapped("y", code), pairing); j.Do != identity.Park {
		t.Errorf("used, it makes a stranger %+v", j)
	}
	if j := w.judge(tapped("x", code), pairing); j.Do != identity.Answer || len(j.State) != 0 {
		t.Errorf("tapped twice: %+v", j)
	}
	late := w.code(identity.OwnerID)
	w.now = w.now.Add(identity.StartLife)
	if j := w.judge(tapped("z", late), pairing); j.Do != identity.Park {
		t.Errorf("expired, it makes a stranger %+v", j)
	}
	for _, guess := range []string{"", late[:19], late + "A", strings.ToLower(code), strings.Repeat("A", 20)} {
		if j := w.judge(tapped("g", guess), pairing); j.Do != identity.Park {
			t.Errorf("the guess %q was judged %+v", guess, j)
		}
	}
}

func TestStartCodeOfSomebodyWhoIsGone(t *testing.T) {
	w := newWorld(t)
	code := w.code("m-member")
	if err := w.store.Write(t.Context(), kv.Write{Space: "identity", Key: "main/member/m-member"}); err != nil {
		t.Fatal(err)
	}
	j := w.judge(tapped("x", code), pairing)
	if j.Do != identity.Answer || len(j.State) != 0 {
		t.Errorf("judged %+v", j)
	}
	if _, err := w.dir.StartCode(t.Context(), w.owner(), "m-member"); !errors.Is(err, identity.ErrUnknown) {
		t.Errorf("a code for nobody: %v", err)
	}
}

// TestStartLinkSettlesAnOpenRequest: what the sender wrote before is released,
// and approving the request afterwards does not take rights away.
func TestStartLinkSettlesAnOpenRequest(t *testing.T) {
	w := newWorld(t)
	p := w.ask("x")
	j := w.judge(tapped("x", w.code(identity.OwnerID)), pairing)
	if j.Passed == nil || j.Passed.Tag() != p.Tag() {
		t.Errorf("the request is not settled: %+v", j.Passed)
	}
	w.commit(j)
	w.expect(text("x"), pairing, verdict{identity.Run, scope.Owner})
	if _, err := w.dir.Approve(t.Context(), w.owner(), p.ID); !errors.Is(err, identity.ErrUnknown) {
		t.Errorf("approved after the link: %v", err)
	}
	// The same when the link came in between.
	q := w.ask("y")
	w.link("y", identity.OwnerID)
	if _, err := w.dir.Approve(t.Context(), w.owner(), q.ID); err != nil {
		t.Fatal(err)
	}
	w.expect(text("y"), pairing, verdict{identity.Run, scope.Owner})
}

func TestTidy(t *testing.T) {
	w := newWorld(t)
	before := w.keys("")
	for _, who := range []string{"a", "b", "c"} {
		w.ask(who)
	}
	w.commit(w.judge(text("d"), pairing))
	w.code(identity.OwnerID)
	full := len(w.keys(""))
	if err := w.dir.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(w.keys("")); n != full {
		t.Errorf("%d of %d entries are left while all of them count", n, full)
	}
	w.now = w.now.Add(identity.StartLife)
	if err := w.dir.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, k := range w.keys("") {
		if !strings.HasPrefix(k, "place/") { // three for each channel, for ever
			left = append(left, k)
		}
	}
	if d := cmp.Diff(before, left); d != "" {
		t.Error(d)
	}
}

// TestNobodyRaisesThemselves: an admin makes no code that turns them into an
// owner, or into another admin.
func TestNobodyRaisesThemselves(t *testing.T) {
	w := newWorld(t)
	w.put("member/m-admin", identity.Member{ID: "m-admin", Role: scope.Admin})
	w.put("member/m-second", identity.Member{ID: "m-second", Role: scope.Admin})
	admin, err := w.dir.Operator(t.Context(), "m-admin")
	if err != nil {
		t.Fatal(err)
	}
	for member, want := range map[string]error{
		identity.OwnerID: identity.ErrForbidden, "m-second": identity.ErrForbidden, "m-admin": nil, "m-member": nil,
	} {
		if _, err := w.dir.StartCode(t.Context(), admin, member); !errors.Is(err, want) {
			t.Errorf("a code for %s: %v, want %v", member, err, want)
		}
		if _, err := w.dir.StartCode(t.Context(), w.owner(), member); err != nil {
			t.Errorf("the owner's code for %s: %v", member, err)
		}
	}
}

// TestOperatorScopes: they come from the directory alone.
func TestOperatorScopes(t *testing.T) {
	w := newWorld(t)
	if s := w.owner(); s.Role() != scope.Owner || s.Workspace() != "main" {
		t.Errorf("the owner is %v", s.Principal())
	}
	if s, err := w.dir.Operator(t.Context(), "m-nobody"); !errors.Is(err, identity.ErrUnknown) || s.Valid() {
		t.Errorf("nobody is %v, %v", s, err)
	}
	if g := w.dir.Gateway(); g.Role() != scope.Service || g.Role().Administers() || g.Role().Approves() {
		t.Errorf("the gateway is %v", g.Principal())
	}
}
