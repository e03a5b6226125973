// Package memorytest holds the engines of the memory to their contract: what is
// kept is found, in the same order on every engine, by those who may find it and
// by nobody else, and what is forgotten is gone.
package memorytest

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// Harness is an engine under test.
type Harness struct {
	// Open returns an engine on an empty store.
	Open func(t *testing.T) store.Engine
	// Again returns a further engine on the store of the first, as after a
	// restart.
	Again func(t *testing.T, e store.Engine) store.Engine
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for name, f := range map[string]func(*testing.T, Harness){
		"kept and found":         keptAndFound,
		"order of words":         orderOfWords,
		"order of meaning":       orderOfMeaning,
		"hybrid":                 hybrid,
		"scripts without spaces": scripts,
		"kinds, tags and limits": kindsAndTags,
		"age and diversity":      ageAndDiversity,
		"in pages":               inPages,
		"out and in":             outAndIn,
		"replaced":               replaced,
		"all or none":            allOrNone,
		"forgotten":              forgotten,
		"expired":                expired,
		"people and workspaces":  peopleAndWorkspaces,
		"moved":                  moved,
		"another embedder":       anotherEmbedder,
		"embedder away":          embedderAway,
		"sealed":                 sealedSuite,
		"isolation":              isolation,
		"isolation, sealed":      isolationSealed,
		"documents":              documents,
		"many":                   many,
		"at once":                atOnce,
		"restart":                restart,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); f(t, h) })
	}
}

// now is the time of the suite.
func now() time.Time { return time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC) }

// anna speaks in her direct chat.
func anna() scope.Principal {
	return scope.Principal{
		Workspace: "main", Channel: "chat", Account: "a", Conversation: "chat/a/dm/", Member: "m-anna", Role: scope.Ordinary, Direct: true,
	}
}

// room is where several people speak.
func room(p scope.Principal) scope.Principal {
	p.Conversation, p.Direct = "chat/a/room/", false
	return p
}

func as(p scope.Principal, role scope.Role) scope.Principal {
	p.Role = role
	return p
}

// rig is a store on an engine under test.
type rig struct {
	*store.Store
	t      *testing.T
	h      Harness
	engine store.Engine
	model  *Embedder
	clock  time.Time
	o      store.Options
}

func newRig(t *testing.T, h Harness, change func(*store.Options)) *rig {
	t.Helper()
	r := &rig{t: t, h: h, engine: h.Open(t), model: &Embedder{Name: "m1", Means: Meanings()}, clock: now()}
	r.o = store.Options{Engine: r.engine, Embedder: r.model, Now: func() time.Time { return r.clock }}
	if change != nil {
		change(&r.o)
	}
	r.Store = store.New(r.o)
	return r
}

// restart makes a store on another engine of the same data.
func (r *rig) restart(change func(*store.Options)) {
	r.t.Helper()
	r.engine = r.h.Again(r.t, r.engine)
	r.o.Engine = r.engine
	if change != nil {
		change(&r.o)
	}
	r.Store = store.New(r.o)
}

func fact(id, text string) memory.Item {
	return memory.Item{ID: id, Reach: memory.Private, Kind: memory.Fact, Label: memory.Trusted, Text: text}
}

func in(r memory.Reach, it memory.Item) memory.Item {
	it.Reach = r
	return it
}

func (r *rig) keep(p scope.Principal, items ...memory.Item) {
	r.t.Helper()
	if _, err := r.Remember(r.t.Context(), scope.New(p), items...); err != nil {
		r.t.Fatal(err)
	}
	if err := r.Reindex(r.t.Context(), nil); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) recall(p scope.Principal, q memory.Query) []memory.Hit {
	r.t.Helper()
	hits, err := r.Recall(r.t.Context(), scope.New(p), q)
	if err != nil {
		r.t.Fatal(err)
	}
	return hits
}

