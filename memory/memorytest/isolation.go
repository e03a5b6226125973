package memorytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// shelf is one item of the matrix: who keeps it, and who finds it.
type shelf struct {
	item memory.Item
	by   scope.Principal
	// finds is who finds it, of all the scopes that are tried, by their names.
	finds []string
}

const text = "the quick brown fox"

// tried are the scopes of the matrix: anna's, each that differs from it in one
// field, the same in a room, and strangers of every role.
func tried() map[string]scope.Scope {
	all := map[string]scope.Scope{"none": {}, "anna": scope.New(anna()), "anna in the room": scope.New(room(anna()))}
	v := reflect.ValueOf(anna())
	for i := range v.NumField() {
		for _, direct := range []bool{true, false} {
			p, where := anna(), ""
			if !direct {
				p, where = room(p), " in the room"
			}
			f := reflect.ValueOf(&p).Elem().Field(i)
			if f.Kind() == reflect.Bool {
				continue
			}
			f.SetString(f.String() + "x")
			all["another "+v.Type().Field(i).Name+where] = scope.New(p)
		}
	}
	for _, role := range scope.Roles() {
		p := anna()
		p.Member, p.Role, p.Conversation = "m-ben", role, "chat/a/ben/"
		all["ben, "+string(role)] = scope.New(p)
		all["ben, "+string(role)+", in the room"] = scope.New(room(p))
		p.Workspace = "other"
		all["elsewhere, "+string(role)] = scope.New(p)
		all["elsewhere, "+string(role)+", in the room"] = scope.New(room(p))
	}
	for name, p := range impostors() {
		all[name] = scope.New(p)
	}
	return all
}

// impostors are what becomes of the messages of a hostile module that says anna
// wrote them, where anna does: all but the channel is as it says, and whoever
// writes on a channel is somebody of their own there.
func impostors() map[string]scope.Principal {
	all := map[string]scope.Principal{}
	for where, p := range map[string]scope.Principal{"alone": anna(), "in the room": room(anna())} {
		_, rest, _ := strings.Cut(p.Conversation, "/")
		p.Channel, p.Conversation, p.Member, p.Role = "module", "module/"+rest, "g-module-anna", scope.Guest
		all["a module's anna, "+where] = p
		p.Conversation = "module/" + strings.ReplaceAll(rest, "/", "%2F")
		all["a module's anna in a place it made up, "+where] = p
	}
	return all
}

// shelves has an item of each reach, and one of another member.
func shelves() []shelf {
	boss := as(anna(), scope.Owner)
	boss.Member = "m-boss"
	inRoom := []string{"anna in the room", "another Channel in the room", "another Account in the room", "another Member in the room", "another Role in the room"}
	var everybody, onChannel []string
	for name, s := range tried() {
		known := s.Valid() && s.Workspace() == "main" && slices.Contains([]scope.Role{scope.Owner, scope.Admin, scope.Approver, scope.Ordinary}, s.Role())
		if known {
			everybody = append(everybody, name)
		}
		if known && s.Channel() == "chat" {
			onChannel = append(onChannel, name)
		}
		if s.Valid() && s.Workspace() == "main" && s.Member() == "m-ben" && !s.Direct() {
			inRoom = append(inRoom, name)
		}
	}
	return []shelf{
		{item: in(memory.Private, fact("private", text)), by: anna(), finds: []string{
			"anna", "another Channel", "another Account", "another Conversation", "another Role", // a member's own is theirs wherever they are alone
		}},
		{item: in(memory.Conversation, fact("conversation", text)), by: room(anna()), finds: inRoom},
		{item: in(memory.Channel, fact("channel", text)), by: boss, finds: onChannel},
		{item: in(memory.Workspace, fact("workspace", text)), by: boss, finds: everybody},
	}
}

func isolation(t *testing.T, h Harness)       { matrix(t, newRig(t, h, nil)) }
func isolationSealed(t *testing.T, h Harness) { matrix(t, newRig(t, h, sealing(true))) }

