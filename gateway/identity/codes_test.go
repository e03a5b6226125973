package identity_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

func (w *world) invite(by scope.Scope, name string, role scope.Role) (string, identity.Invitation) {
	w.t.Helper()
	code, inv, err := w.dir.Invite(w.t.Context(), by, name, role)
	if err != nil {
		w.t.Fatal(err)
	}
	return code, inv
}

// wrote is a stranger's message that is nothing but a text.
func wrote(who, text string) channels.Event {
	return direct(channels.Sender{ID: who, Name: "Name of " + who}, channels.Message{ID: "1", Text: text})
}

func TestInvitations(t *testing.T) {
	w := newWorld(t)
	for _, role := range []scope.Role{scope.Owner, scope.Admin, scope.Approver, scope.Ordinary, scope.Guest} {
		who := "x-" + string(role)
		code, inv := w.invite(w.owner(), "Anna", role)
		w.keepsNothingOf(code)
		if inv.Role != role || inv.Expires.Sub(inv.Created) != 72*time.Hour || inv.By != identity.OwnerID || strings.Contains(code, strings.ToUpper(inv.ID)) {
			t.Errorf("%+v", inv)
		}
		j := w.judge(tapped(who, code), pairing)
		if j.Do != identity.Answer || !strings.Contains(j.Reply, string(role)) {
			t.Fatalf("%s: %+v", role, j)
		}
		w.commit(j)
		w.expect(wrote(who, "hello"), pairing, verdict{identity.Run, role})
		if again := w.judge(tapped("other", code), pairing); again.Do == identity.Answer {
			t.Errorf("%s: it worked twice", role)
		}
	}
	if s, err := w.dir.Machine(t.Context()); err != nil || s.Member() != identity.OwnerID {
		t.Errorf("the first owner is %v, %v", s, err)
	}
	members, err := w.dir.Members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, m := range members {
		if m.Name == "Anna" && m.ID != "m-member" {
			named++
		}
	}
	if named != 5 {
		t.Errorf("%d are called as the invitation says, want 5", named)
	}
}

// TestInvitationsAreCopied: a code works as people copy and type it, in a direct
// chat alone.
func TestInvitationsAreCopied(t *testing.T) {
	w := newWorld(t)
	for i, form := range []func(string) string{
		func(c string) string { return c },
		strings.ToLower,
		func(c string) string { return " " + c[:5] + "-" + c[5:10] + " " + c[10:] + "\n" },
		func(c string) string { return "`" + c + "`" },
	} {
		code, _ := w.invite(w.owner(), "", scope.Ordinary)
		e := wrote(fmt.Sprint("x", i), form(code))
		room := e
		room.Room.Direct, room.Where.Conversation = false, "r-admitted"
		if j := w.judge(room, pairing); j.Do == identity.Answer {
			t.Errorf("%d: redeemed in a room", i)
		}
		if j := w.judge(e, identity.Policy{DM: identity.DMAllowlist, Authenticated: true}); j.Do == identity.Answer {
			t.Errorf("%d: redeemed on the console", i)
		}
		j := w.judge(e, pairing)
		if j.Do != identity.Answer {
			t.Errorf("%d: %+v", i, j)
		}
		w.commit(j)
		w.expect(wrote(fmt.Sprint("x", i), "hello"), pairing, regular)
	}
	code, _ := w.invite(w.owner(), "", scope.Ordinary)
	for _, text := range []string{"my code is " + code, code + code, strings.Repeat(" ", 40) + code, code[:19], ""} {
		if j := w.judge(wrote("z", text), pairing); j.Do != identity.Park {
			t.Errorf("%q was judged %+v", text, j)
		}
	}
	if j := w.judge(direct(channels.Sender{ID: "z"}, channels.Command{Name: "help", Args: code}), pairing); j.Do != identity.Park {
		t.Errorf("another command: %+v", j)
	}
	if j := w.judge(direct(channels.Sender{ID: "z", Name: "Z"}, channels.Command{Name: "link", Args: code}), pairing); j.Do != identity.Answer {
		t.Errorf("/link: %+v", j)
	}
}