// finds compares the ids of what is found, in their order.
func (r *rig) finds(p scope.Principal, q memory.Query, want ...string) {
	r.t.Helper()
	var got []string
	for _, h := range r.recall(p, q) {
		got = append(got, h.ID)
	}
	if d := cmp.Diff(want, got); d != "" {
		r.t.Errorf("%q finds (-want +got):\n%s", q.Text, d)
	}
}

func words(text string) memory.Query   { return memory.Query{Text: text, Legs: memory.Words} }
func meaning(text string) memory.Query { return memory.Query{Text: text, Legs: memory.Vectors} }

func keptAndFound(t *testing.T, h Harness) {
	r := newRig(t, h, nil)
	it := memory.Item{
		ID: "one", Reach: memory.Private, Kind: memory.Note, Title: "Garage", Text: "The red car stands in the garage.",
		Source: "chat/17", URI: "https://example.org/garage", Label: memory.ByMember, Tags: []string{"home", "car"},
		At: now().Add(-time.Hour), Until: now().Add(time.Hour),
	}
	r.keep(anna(), it)
	hits := r.recall(anna(), memory.Query{Text: "where is the car"})
	if len(hits) != 1 {
		t.Fatalf("%d hits", len(hits))
	}
	want := it
	want.Member, want.Text = "m-anna", ""
	if d := cmp.Diff(want, hits[0].Item); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff(memory.Chunk{Heading: "Garage", Text: it.Text, End: len(it.Text)}, hits[0].Chunk); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if hits[0].Words.Rank != 1 || hits[0].Vector.Rank != 1 || hits[0].Score <= 0 {
		t.Errorf("legs %+v %+v, score %v", hits[0].Words, hits[0].Vector, hits[0].Score)
	}
	got, err := r.Get(t.Context(), scope.New(anna()), "one")
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	want.Text = it.Text
	if d := cmp.Diff(want, got[0].Item); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func orderOfWords(t *testing.T, h Harness) {
	r := newRig(t, h, nil)
	r.keep(anna(),
		fact("a", "the meeting about budgets is on tuesday in the large room on the second floor beside the kitchen"),
		fact("b", "the budget meeting is on tuesday"),
		fact("c", "a meeting"),
		fact("d", "kitchen plants need water"),
		fact("e", "budget"),
	)
	r.finds(anna(), words("budget meeting tuesday"), "b", "e", "a", "c")
	r.finds(anna(), words("Plants"), "d")
	r.finds(anna(), words("submarine"))
	r.finds(anna(), words("!?"))
	r.finds(anna(), words(`"unit:(" OR u1 AND body:*`))
}

func orderOfMeaning(t *testing.T, h Harness) {
	r := newRig(t, h, nil)
	r.keep(anna(), fact("car", "automobile"), fact("cat", "feline friend"), fact("none", "42"))
	hits := r.recall(anna(), meaning("vehicle"))
	if len(hits) != 2 || hits[0].ID != "car" || hits[0].Vector.Score < 0.98 || hits[1].Vector.Score > 0.8 {
		t.Errorf("%+v", hits)
	}
	r.finds(anna(), meaning("17")) // the model knows no word of it
}

// hybrid: what both find goes before what one finds, and a word in common alone
// does not push a meaning down, whether the legs are joined by score or by rank.
func hybrid(t *testing.T, h Harness) {
	for name, byRank := range map[string]bool{"score": false, "rank": true} {
		t.Run(name, func(t *testing.T) { joined(t, h, byRank) })
	}
}

func joined(t *testing.T, h Harness, byRank bool) {
	t.Helper()
	r := newRig(t, h, func(o *store.Options) { o.ByRank = byRank })
	r.keep(anna(),
		fact("both", "the doctor comes on monday"),
		fact("meant", "physician visits monday morning"),
		fact("said", "which which which paper"),
	)
	hits := r.recall(anna(), memory.Query{Text: "which doctor visits on monday"})
	var ids []string
	for _, h := range hits {
		ids = append(ids, h.ID)
		if h.ID == "said" && byRank == (h.Words.Rank != 0) {
			t.Errorf("by rank: %t, and the words found %+v by %+v", byRank, h.ID, h.Words)
		}
	}
	if len(ids) != 3 || ids[0] != "both" || ids[1] != "meant" {
		t.Errorf("found %v", ids)
	}
}

func scripts(t *testing.T, h Harness) {
	r := newRig(t, h, nil)
	r.keep(anna(),
		fact("ja", "会議は東京都庁で水曜日に行われます。"),
		fact("zh", "我的猫叫小白，喜欢吃鱼。"),
		fact("ko", "회의는 수요일에 있습니다"),
		fact("th", "ประชุมวันพุธที่กรุงเทพ"),
		fact("de", "Die Prüfung fällt auf Straßburg."),
		fact("wide", "ＡＢＣ１２３"),
	)
	for query, want := range map[string]string{
		"東京": "ja", "水曜日の会議": "ja", "小白": "zh", "鱼": "zh", "수요일": "ko", "กรุงเทพ": "th", "prufung": "de", "PRÜFUNG": "de", "abc123": "wide",
	} {
		hits := r.recall(anna(), words(query))
		if len(hits) == 0 || hits[0].ID != want {
			t.Errorf("%s finds %v", query, hits)
		}
	}
}

func kindsAndTags(t *testing.T, h Harness) {
	r := newRig(t, h, nil)
	note := fact("n", "tea is green")
	note.Kind, note.Tags = memory.Note, []string{"kitchen", "tea"}
	other := fact("o", "tea is black")
	other.Tags = []string{"tea"}
	r.keep(anna(), note, other, fact("p", "tea is red"))
	r.finds(anna(), memory.Query{Text: "tea", Kinds: []memory.Kind{memory.Note}}, "n")
	r.finds(anna(), memory.Query{Text: "tea", Tags: []string{"kitchen", "tea"}}, "n")
	if n := len(r.recall(anna(), memory.Query{Text: "tea", Tags: []string{"tea"}})); n != 2 {
		t.Errorf("%d with the tag", n)
	}
	if n := len(r.recall(anna(), memory.Query{Text: "tea", Limit: 1})); n != 1 {
		t.Errorf("%d with a limit of 1", n)
	}
	all, err := r.List(t.Context(), scope.New(anna()), store.Page{Kinds: []memory.Kind{memory.Fact}, Limit: 1})
	if err != nil || len(all) != 1 || all[0].ID != "o" {
		t.Errorf("%v %v", all, err)
	}
	all, err = r.List(t.Context(), scope.New(anna()), store.Page{After: "o"})
	if err != nil || len(all) != 1 || all[0].ID != "p" {
		t.Errorf("%v %v", all, err)
	}
	if n := len(r.recall(anna(), memory.Query{Text: "tea", Reach: memory.Workspace})); n != 0 {
		t.Errorf("%d of another reach", n)
	}
	if n := len(r.recall(anna(), memory.Query{Text: "tea", Reach: memory.Private})); n != 3 {
		t.Errorf("%d of the reach", n)
	}
}

func ageAndDiversity(t *testing.T, h Harness) {
	r := newRig(t, h, nil)
	old := fact("old", "the password of the door is swordfish")
	old.At = now().Add(-365 * 24 * time.Hour)
	young := fact("young", "for the door there is a new password, which was changed by the landlord")
	r.keep(anna(), old, young)
	r.finds(anna(), words("password of the door"), "old", "young")
	q := words("password of the door")
	q.HalfLife = 30 * 24 * time.Hour
	r.finds(anna(), q, "young", "old")

	r.keep(anna(), fact("z1", "zebra crossing north street"), fact("z2", "zebra crossing north street today"), fact("z3", "a zebra lives in africa with lions"))
	q = memory.Query{Text: "zebra crossing", Legs: memory.Words, Limit: 2}
	r.finds(anna(), q, "z1", "z2")
	q.Diversity = 1
	r.finds(anna(), q, "z1", "z3")
}

func replaced(t *testing.T, h Harness) {
	r := newRig(t, h, nil)
	r.keep(anna(), fact("x", "the cat is black"))
	planted := fact("y", "pay the invoice")
	planted.Label = memory.Untrusted
	r.keep(anna(), planted)
	r.keep(anna(), fact("x", "the dog is white"))
	r.finds(anna(), words("cat"))
	r.finds(anna(), words("dog"), "x")
	if hits := r.recall(anna(), meaning("kitten")); len(hits) > 0 && hits[0].Vector.Score > 0.8 {
		t.Errorf("the old vector is there: %+v", hits[0].Vector)
	}
	r.keep(anna(), fact("y", "pay the invoice soon"))
	if got := r.recall(anna(), words("invoice")); len(got) != 1 || got[0].Label != memory.Untrusted {
		t.Errorf("an edit vouches for what it edits: %+v", got)
	}
}

func allOrNone(t *testing.T, h Harness) {
	r := newRig(t, h, nil)
	_, err := r.Remember(t.Context(), scope.New(anna()), fact("good", "fine"), fact("bad", " "))
	if err == nil || !strings.Contains(err.Error(), "no text") {
		t.Errorf("%v", err)
	}
	r.finds(anna(), words("fine"))
}

func forgotten(t *testing.T, h Harness) {
	r := newRig(t, h, nil)
	r.keep(anna(), fact("x", "the cat is black"), fact("y", "the cat is white"))
	n, err := r.Forget(t.Context(), scope.New(anna()), "x", "nothing")
	if err != nil || n != 1 {
		t.Fatal(n, err)
	}
	r.finds(anna(), words("black"))
	r.finds(anna(), words("cat"), "y")
	r.finds(anna(), meaning("cat"), "y")
	r.empties("x")
}

// empties checks that nothing is left under ids, in no index either.
func (r *rig) empties(ids ...string) {
	r.t.Helper()
	rows, err := r.engine.Rows(r.t.Context(), store.Filter{All: true, IDs: ids})
	if err != nil || len(rows) > 0 {
		r.t.Errorf("%v are left: %v", rows, err)
	}
}

func expired(t *testing.T, h Harness) {
	r := newRig(t, h, nil)
	soon := fact("soon", "the sale lasts until noon")
	soon.Until = now().Add(time.Minute)
	r.keep(anna(), soon, fact("ever", "the sale was nice"))
	if n := len(r.recall(anna(), words("sale"))); n != 2 {
		t.Errorf("%d before", n)
	}
	r.clock = now().Add(time.Hour)
	r.finds(anna(), words("sale"), "ever") // before anything was removed
	n, err := r.Expire(t.Context())
	if err != nil || n != 1 {
		t.Fatal(n, err)
	}
	r.empties("soon")
}

func peopleAndWorkspaces(t *testing.T, h Harness) {
	r := newRig(t, h, nil)
	ben := anna()
	ben.Member = "m-ben"
	elsewhere := anna()
	elsewhere.Workspace = "other"
	shared := in(memory.Conversation, fact("shared", "anna says cheese"))
	r.keep(anna(), fact("own", "cheese is mine"))
	r.keep(room(anna()), shared)
	r.keep(room(ben), in(memory.Conversation, fact("bens", "ben says cheese")))
	r.keep(ben, fact("benown", "cheese is bens"))
	r.keep(elsewhere, fact("elsewhere", "cheese elsewhere"))
	if err := r.Offboard(t.Context(), "main", "m-anna"); err != nil {
		t.Fatal(err)
	}
	r.empties("own")
	r.finds(room(ben), words("anna cheese"), "shared", "bens")
	digest := func(id string, of ...string) memory.Item {
		it := in(memory.Conversation, fact(id, "they spoke of a digest"))
		it.Kind, it.Of = memory.Digest, of
		return it
	}
	r.keep(room(ben), digest("both", "m-anna", "m-ben"), digest("nobody knows whose"), digest("partly", "", "m-ben"), digest("ben alone", "m-ben"))
	own := digest("ben told himself")
	own.Reach = memory.Private
	r.keep(ben, own)
	n, err := r.Erase(t.Context(), "main", "m-anna")
	if err != nil || n != 4 {
		t.Fatal(n, err)
	}
	r.finds(room(ben), words("anna cheese"), "bens")
	r.finds(room(ben), words("digest"), "ben alone")
	r.finds(ben, words("digest"), "ben told himself")
	if err := r.Shred(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	r.empties("shared", "bens", "benown", "ben alone", "ben told himself")
	r.finds(elsewhere, words("cheese"), "elsewhere")
}

func moved(t *testing.T, h Harness) {
	r := newRig(t, h, nil)
	there := room(anna())
	there.Conversation = "chat/a/new/"
	r.keep(room(anna()), in(memory.Conversation, fact("x", "the cat is black")))
	for range 2 { // a rerun does no harm
		if err := r.Move(t.Context(), "main", "chat/a/room/", "chat/a/new/"); err != nil {
			t.Fatal(err)
		}
	}
	r.finds(there, memory.Query{Text: "cat"}, "x")
	r.finds(room(anna()), memory.Query{Text: "cat"})
	r.keep(room(anna()), in(memory.Conversation, fact("y", "a cat again")))
	if err := r.Move(t.Context(), "main", "chat/a/room/", "chat/a/new/"); err != nil {
		t.Fatal(err)
	}
	r.finds(there, words("black"), "x")
	r.finds(there, words("again"), "y")
	if n := len(r.recall(there, meaning("feline"))); n != 2 {
		t.Errorf("%d by meaning", n)
	}
	if n, err := r.Forget(t.Context(), scope.New(there), "x", "y"); n != 2 || err != nil {
		t.Error(n, err)
	}
	r.finds(there, words("cat"))
}

// anotherEmbedder: words go on finding while vectors of another model are made,
// and vectors of two models are never compared.
func anotherEmbedder(t *testing.T, h Harness) {
	r := newRig(t, h, nil)
	r.keep(anna(), fact("x", "the automobile is black"))
	next := &Embedder{Name: "m2", Size: 32, Means: Meanings()}
	r.restart(func(o *store.Options) { o.Embedder = next })
	r.finds(anna(), meaning("car"))
	r.finds(anna(), words("black"), "x")
	r.finds(anna(), memory.Query{Text: "automobile"}, "x")
	if p, err := r.Progress(t.Context()); err != nil || p != (store.Progress{Model: "m2/32", Done: 0, All: 1}) {
		t.Errorf("%+v %v", p, err)
	}
	var told []store.Progress
	if err := r.Reindex(t.Context(), func(p store.Progress) { told = append(told, p) }); err != nil {
		t.Fatal(err)
	}
	if len(told) == 0 || told[len(told)-1].Done != 1 {
		t.Errorf("told %+v", told)
	}
	r.finds(anna(), meaning("car"), "x")
	if err := r.Reindex(t.Context(), nil); err != nil || next.Texts.Load() != 1 {
		t.Errorf("%d passages were embedded, %v", next.Texts.Load(), err)
	}
	r.restart(func(o *store.Options) { o.Embedder = nil })
	r.finds(anna(), memory.Query{Text: "black automobile"}, "x")
}

func embedderAway(t *testing.T, h Harness) {
	r := newRig(t, h, nil)
	r.model.Fail.Store(true)
	if _, err := r.Remember(t.Context(), scope.New(anna()), fact("x", "the cat is black")); err != nil {
		t.Fatal(err)
	}
	if err := r.Reindex(t.Context(), nil); err == nil {
		t.Error("the failure is not told")
	}
	r.finds(anna(), memory.Query{Text: "cat"}, "x")
	r.model.Fail.Store(false)
	if err := r.Reindex(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	r.finds(anna(), meaning("feline"), "x")
}

// paragraphs cuts at blank lines.
func paragraphs(_ memory.Kind, text string) []memory.Chunk {
	var out []memory.Chunk
	at := 0
	for p := range strings.SplitSeq(text, "\n\n") {
		out = append(out, memory.Chunk{Index: len(out), Text: p, Start: at, End: at + len(p)})
		at += len(p) + 2
	}
	return out
}

func documents(t *testing.T, h Harness) {
	r := newRig(t, h, func(o *store.Options) { o.Cut = paragraphs })
	doc := fact("doc", "The cat is black.\n\nThe dog is white.\n\nThe house is old.")
	doc.Kind, doc.Title = memory.Document, "Animals"
	r.keep(anna(), doc)
	hits := r.recall(anna(), words("dog"))
	if len(hits) != 1 || hits[0].Chunk.Index != 1 || doc.Text[hits[0].Chunk.Start:hits[0].Chunk.End] != "The dog is white." {
		t.Errorf("%+v", hits)
	}
	got, err := r.Get(t.Context(), scope.New(anna()), "doc")
	if err != nil || len(got) != 1 || got[0].Text != doc.Text {
		t.Errorf("%+v %v", got, err)
	}
	if n, err := r.Forget(t.Context(), scope.New(anna()), "doc"); n != 1 || err != nil {
		t.Error(n, err)
	}
	r.finds(anna(), memory.Query{Text: "dog cat house animals"})
	if p, err := r.Progress(t.Context()); err != nil || p.All != 0 || p.Done != 0 {
		t.Errorf("%+v %v", p, err)
	}
}

// many: more than one commit, and words that nearly everything has.
func many(t *testing.T, h Harness) {
	r := newRig(t, h, nil)
	var items []memory.Item
	for i := range 500 {
		items = append(items, fact("", "common words stand here beside number"+strings.Repeat("x", i%7)+" and more"))
	}
	items[250].Text = "common words stand beside an axolotl"
	items[250].ID = "it"
	r.keep(anna(), items...)
	r.finds(anna(), memory.Query{Text: "common axolotl words", Limit: 1}, "it")
	if err := r.Shred(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	if p, err := r.Progress(t.Context()); err != nil || p.All != 0 {
		t.Errorf("%+v %v", p, err)
	}
}

func atOnce(t *testing.T, h Harness) {
	r := newRig(t, h, nil)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			p := anna()
			p.Member = "m-" + string(rune('a'+i))
			for range 5 {
				_, err := r.Remember(t.Context(), scope.New(p), fact("", "something about cats"))
				if err == nil {
					err = r.Reindex(t.Context(), nil)
				}
				if err == nil {
					_, err = r.Recall(t.Context(), scope.New(p), memory.Query{Text: "cats"})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for i := range 8 {
		p := anna()
		p.Member = "m-" + string(rune('a'+i))
		if n := len(r.recall(p, memory.Query{Text: "cats"})); n != 5 {
			t.Errorf("%s finds %d", p.Member, n)
		}
	}
}

func restart(t *testing.T, h Harness) {
	r := newRig(t, h, nil)
	planted := fact("x", "the cat is black")
	planted.Label = memory.Untrusted
	r.keep(anna(), planted)
	r.restart(nil)
	hits := r.recall(anna(), memory.Query{Text: "feline black"})
	if len(hits) != 1 || hits[0].Label != memory.Untrusted || hits[0].Vector.Rank != 1 || hits[0].Words.Rank != 1 {
		t.Errorf("%+v", hits)
	}
	if !slices.ContainsFunc(hits, func(h memory.Hit) bool { return h.Member == "m-anna" }) {
		t.Error("whose words they are is lost")
	}
}
