package ingress

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// memoryRows is how many items a page lists.
const memoryRows = 50

// reachWords say who may find an item.
var reachWords = map[memory.Reach]string{
	memory.Private: "You alone", memory.Conversation: "A room", memory.Channel: "A channel", memory.Workspace: "Everybody",
}

// labelTones colour what is less trusted.
var labelTones = map[memory.Label]web.Tone{memory.Trusted: web.Good, memory.ByMember: web.Quiet, memory.Untrusted: web.Bad}

func (a *Admin) memoryPage(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.showMemory(w, r, by, nil, http.StatusOK)
}

func (a *Admin) showMemory(w http.ResponseWriter, r *http.Request, by scope.Scope, notice Node, status int) {
	var found Node
	var err error
	if q := strings.TrimSpace(r.FormValue("q")); q != "" {
		found, err = a.memoryHits(r, by, q)
	} else {
		found, err = a.memoryList(r, by)
	}
	if err != nil {
		a.failed(w, r, by, "/memory", "Memory", err)
		return
	}
	a.show(w, r, by, shown{title: "Memory", active: "/memory", notice: notice, status: status, body: []Node{
		web.Heading("Memory", "What the agent remembers: yours, and what is shared. What others keep for themselves is theirs alone."),
		boosted(web.Card("", memoryFilter(r), found), web.Card("Remember something", memoryForm(by, store.Listed{}))),
	}})
}

func memoryFilter(r *http.Request) Node {
	reach := r.FormValue("reach")
	return Form(Class("filter"), Method("get"), Action("/memory"),
		web.Field("q", "Search", "", Input(ID("q"), Name("q"), Type("search"), Value(r.FormValue("q")))),
		web.Field("reach", "Whose", "", Select(ID("reach"), Name("reach"), Option(Value(""), Text("All")),
			Map(reaches(), func(x memory.Reach) Node {
				return Option(Value(string(x)), If(string(x) == reach, Selected()), Text(reachWords[x]))
			}))),
		Button(Type("submit"), Text("Show")),
	)
}

func reaches() []memory.Reach {
	return []memory.Reach{memory.Private, memory.Conversation, memory.Channel, memory.Workspace}
}

func (a *Admin) memoryList(r *http.Request, by scope.Scope) (Node, error) {
	reach := memory.Reach(r.FormValue("reach"))
	all, err := a.o.Operator.Memory(r.Context(), by, store.Page{Reach: reach, After: r.FormValue("after"), Limit: memoryRows})
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return web.Empty(web.Book, "Nothing is remembered here", "Write /remember and a text to the bot, or keep something below. `gatehouse memory import` takes whole folders."), nil
	}
	var more Node
	if len(all) == memoryRows {
		v := url.Values{"reach": {string(reach)}, "after": {all[len(all)-1].ID}}
		more = P(Class("after"), A(Href("/memory?"+v.Encode()), Text("Show more")))
	}
	return Group{Ul(Class("list"), Map(all, func(l store.Listed) Node {
		return Li(a.memoryItem(&l.Item, l.Where, l.Text), memoryActions(l.ID))
	})), more}, nil
}

// memoryHits shows what a search finds, and why.
func (a *Admin) memoryHits(r *http.Request, by scope.Scope, q string) (Node, error) {
	hits, err := a.o.Operator.SearchMemory(r.Context(), by, memory.Query{Text: q, Reach: memory.Reach(r.FormValue("reach")), Limit: memoryRows})
	if err != nil {
		return nil, err
	}
	if len(hits) == 0 {
		return web.Empty(web.Book, "Nothing is found", "Other words may find it."), nil
	}
	return Ul(Class("list"), Map(hits, func(h memory.Hit) Node {
		return Li(a.memoryItem(&h.Item, "", h.Chunk.Text),
			Div(Class("what"), Small(Textf("score %.4f · words: %s · meaning: %s", h.Score, reason(h.Words), reason(h.Vector)))), memoryActions(h.ID))
	})), nil
}

// reason says at which place one way of searching found a hit.
func reason(l memory.Leg) string {
	if l.Rank == 0 {
		return "not found"
	}
	return fmt.Sprintf("place %d (%.2f)", l.Rank, l.Score)
}

