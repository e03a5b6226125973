package identity_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// everyContent is one of each kind.
var everyContent = []channels.Content{
	channels.Message{ID: "1", Text: "hello"},
	channels.Edit{ID: "1", Text: "hullo"},
	channels.Deletion{IDs: []channels.MessageID{"1"}},
	channels.Reaction{ID: "1", Added: []string{"x"}},
	channels.Press{ID: "1", Data: "model:other"},
	channels.Command{ID: "1", Name: "help"},
	channels.PollAnswer{Poll: "p"},
	channels.Joined{},
	channels.Left{},
	channels.Moved{To: "elsewhere"},
	channels.Installed{},
	channels.Status{ID: "1"},
}

// verdict is what the gate says, as far as the tables below know it.
type verdict struct {
	Do   identity.Do
	Role scope.Role // Run and Background
}

var (
	ignored = verdict{Do: identity.Ignore}
	asks    = verdict{Do: identity.Park}
	guest   = verdict{identity.Run, scope.Guest}
	regular = verdict{identity.Run, scope.Ordinary}
	aside   = verdict{identity.Background, scope.Guest}
)

// senders are the kinds of people. The member's link and the removed member's
// are made by the world.
var senders = map[string]channels.Sender{
	"member":   {ID: "s-member"},
	"removed":  {ID: "s-removed"},
	"listed":   {ID: "s-listed"},
	"stranger": {ID: "s-stranger"},
	"owner":    {ID: "s-owner", Owner: true}, // of the account that the channel speaks as
	"namesake": {ID: "s-namesake", Name: "s-listed", Handle: "s-member"},
	"bot":      {ID: "s-listed", Bot: true},
	"self":     {ID: "s-listed", Self: true},
	"nobody":   {Name: "s-listed", Handle: "s-listed"},
}

// TestInvariant03GateInDirectChats is the whole table: every policy, kind of sender and
// kind of content.
func TestInvariant03GateInDirectChats(t *testing.T) {
	table := map[identity.DM]map[string]verdict{
		"":                  {},
		"nonsense":          {"member": regular, "listed": regular, "owner": regular},
		identity.DMDisabled: {},
		identity.DMSelf:     {"owner": regular}, // a link or a list lets nobody else in
		identity.DMAllowlist: {
			"member": regular, "listed": regular, "owner": regular,
		},
		identity.DMPairing: {
			"member": regular, "listed": regular, "owner": regular, "removed": asks, "stranger": asks, "namesake": asks,
		},
		identity.DMOpen: {
			"member": regular, "listed": regular, "owner": regular, "removed": guest, "stranger": guest, "namesake": guest,
		},
	}
	for dm, row := range table {
		for who, sender := range senders {
			for _, c := range everyContent {
				name := fmt.Sprintf("%s/%s/%s", dm, who, channels.ContentType(c))
				t.Run(name, func(t *testing.T) {
					w := newWorld(t)
					p := identity.Policy{DM: dm, Groups: identity.GroupsOpen, Allow: []string{"s-listed"}}
					want, ok := row[who]
					if !ok {
						want = ignored
					}
					if want == asks && !says(c) {
						want = ignored // only what somebody says asks to be let in
					}
					if _, moved := c.(channels.Moved); moved {
						want = ignored
					}
					w.expect(direct(sender, c), p, want)
				})
			}
		}
	}
}

func says(c channels.Content) bool {
	_, message := c.(channels.Message)
	_, command := c.(channels.Command)
	return message || command
}

// TestInvariant03GateInRooms: a room is admitted by itself. How its people were let into
// direct chats counts for nothing.
func TestInvariant03GateInRooms(t *testing.T) {
	rooms := map[string]channels.ConversationID{"listed": "r-listed", "admitted": "r-admitted", "other": "r-other"}
	for _, groups := range []identity.Groups{"", "nonsense", identity.GroupsDisabled, identity.GroupsAllowlist, identity.GroupsOpen} {
		for roomKind, room := range rooms {
			in := groups == identity.GroupsOpen || groups == identity.GroupsAllowlist && roomKind != "other"
			for who, sender := range senders {
				for _, addressed := range []bool{true, false} {
					for _, c := range everyContent {
						t.Run(fmt.Sprintf("%s/%s/%s/%v/%s", groups, roomKind, who, addressed, channels.ContentType(c)), func(t *testing.T) {
							w := newWorld(t)
							p := identity.Policy{DM: identity.DMPairing, Groups: groups, Mention: true, Allow: []string{"r-listed", "s-listed"}}
							e := direct(sender, c)
							e.Where.Conversation, e.Room.Direct, e.Addressed = room, false, addressed
							w.expect(e, p, inRoom(in, who, addressed, c))
						})
					}
				}
			}
		}
	}
}

func inRoom(in bool, who string, addressed bool, c channels.Content) verdict {
	_, press := c.(channels.Press)
	_, moved := c.(channels.Moved)
	switch {
	case !in || moved || who == "bot" || who == "self" || who == "nobody":
		return ignored
	case who == "member" && (addressed || press):
		return regular
	case who == "member":
		return verdict{identity.Background, scope.Ordinary}
	case addressed || press:
		return guest
	}
	return aside
}