// TestInvitationsEnd: with their time, when they are withdrawn, and when whoever
// made them could not make them any more.
func TestInvitationsEnd(t *testing.T) {
	ends := map[string]func(w *world, admin scope.Scope, inv identity.Invitation) error{
		"time": func(w *world, _ scope.Scope, _ identity.Invitation) error {
			w.now = w.now.Add(identity.StartLife)
			return nil
		},
		"withdrawn": func(w *world, admin scope.Scope, inv identity.Invitation) error {
			return w.dir.Withdraw(t.Context(), admin, inv.ID)
		},
		"the maker is demoted": func(w *world, _ scope.Scope, _ identity.Invitation) error {
			_, err := w.dir.SetRole(t.Context(), w.owner(), "m-admin", scope.Approver)
			return err
		},
		"the maker is gone": func(w *world, _ scope.Scope, _ identity.Invitation) error {
			_, err := w.dir.Remove(t.Context(), w.owner(), "m-admin")
			return err
		},
	}
	for name, end := range ends {
		w := newWorld(t)
		admin := w.join("m-admin", scope.Admin)
		code, inv := w.invite(admin, "", scope.Approver)
		if err := end(w, admin, inv); err != nil {
			t.Fatal(err)
		}
		j := w.judge(tapped("x", code), pairing)
		w.commit(j)
		w.commit(w.judge(wrote("x", "hello"), pairing))
		if links, err := w.dir.Links(t.Context()); err != nil || len(links) > 2 {
			t.Errorf("%s: it worked: %+v, %v", name, links, err)
		}
		if m, _ := w.dir.Members(t.Context()); len(m) > 3 {
			t.Errorf("%s: there is somebody new: %+v", name, m)
		}
	}
	// An owner's invitation of an admin ends when the owner is an admin only.
	w := newWorld(t)
	w.join("m-other", scope.Owner)
	code, _ := w.invite(w.owner(), "", scope.Admin)
	if _, err := w.dir.SetRole(t.Context(), w.owner(), identity.OwnerID, scope.Admin); err != nil {
		t.Fatal(err)
	}
	if j := w.judge(tapped("x", code), pairing); j.Do != identity.Answer || len(j.State) != 0 {
		t.Errorf("an admin is made by one who is none: %+v", j)
	}
}

func TestInvitingHasLimits(t *testing.T) {
	w := newWorld(t)
	admin := w.join("m-admin", scope.Admin)
	for _, tt := range []struct {
		by   scope.Scope
		name string
		role scope.Role
		want error
	}{
		{admin, "", scope.Owner, identity.ErrForbidden},
		{admin, "", scope.Admin, identity.ErrForbidden},
		{admin, "", scope.Approver, nil},
		{w.owner(), "", scope.Service, identity.ErrInvalid},
		{w.owner(), "", "root", identity.ErrInvalid},
		{w.owner(), "", "", identity.ErrInvalid},
		{w.owner(), "a\nb", scope.Guest, identity.ErrInvalid},
	} {
		if _, _, err := w.dir.Invite(t.Context(), tt.by, tt.name, tt.role); !errors.Is(err, tt.want) {
			t.Errorf("%q as %q: %v, want %v", tt.name, tt.role, err, tt.want)
		}
	}
	_, inv := w.invite(w.owner(), "", scope.Admin)
	if err := w.dir.Withdraw(t.Context(), admin, inv.ID); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("an admin withdraws the owner's invitation of an admin: %v", err)
	}
	if err := w.dir.Withdraw(t.Context(), w.owner(), "00000000"); !errors.Is(err, identity.ErrUnknown) {
		t.Errorf("none is withdrawn: %v", err)
	}
	all, err := w.dir.Invitations(t.Context())
	if err != nil || len(all) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	w.now = w.now.Add(identity.StartLife)
	if all, err := w.dir.Invitations(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("after their time: %+v, %v", all, err)
	}
}

// TestMembersNeedNoInvitation: one that a member taps stays for somebody else.
func TestMembersNeedNoInvitation(t *testing.T) {
	w := newWorld(t)
	code, _ := w.invite(w.owner(), "", scope.Admin)
	j := w.judge(tapped("s-member", code), pairing)
	if j.Do != identity.Answer || len(j.State) != 0 {
		t.Errorf("%+v", j)
	}
	w.expect(direct(senders["member"], everyContent[0]), pairing, regular)
	if j := w.judge(tapped("x", code), pairing); len(j.State) == 0 {
		t.Error("it was used up")
	}
}