func (a *Admin) memoryItem(it *memory.Item, where, text string) Node {
	return Div(Class("what"),
		Strong(Text(cmp.Or(it.Title, excerpt(text, 80))), Code(Text(it.ID)), web.Pill(web.Quiet, string(it.Kind)), web.Pill(labelTones[it.Label], string(it.Label))),
		If(it.Title != "" || len(text) > 80, Small(Text(excerpt(text, 300)))),
		Small(Text(reachWords[it.Reach]), If(where != "", Textf(" (%s)", where)), Text(" · "), web.Ago(it.At, a.o.Now()),
			If(it.URI != "", Textf(" · %s", it.URI)), If(len(it.Tags) > 0, Textf(" · %s", strings.Join(it.Tags, ", "))),
			If(!it.Until.IsZero(), Textf(" · until %s", it.Until.UTC().Format("2 January 2006")))),
	)
}

// excerpt is the beginning of a text, in one line.
func excerpt(text string, runes int) string {
	line := []rune(strings.Join(strings.Fields(text), " "))
	if len(line) <= runes {
		return string(line)
	}
	return string(line[:runes]) + "…"
}

func memoryActions(id string) Node {
	at := "/memory/" + url.PathEscape(id)
	return Div(Class("actions"), A(Class("button"), Href(at), Text("Edit")),
		Form(Method("post"), Action(at+"/forget"), Button(Class("danger"), Type("submit"), Text("Forget"))))
}

// memoryForm keeps something new, or changes what is there.
func memoryForm(by scope.Scope, l store.Listed) Node {
	action := "/memory"
	if l.ID != "" {
		action += "/" + url.PathEscape(l.ID)
	}
	return Form(Class("form"), Method("post"), Action(action),
		web.Field("title", "Title", "May be empty.", Input(ID("title"), Name("title"), Value(l.Title))),
		web.Field("text", "Text", "", Textarea(ID("text"), Name("text"), Rows("6"), Required(), Text(l.Text))),
		web.Field("tags", "Tags", "With commas between.", Input(ID("tags"), Name("tags"), Value(strings.Join(l.Tags, ", ")))),
		If(l.ID == "" && by.Role().Administers(), web.Field("for", "Who may find it", "", Select(ID("for"), Name("reach"),
			Option(Value(string(memory.Private)), Text(reachWords[memory.Private])), Option(Value(string(memory.Workspace)), Text(reachWords[memory.Workspace]))))),
		Div(Class("actions"), Button(Class("primary"), Type("submit"), Text("Keep"))),
	)
}

// formTags reads tags with commas between.
func formTags(s string) []string {
	var out []string
	for t := range strings.SplitSeq(s, ",") {
		if t = strings.TrimSpace(t); t != "" {
			out = append(out, t)
		}
	}
	return out
}

func (a *Admin) keepMemory(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	l := store.Listed{Item: memory.Item{Reach: memory.Reach(r.FormValue("reach"))}}
	a.putMemory(w, r, by, l)
}

func (a *Admin) editMemory(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	l, err := a.o.Operator.MemoryItem(r.Context(), by, r.PathValue("id"))
	if err != nil {
		a.failed(w, r, by, "/memory", "Memory", err)
		return
	}
	a.putMemory(w, r, by, l)
}

func (a *Admin) putMemory(w http.ResponseWriter, r *http.Request, by scope.Scope, l store.Listed) {
	l.Title, l.Text, l.Tags = r.FormValue("title"), r.FormValue("text"), formTags(r.FormValue("tags"))
	if _, err := a.o.Operator.KeepMemory(r.Context(), by, l); err != nil {
		a.failed(w, r, by, "/memory", "Memory", err)
		return
	}
	http.Redirect(w, r, "/memory", http.StatusSeeOther)
}

func (a *Admin) memoryItemPage(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	l, err := a.o.Operator.MemoryItem(r.Context(), by, r.PathValue("id"))
	if err != nil {
		a.failed(w, r, by, "/memory", "Memory", err)
		return
	}
	a.show(w, r, by, shown{title: "Memory", active: "/memory", body: []Node{
		web.Heading("Edit what is remembered", "An edit does not make it more trusted than it was."),
		boosted(web.Card("", a.memoryItem(&l.Item, l.Where, l.Text)), web.Card("", memoryForm(by, l))),
	}})
}

func (a *Admin) forgetMemory(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	n, err := a.o.Operator.ForgetMemory(r.Context(), by, r.PathValue("id"))
	if err != nil {
		a.failed(w, r, by, "/memory", "Memory", err)
		return
	}
	notice := web.Notice(web.Good, P(Text("It is forgotten.")))
	if n == 0 {
		notice = web.Notice(web.Bad, P(Text("It is not yours to forget, or was forgotten already.")))
	}
	a.showMemory(w, r, by, notice, http.StatusOK)
}