// TestInvariant04BlankListAdmitsNobody: neither an empty list nor an empty entry.
func TestInvariant04BlankListAdmitsNobody(t *testing.T) {
	for _, list := range [][]string{nil, {}, {""}, {" "}, {"*"}} {
		w := newWorld(t)
		p := identity.Policy{DM: identity.DMAllowlist, Groups: identity.GroupsAllowlist, Allow: list}
		w.expect(direct(senders["stranger"], everyContent[0]), p, ignored)
		w.expect(direct(channels.Sender{}, everyContent[0]), p, ignored)
		e := direct(senders["stranger"], everyContent[0])
		e.Room.Direct, e.Where.Conversation = false, ""
		w.expect(e, p, ignored)
	}
}

// TestAuthenticatedSendersAreMembers: on the console an id is a member's, and
// nothing else is believed.
func TestAuthenticatedSendersAreMembers(t *testing.T) {
	w := newWorld(t)
	p := identity.Policy{DM: identity.DMAllowlist, Authenticated: true}
	w.expect(direct(channels.Sender{ID: identity.OwnerID}, everyContent[0]), p, verdict{identity.Run, scope.Owner})
	w.expect(direct(channels.Sender{ID: "m-nobody"}, everyContent[0]), p, ignored)
	w.expect(direct(senders["member"], everyContent[0]), p, ignored)                                                    // a link of another channel's sender
	w.expect(direct(channels.Sender{ID: "owner"}, everyContent[0]), identity.Policy{DM: identity.DMAllowlist}, ignored) // elsewhere it is a stranger
}

func TestScopesSayWhoAndWhere(t *testing.T) {
	w := newWorld(t)
	e := direct(senders["stranger"], everyContent[0])
	e.Where.Thread = "t"
	j, err := w.dir.Judge(t.Context(), e, identity.Policy{DM: identity.DMOpen})
	if err != nil {
		t.Fatal(err)
	}
	want := scope.Principal{
		Workspace: "main", Channel: "chat", Account: "a", Conversation: e.Where.Order(), Member: "sender:chat/a/s-stranger",
		Role: scope.Guest, Direct: true,
	}
	if d := cmp.Diff(want, j.Scope.Principal()); d != "" {
		t.Error(d)
	}
}

// TestStrangersAreNobody: no id that a platform may give makes a stranger a
// member, or two strangers one.
func TestStrangersAreNobody(t *testing.T) {
	w := newWorld(t)
	seen := map[string]string{}
	for _, id := range []string{"owner", "../owner", "a/owner", "%2F", "sender:chat/a/x", "x", "m-member", " owner", "Owner"} {
		for _, account := range []channels.AccountID{"", "a", "a/b"} {
			e := direct(channels.Sender{ID: id}, everyContent[0])
			e.Account, e.Where.Account = account, account
			j, err := w.dir.Judge(t.Context(), e, identity.Policy{DM: identity.DMOpen})
			if err != nil {
				t.Fatal(err)
			}
			if j.Scope.Role() != scope.Guest {
				t.Errorf("%q is %s", id, j.Scope.Role())
			}
			if m, err := w.dir.Member(t.Context(), j.Scope.Member()); err == nil {
				t.Errorf("%q became the member %+v", id, m)
			}
			key := fmt.Sprintf("%s of %s", id, account)
			if other, ok := seen[j.Scope.Member()]; ok {
				t.Errorf("%q and %q are the same person", key, other)
			}
			seen[j.Scope.Member()] = key
		}
	}
}

// TestRemovedMembersLoseAccessAtOnce: every event is judged anew.
func TestRemovedMembersLoseAccessAtOnce(t *testing.T) {
	w := newWorld(t)
	p := identity.Policy{DM: identity.DMAllowlist}
	e := direct(senders["member"], everyContent[0])
	w.expect(e, p, regular)
	links, err := w.dir.Links(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Sender == "s-member" {
			if err := w.dir.Unlink(t.Context(), w.owner(), l); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.expect(e, p, ignored)
}

func TestMovedRoomsStayAdmitted(t *testing.T) {
	for _, from := range []channels.ConversationID{"r-listed", "r-admitted", "r-other"} {
		for _, by := range []channels.Sender{{}, {ID: "x", Bot: true}, {ID: "x", Self: true}, {ID: "x"}} {
			w := newWorld(t)
			p := identity.Policy{Groups: identity.GroupsAllowlist, Allow: []string{"r-listed"}}
			e := direct(by, channels.Moved{To: "r-new"})
			e.Room.Direct, e.Where.Conversation = false, from
			w.commit(w.judge(e, p))
			next := direct(senders["stranger"], everyContent[0])
			next.Room.Direct, next.Where.Conversation = false, "r-new"
			want := guest
			if from == "r-other" {
				want = ignored
			}
			w.expect(next, p, want)
		}
	}
}

func direct(who channels.Sender, c channels.Content) channels.Event {
	return channels.Event{
		Key: "k", At: time.Now(), Account: "a", Who: who, Content: c, Addressed: true, Room: channels.Room{Direct: true},
		Where: channels.Address{Channel: "chat", Account: "a", Conversation: channels.ConversationID("dm-" + who.ID)},
	}
}