// TestOwnCodes link another account to whoever asked for the code.
func TestOwnCodes(t *testing.T) {
	w := newWorld(t)
	ben := w.join("m-ben", scope.Approver)
	first, err := w.dir.OwnCode(t.Context(), ben)
	if err != nil || len(first) != 8 {
		t.Fatalf("%q, %v", first, err)
	}
	w.keepsNothingOf(first)
	second, err := w.dir.OwnCode(t.Context(), ben)
	if err != nil {
		t.Fatal(err)
	}
	if j := w.judge(wrote("x", first), pairing); j.Do == identity.Answer {
		t.Error("an earlier code still works")
	}
	j := w.judge(wrote("y", second), pairing)
	if j.Do != identity.Answer || !strings.Contains(j.Reply, "m-ben") {
		t.Fatalf("%+v", j)
	}
	w.commit(j)
	w.expect(wrote("y", "hello"), pairing, verdict{identity.Run, scope.Approver})
	if j := w.judge(wrote("z", second), pairing); j.Do == identity.Answer {
		t.Error("it works twice")
	}
	late, err := w.dir.OwnCode(t.Context(), ben)
	if err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(identity.OwnLife - 1)
	if j := w.judge(wrote("z", late), pairing); j.Do != identity.Answer {
		t.Error("it does not last for 15 minutes")
	}
	w.now = w.now.Add(1)
	if j := w.judge(wrote("z", late), pairing); j.Do == identity.Answer {
		t.Error("it lasts longer than 15 minutes")
	}
	if _, err := w.dir.OwnCode(t.Context(), w.as(scope.Owner, "main")); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("a code for somebody who is not there: %v", err)
	}
}

// TestOwnCodesEnd: a code links nobody any more when whoever asked for it may
// not use the console now, or is gone. It says how an account was linked.
func TestOwnCodesEnd(t *testing.T) {
	ends := map[string]struct {
		end   func(w *world) error
		links bool
	}{
		"nothing happened": {func(*world) error { return nil }, true},
		"the maker is demoted": {func(w *world) error {
			_, err := w.dir.SetRole(t.Context(), w.owner(), "m-ben", scope.Guest)
			return err
		}, false},
		"the maker is gone": {func(w *world) error {
			_, err := w.dir.Remove(t.Context(), w.owner(), "m-ben")
			return err
		}, false},
	}
	for name, tt := range ends {
		w := newWorld(t)
		code, err := w.dir.OwnCode(t.Context(), w.join("m-ben", scope.Approver))
		if err != nil {
			t.Fatal(err)
		}
		if err := tt.end(w); err != nil {
			t.Fatal(err)
		}
		w.commit(w.judge(wrote("y", code), pairing))
		links, err := w.dir.Links(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(links, func(l identity.Link) bool { return l.Sender == "y" })
		if (i >= 0) != tt.links {
			t.Errorf("%s: linked %v", name, i >= 0)
		}
		if i >= 0 && links[i].How != "code" {
			t.Errorf("%s: linked by %q", name, links[i].How)
		}
	}
}

// TestGuessingIsBounded: a sender has five wrong codes an hour, and all the
// strangers of a channel have thirty.
func TestGuessingIsBounded(t *testing.T) {
	const wrong = "AAAAAAAA"
	w := newWorld(t)
	right, err := w.dir.OwnCode(t.Context(), w.owner())
	if err != nil {
		t.Fatal(err)
	}
	guess := func(who string, n int) {
		for range n {
			w.commit(w.judge(wrote(who, wrong), pairing))
		}
	}
	works := func(who string, want bool) {
		t.Helper()
		if j := w.judge(wrote(who, right), pairing); strings.Contains(j.Reply, "now linked") != want {
			t.Errorf("%s with the right code: %v, want %v", who, !want, want)
		}
	}
	guess("x0", 4)
	works("x0", true)
	guess("x0", 1)
	works("x0", false)
	works("y", true)
	for i := 1; i < 6; i++ {
		works("y", true)
		guess(fmt.Sprint("x", i), 5)
	}
	works("y", false)
	works("s-member", true) // members have a count of their own
	other := wrote("y", right)
	other.Where.Channel = "other"
	if j := w.judge(other, pairing); j.Do != identity.Answer {
		t.Errorf("another channel: %+v", j)
	}
	w.now = w.now.Add(time.Hour)
	if right, err = w.dir.OwnCode(t.Context(), w.owner()); err != nil {
		t.Fatal(err)
	}
	works("x0", true)
	works("y", true)
	guess("s-member", 5)
	works("s-member", false)
	if j := w.judge(wrote("s-member", wrong), pairing); j.Do != identity.Run {
		t.Errorf("a member who shouts is answered no more: %+v", j)
	}
}

// TestCodesMeetAtOnce: two who present one code at the same moment.
func TestCodesMeetAtOnce(t *testing.T) {
	w := newWorld(t)
	code, _ := w.invite(w.owner(), "", scope.Owner)
	first, second := w.judge(tapped("x", code), pairing), w.judge(tapped("y", code), pairing)
	w.commit(first)
	if err := w.store.Write(t.Context(), second.State...); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("both got in: %v", err)
	}
}