// matrix tries every item with every scope, by every way of finding, changing and
// removing it.
func matrix(t *testing.T, r *rig) {
	all := shelves()
	for _, s := range all {
		r.keep(s.by, s.item)
	}
	for name, by := range tried() {
		for _, s := range all {
			may := slices.Contains(s.finds, name)
			for way, finds := range r.ways() {
				if got := finds(by, s.item.ID); got != may && (may || !overseer(way, by, s.item.Reach)) {
					t.Errorf("%s: %s finds the item of reach %s: %v, want %v", way, name, s.item.Reach, got, may)
				}
			}
			r.triesToChange(name, by, s, may)
		}
	}
	for _, s := range all {
		if got, err := r.engine.Rows(t.Context(), store.Filter{All: true, IDs: []string{s.item.ID}}); err != nil || len(got) != 1 {
			t.Errorf("%s is gone: %v", s.item.ID, err)
		}
	}
}

// overseer reports a way by which those who administer look after what their
// workspace shares.
func overseer(way string, by scope.Scope, reach memory.Reach) bool {
	looksAfter := way == "everywhere" || way == "get" || way == "list everywhere"
	return looksAfter && by.Role().Administers() && by.Workspace() == "main" && reach != memory.Private
}

// ways are all by which an item can come to light.
func (r *rig) ways() map[string]func(scope.Scope, string) bool {
	ctx := r.t.Context()
	search := func(q memory.Query) func(scope.Scope, string) bool {
		return func(by scope.Scope, id string) bool {
			hits, err := r.Recall(ctx, by, q)
			if err != nil && !errors.Is(err, memory.ErrDenied) {
				r.t.Error(err)
			}
			return slices.ContainsFunc(hits, func(h memory.Hit) bool { return h.ID == id })
		}
	}
	list := func(get func(scope.Scope, string) ([]store.Listed, error)) func(scope.Scope, string) bool {
		return func(by scope.Scope, id string) bool {
			all, err := get(by, id)
			if err != nil && !errors.Is(err, memory.ErrDenied) {
				r.t.Error(err)
			}
			return slices.ContainsFunc(all, func(l store.Listed) bool { return l.ID == id })
		}
	}
	return map[string]func(scope.Scope, string) bool{
		"hybrid":     search(memory.Query{Text: text}),
		"words":      search(words("fox")),
		"vectors":    search(meaning("fox")),
		"everywhere": search(memory.Query{Text: text, Everywhere: true}),
		"list":       list(func(s scope.Scope, _ string) ([]store.Listed, error) { return r.List(ctx, s, store.Page{}) }),
		"list everywhere": list(func(s scope.Scope, _ string) ([]store.Listed, error) {
			return r.List(ctx, s, store.Page{Everywhere: true})
		}),
		"get": list(func(s scope.Scope, id string) ([]store.Listed, error) { return r.Get(ctx, s, id) }),
	}
}

// triesToChange: an item is changed and forgotten by its author, as far as they
// find it, and what is shared by those who administer.
func (r *rig) triesToChange(name string, by scope.Scope, s shelf, finds bool) {
	r.t.Helper()
	ctx := r.t.Context()
	may := finds && by.Member() == s.by.Member || by.Role().Administers() && by.Workspace() == "main" && s.item.Reach != memory.Private
	kept := s.item
	_, err := r.Remember(ctx, by, kept)
	if may != (err == nil) && !authorElsewhere(by, s) {
		r.t.Errorf("%s replaces the item of reach %s: %v", name, s.item.Reach, err)
	}
	n, err := r.Forget(ctx, by, s.item.ID)
	if err != nil && !errors.Is(err, memory.ErrDenied) {
		r.t.Error(err)
	}
	if may != (n == 1) {
		r.t.Errorf("%s forgets %d of reach %s", name, n, s.item.Reach)
	}
	r.keep(s.by, s.item)
}

// authorElsewhere: whoever wrote something may write it anew wherever they are in
// the workspace; it stays where it is.
func authorElsewhere(by scope.Scope, s shelf) bool {
	return by.Valid() && by.Workspace() == s.by.Workspace && by.Member() == s.by.Member && s.item.Reach != memory.Private
}

// seals stands in for a vault: what is sealed is turned around and tied to its
// place.
type seals struct{}

