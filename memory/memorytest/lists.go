package memorytest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// inPages: what has expired leaves no gap at which a list would seem to end, and
// long texts make a page shorter.
func inPages(t *testing.T, h Harness) {
	r := newRig(t, h, nil)
	var items []memory.Item
	for i := range 60 {
		it := fact(fmt.Sprintf("i%02d", i), "tea for "+strings.Repeat("two ", 25))
		if i > 2 && i < 50 {
			it.Until = now().Add(time.Hour)
		}
		items = append(items, it)
	}
	r.keep(anna(), items...)
	r.clock = now().Add(2 * time.Hour)
	var got []string
	for after, pages := "", 0; ; pages++ {
		page, err := r.List(t.Context(), scope.New(anna()), store.Page{After: after, Limit: 5, Bytes: 250})
		if err != nil || len(page) > 2 || pages > 20 {
			t.Fatalf("%d items on page %d: %v", len(page), pages, err)
		}
		if len(page) == 0 {
			break
		}
		for _, l := range page {
			got = append(got, l.ID)
			after = l.ID
		}
	}
	want := []string{"i00", "i01", "i02", "i50", "i51", "i52", "i53", "i54", "i55", "i56", "i57", "i58", "i59"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// outAndIn: what was listed is put back as it was, also the words of others.
func outAndIn(t *testing.T, h Harness) {
	r := newRig(t, h, nil)
	boss := as(anna(), scope.Owner)
	boss.Member = "m-boss"
	mine := memory.Item{
		ID: "mine", Reach: memory.Private, Kind: memory.Document, Title: "Garage", Text: "# Parking\n\nThe car stands outside.", Source: "chat/17",
		URI: "https://example.org/garage", Label: memory.ByMember, Tags: []string{"home", "car"}, At: now().Add(-time.Hour), Until: now().Add(time.Hour),
	}
	said := in(memory.Conversation, fact("said", "the room is blue"))
	said.Label = memory.Untrusted
	digest := in(memory.Conversation, memory.Item{ID: "digest", Kind: memory.Digest, Label: memory.ByMember, Text: "they spoke of blue", Of: []string{"m-anna", "m-ben"}})
	r.keep(boss, mine, in(memory.Workspace, fact("all", "the house is red")))
	r.keep(room(anna()), said, digest)
	list := func() []store.Listed {
		all, err := r.List(t.Context(), scope.New(boss), store.Page{Everywhere: true})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := list()
	if len(before) != 4 || before[3].Member != "m-anna" {
		t.Fatalf("listed: %+v", before)
	}
	if n, err := r.Forget(t.Context(), scope.New(boss), "mine", "all", "said", "digest"); err != nil || n != 4 || len(list()) != 0 {
		t.Fatal(n, err)
	}
	if _, err := r.Restore(t.Context(), scope.New(boss), before...); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, list()); diff != "" {
		t.Errorf("what came back is something else (-want +got):\n%s", diff)
	}
	// Nobody else puts words into another's mouth.
	forged := in(memory.Conversation, fact("forged", "ben owes me"))
	forged.Member = "m-ben"
	if _, err := r.Restore(t.Context(), scope.New(room(anna())), store.Listed{Item: forged}); err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(list(), func(l store.Listed) bool { return l.ID == "forged" }); i < 0 || list()[i].Member != "m-anna" {
		t.Errorf("the forged item: %+v", list())
	}
}