func TestRooms(t *testing.T) {
	w := newWorld(t)
	p := identity.Policy{Groups: identity.GroupsAllowlist}
	in := func(room string, content channels.Content) channels.Event {
		e := direct(senders["stranger"], content)
		e.Room, e.Where.Conversation, e.Where.Thread = channels.Room{Title: "Title of " + room}, channels.ConversationID(room), "t"
		return e
	}
	states := func() map[channels.ConversationID]identity.RoomState {
		t.Helper()
		all, err := w.dir.Rooms(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m := map[channels.ConversationID]identity.RoomState{}
		for _, r := range all {
			if m[r.At.Conversation] = r.State; r.At.Thread != "" {
				t.Errorf("a thread is kept as a room: %+v", r)
			}
		}
		return m
	}
	hello := everyContent[0]
	w.commit(w.judge(in("r-new", hello), p))
	if got := states(); got["r-new"] != identity.RoomSeen || got["r-admitted"] != identity.RoomAdmitted || len(got) != 2 {
		t.Errorf("rooms %v", got)
	}
	if j := w.judge(in("r-new", hello), p); len(j.State) != 0 {
		t.Error("each message writes that the room was seen")
	}
	renamed := in("r-new", hello)
	renamed.Room.Title = "Other"
	if j := w.judge(renamed, p); len(j.State) != 1 {
		t.Error("a new title is not kept")
	}
	w.now = w.now.Add(24 * time.Hour)
	w.commit(w.judge(in("r-new", hello), p))
	all, err := w.dir.Rooms(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	for _, r := range all {
		if r.At.Conversation == "r-new" && (r.Last != w.now || w.now.Sub(r.First) != 24*time.Hour || r.Title != "Title of r-new") {
			t.Errorf("%+v", r)
		}
	}
	at := channels.Address{Channel: "chat", Account: "a", Conversation: "r-new"}
	if err := w.dir.AllowRoom(t.Context(), w.owner(), at); err != nil {
		t.Fatal(err)
	}
	w.expect(in("r-new", hello), p, guest)
	if err := w.dir.DismissRoom(t.Context(), w.owner(), at); err != nil {
		t.Fatal(err)
	}
	w.expect(in("r-new", hello), p, ignored)
	if got := states(); got["r-new"] != identity.RoomDismissed {
		t.Errorf("rooms %v", got)
	}
	for _, none := range []identity.Policy{{Groups: identity.GroupsDisabled}, {}} {
		if j := w.judge(in("r-other", hello), none); len(j.State) != 0 {
			t.Errorf("seen under %q", none.Groups)
		}
	}
	for i := range 2 * identity.MostRooms {
		w.commit(w.judge(in(fmt.Sprint("many", i), hello), p))
	}
	if n := len(states()); n != identity.MostRooms {
		t.Errorf("%d rooms are remembered, want %d", n, identity.MostRooms)
	}
}

// TestRoomsOfTheirOwnKind: what the configuration says about one room.
func TestRoomsOfTheirOwnKind(t *testing.T) {
	yes, no := true, false
	p := identity.Policy{Groups: identity.GroupsAllowlist, Mention: true, Rooms: map[channels.ConversationID]identity.RoomPolicy{
		"r-plain": {}, "r-chatty": {Mention: &no}, "r-asked": {Mention: &yes},
		"r-some": {Mention: &no, Allow: []string{"s-listed", "m-member"}}, "r-nobody": {Mention: &no, Allow: []string{}},
	}}
	for _, tt := range []struct {
		room, who string
		addressed bool
		want      verdict
	}{
		{"r-plain", "stranger", false, aside},
		{"r-plain", "stranger", true, guest},
		{"r-chatty", "stranger", false, guest},
		{"r-asked", "stranger", false, aside},
		{"r-some", "stranger", true, ignored},
		{"r-some", "namesake", true, ignored},
		{"r-some", "listed", false, guest},
		{"r-some", "member", false, regular},
		{"r-nobody", "member", true, ignored},
		{"r-other", "member", true, ignored},
	} {
		w := newWorld(t)
		e := direct(senders[tt.who], everyContent[0])
		e.Room.Direct, e.Where.Conversation, e.Addressed = false, channels.ConversationID(tt.room), tt.addressed
		t.Run(tt.room+"/"+tt.who, func(t *testing.T) { w.t = t; w.expect(e, p, tt.want) })
	}
	p.Groups = identity.GroupsDisabled
	w := newWorld(t)
	e := direct(senders["member"], everyContent[0])
	e.Room.Direct, e.Where.Conversation = false, "r-chatty"
	w.expect(e, p, ignored)
}