var errOther = errors.New("sealed for another place")

func bound(workspace string, place []string) []byte {
	return fmt.Appendf(nil, "%q", append([]string{workspace}, place...))
}

func turned(b []byte) []byte {
	out := bytes.Clone(b)
	for i := range out {
		out[i] ^= 0xA5
	}
	return out
}

// SealContent implements store.Seals.
func (seals) SealContent(_ context.Context, dst []byte, workspace string, plain []byte, place ...string) ([]byte, error) {
	return append(append(append(dst, bound(workspace, place)...), '|'), turned(plain)...), nil
}

// OpenContent implements store.Seals.
func (seals) OpenContent(_ context.Context, workspace string, sealed []byte, place ...string) ([]byte, error) {
	rest, ok := bytes.CutPrefix(sealed, append(bound(workspace, place), '|'))
	if !ok {
		return nil, errOther
	}
	return turned(rest), nil
}

func sealing(on bool) func(*store.Options) {
	return func(o *store.Options) { o.Seals, o.Seal = seals{}, on }
}

// sealedSuite: what is sealed is found all the same, and no index has it.
func sealedSuite(t *testing.T, h Harness) {
	r := newRig(t, h, sealing(true))
	r.o.Cut = paragraphs
	r.restart(nil)
	r.keep(anna(), fact("x", "the automobile is black\n\nand fast"), fact("y", "the cat is white"))
	check := func() {
		t.Helper()
		r.finds(anna(), words("black"), "x")
		r.finds(anna(), memory.Query{Text: "feline", Limit: 1}, "y")
		if hits := r.recall(anna(), meaning("car")); len(hits) != 3 || hits[0].ID != "x" {
			t.Errorf("%v", hits)
		}
		got, err := r.Get(t.Context(), scope.New(anna()), "x")
		if err != nil || len(got) != 1 || got[0].Text != "the automobile is black\n\nand fast" {
			t.Errorf("%v %v", got, err)
		}
	}
	check()
	tagged := fact("z", "a tagged fox")
	tagged.Tags = []string{"secret-tag"}
	r.keep(anna(), tagged)
	r.finds(anna(), memory.Query{Text: "fox", Tags: []string{"secret-tag"}}, "z")
	if n, err := r.Forget(t.Context(), scope.New(anna()), "z"); n != 1 || err != nil {
		t.Error(n, err)
	}
	r.unindexed("x", "y")
	// Back to plain text, and sealed again: everything is found all the time.
	for _, on := range []bool{false, true} {
		r.restart(sealing(on))
		if n := len(r.recall(anna(), words("black"))); n != 1 {
			t.Errorf("%d before the conversion", n)
		}
		if err := r.Reindex(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		check()
	}
	r.unindexed("x", "y")
}

// unindexed checks that no index knows of items, and no row shows them.
func (r *rig) unindexed(ids ...string) {
	r.t.Helper()
	rows, err := r.engine.Rows(r.t.Context(), store.Filter{All: true, IDs: ids, Whole: true})
	if err != nil || len(rows) != len(ids) {
		r.t.Fatal(rows, err)
	}
	units := []int64{rows[0].Unit}
	having, err := r.engine.Having(r.t.Context(), units, []string{"black", "cat", "the"}, 10, store.Whichever)
	if err != nil || slices.ContainsFunc(having, func(l []int64) bool { return len(l) > 0 }) {
		r.t.Errorf("the index of words has %v, %v", having, err)
	}
	model, err := r.engine.Model(r.t.Context(), r.model.Model(), r.model.Dimensions())
	if err != nil {
		r.t.Fatal(err)
	}
	near, err := r.engine.Nearest(r.t.Context(), units, model, r.model.vector("cat"), 10)
	if err != nil || len(near) > 0 {
		r.t.Errorf("the index of vectors has %v, %v", near, err)
	}
	for _, row := range rows {
		for _, c := range row.Chunks {
			if bytes.Contains(c.Body, []byte("black")) || bytes.Contains(c.Body, []byte("cat")) {
				r.t.Errorf("chunk %d of %s is not sealed", c.Index, row.ID)
			}
		}
	}
}
