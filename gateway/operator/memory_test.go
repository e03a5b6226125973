package operator_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

func ids(all []store.Listed) []string {
	out := []string{}
	for _, l := range all {
		out = append(out, l.ID)
	}
	return out
}

func listed(id string, reach memory.Reach, where, text string) store.Listed {
	return store.Listed{Item: memory.Item{ID: id, Reach: reach, Text: text}, Where: where}
}

// TestMemoryOfOthersStaysTheirs: those who administer look after what is shared,
// and see nothing of what somebody keeps for themselves.
func TestMemoryOfOthersStaysTheirs(t *testing.T) {
	r := newRig(t)
	ben := r.join(t, "main", "m-ben", scope.Ordinary)
	guest := r.join(t, "main", "m-guest", scope.Guest)
	keep := func(by scope.Scope, l ...store.Listed) error {
		_, err := r.KeepMemory(t.Context(), by, l...)
		return err
	}
	if err := keep(ben, listed("bens", "", "", "ben's secret recipe")); err != nil {
		t.Fatal(err)
	}
	if err := keep(r.owner, listed("all", memory.Workspace, "", "house recipe"), listed("room", memory.Conversation, "chat/a/room/", "the room's recipe")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		by   scope.Scope
		want []string
	}{{r.owner, []string{"all", "room"}}, {ben, []string{"all", "bens"}}} {
		all, err := r.Memory(t.Context(), c.by, store.Page{})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, ids(all)); d != "" {
			t.Errorf("%s lists (-want +got):\n%s", c.by.Member(), d)
		}
		hits, err := r.SearchMemory(t.Context(), c.by, memory.Query{Text: "recipe"})
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hits {
			if !slices.Contains(c.want, h.ID) {
				t.Errorf("%s finds %s", c.by.Member(), h.ID)
			}
		}
	}
	if _, err := r.MemoryItem(t.Context(), r.owner, "bens"); !errors.Is(err, identity.ErrUnknown) {
		t.Errorf("the owner opens ben's: %v", err)
	}
	if err := keep(ben, listed("all", memory.Workspace, "", "mine now")); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("ben changes what is the owner's: %v", err)
	}
	if err := keep(r.owner, listed("bens", "", "", "overwritten")); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("the owner changes what is ben's: %v", err)
	}
	if err := keep(ben, listed("x", "", "", " ")); !errors.Is(err, operator.ErrInvalid) {
		t.Errorf("nothing is kept: %v", err)
	}
	if err := keep(guest, listed("y", "", "", "hello")); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("a guest keeps: %v", err)
	}
	if n, err := r.ForgetMemory(t.Context(), ben, "all", "room", "bens"); n != 1 || err != nil {
		t.Errorf("ben forgets %d, %v", n, err)
	}
	if n, err := r.ForgetMemory(t.Context(), r.owner, "all", "room"); n != 2 || err != nil {
		t.Errorf("the owner forgets %d, %v", n, err)
	}
	if n, err := r.ForgetMemory(t.Context(), r.owner, "all"); n != 0 || err != nil {
		t.Errorf("the owner forgets what is gone: %d, %v", n, err)
	}
	recorded, err := r.audit.Last(t.Context(), audit.Query{Member: identity.OwnerID, Kinds: []audit.Kind{audit.Admin}}, 1)
	if err != nil || len(recorded) != 1 || !strings.Contains(recorded[0].Err, "1 of 1 items") {
		t.Errorf("recorded is %+v, %v", recorded, err)
	}
	if p, err := r.ReindexMemory(t.Context(), r.owner); err != nil || p != (store.Progress{}) {
		t.Errorf("%+v, %v", p, err)
	}
}
