package approval_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

func principal(member string, role scope.Role) scope.Principal {
	return scope.Principal{Workspace: "w", Channel: "c", Conversation: "c/a/r/", Member: member, Role: role}
}

// bench is a book with one question, and a clock that the test moves.
type bench struct {
	*approval.Book
	store *inprocess.Engine
	at    time.Time
	q     approval.Question
}

func newBench(t *testing.T, once bool) *bench {
	t.Helper()
	b := &bench{store: inprocess.New(inprocess.Options{}), at: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	b.Book = approval.NewBook(b.store, func() time.Time { return b.at })
	b.q = b.Fill(approval.Question{Turn: "t", Step: 3, Requester: principal("ada", scope.Ordinary), Tool: "pay", Target: "https://x", OnceOnly: once})
	if err := b.store.Write(t.Context(), b.Ask(b.q)...); err != nil {
		t.Fatal(err)
	}
	return b
}

// decide answers the question as whoever reads it now, and commits.
func (b *bench) decide(t *testing.T, by scope.Scope, a approval.Answer) error {
	t.Helper()
	q, err := b.Get(t.Context(), b.q.ID)
	if err != nil {
		return err
	}
	_, writes, err := b.Decide(q, by, a)
	if err != nil {
		return err
	}
	return b.store.Write(t.Context(), writes...)
}

var yes = approval.Answer{Outcome: approval.Approved, Extent: approval.Once}

func TestInvariant07DecidedOnce(t *testing.T) {
	b := newBench(t, false)
	var won atomic.Int32
	var all sync.WaitGroup
	q, err := b.Get(t.Context(), b.q.ID) // everybody has read it undecided
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		all.Go(func() {
			a := yes
			if i%2 == 0 {
				a = approval.Answer{Outcome: approval.Refused}
			}
			_, writes, err := b.Decide(q, scope.New(principal("ada", scope.Ordinary)), a)
			if err == nil {
				err = b.store.Write(t.Context(), writes...)
			}
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, kv.ErrConflict):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d decided", won.Load())
	}
	if err := b.decide(t, scope.New(principal("ada", scope.Ordinary)), yes); !errors.Is(err, approval.ErrDecided) {
		t.Errorf("a later one: %v", err)
	}
}

func TestInvariant07WhoDecides(t *testing.T) {
	elsewhere, foreign, desk := principal("ada", scope.Ordinary), principal("ada", scope.Owner), principal("boss", scope.Admin)
	elsewhere.Conversation, foreign.Workspace = "c/a/other/", "v"
	desk.Channel, desk.Conversation = "", ""
	for name, tc := range map[string]struct {
		by   scope.Principal
		want error
	}{
		"whoever asked":            {principal("ada", scope.Ordinary), nil},
		"an approver":              {principal("bob", scope.Approver), nil},
		"an administrator outside": {desk, nil},
		"another member":           {principal("bob", scope.Ordinary), approval.ErrDenied},
		"a guest":                  {principal("ada", scope.Guest), approval.ErrDenied},
		"a program":                {principal("ada", scope.Service), approval.ErrDenied},
		"in another conversation":  {elsewhere, approval.ErrDenied},
		"of another workspace":     {foreign, approval.ErrDenied},
		"nobody":                   {scope.Principal{}, approval.ErrDenied},
	} {
		if err := newBench(t, false).decide(t, scope.New(tc.by), yes); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInvariant07TimeAndExtent(t *testing.T) {
	ada := scope.New(principal("ada", scope.Ordinary))
	b := newBench(t, true)
	if err := b.decide(t, ada, approval.Answer{Outcome: approval.Approved, Extent: approval.Always}); !errors.Is(err, approval.ErrOnce) {
		t.Errorf("for ever: %v", err)
	}
	b.at = b.at.Add(approval.Patience)
	if err := b.decide(t, ada, yes); !errors.Is(err, approval.ErrExpired) {
		t.Errorf("too late: %v", err)
	}
	b = newBench(t, false)
	if err := b.decide(t, ada, approval.Answer{Outcome: approval.Approved, Extent: approval.Conversation}); err != nil {
		t.Fatal(err)
	}
	stands := func(p scope.Principal, tool, target string) bool {
		_, ok, err := b.Stands(t.Context(), scope.New(p), tool, target)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	other := principal("ada", scope.Ordinary)
	other.Conversation = "c/a/other/"
	for name, got := range map[string]bool{
		"another destination":  stands(principal("ada", scope.Ordinary), "pay", "https://y"),
		"another tool":         stands(principal("ada", scope.Ordinary), "send", "https://x"),
		"another member":       stands(principal("bob", scope.Ordinary), "pay", "https://x"),
		"another conversation": stands(other, "pay", "https://x"),
		"nobody":               stands(scope.Principal{}, "pay", "https://x"),
	} {
		if got {
			t.Errorf("it stands for %s", name)
		}
	}
	if !stands(principal("ada", scope.Ordinary), "pay", "https://x") {
		t.Error("it does not stand where it was given")
	}
	b.at = b.at.Add(approval.Lasting)
	if stands(principal("ada", scope.Ordinary), "pay", "https://x") {
		t.Error("it stands after its time")
	}
	if err := b.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rows, err := b.store.List(t.Context(), "approval", "", "", 0); err != nil || len(rows) != 0 {
		t.Errorf("%d rows are left, %v", len(rows), err)
	}
}

// TestInvariant07WorkedOnAgain: a press whose process died after the decision
// finds its own answer, and nobody else's.
func TestInvariant07WorkedOnAgain(t *testing.T) {
	b, ada := newBench(t, false), scope.New(principal("ada", scope.Ordinary))
	a := yes
	a.Event = "press-1"
	for range 2 {
		if err := b.decide(t, ada, a); err != nil {
			t.Fatal(err)
		}
	}
	a.Event = "press-2"
	if err := b.decide(t, ada, a); !errors.Is(err, approval.ErrDecided) {
		t.Errorf("another press: %v", err)
	}
}

func TestCodesAreNoPairingCodes(t *testing.T) {
	b := newBench(t, false)
	if !approval.IsCode(b.q.Code) || approval.IsCode("ABCD2345") || len(b.q.ID) != 32 {
		t.Errorf("code %q, id %q", b.q.Code, b.q.ID)
	}
	got, err := b.ByCode(t.Context(), "c/a/r/", " "+b.q.Code)
	if err != nil || got.ID != b.q.ID {
		t.Errorf("by its code: %+v, %v", got, err)
	}
	if _, err := b.ByCode(t.Context(), "c/a/other/", b.q.Code); !errors.Is(err, approval.ErrUnknown) {
		t.Errorf("in another conversation: %v", err)
	}
}
