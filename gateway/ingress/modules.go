package ingress

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/module/shelf"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
)

func (a *Admin) modulesPage(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.showModules(w, r, by, nil, nil, http.StatusOK)
}

// showModules shows what is installed, and below it the form for another version
// or what was planned with it.
func (a *Admin) showModules(w http.ResponseWriter, r *http.Request, by scope.Scope, notice, planned Node, status int) {
	all, err := a.o.Operator.Modules(r.Context(), by)
	if err != nil {
		a.failed(w, r, by, "/modules", "Modules", err)
		return
	}
	st, err := a.o.Operator.Status(r.Context(), by)
	if err != nil {
		a.failed(w, r, by, "/modules", "Modules", err)
		return
	}
	list := web.Empty(web.Clip, "No module is installed", "A module is a channel or a tool that somebody else wrote. It runs in a sandbox and reaches only what you grant.")
	if len(all) > 0 {
		list = Ul(Class("list"), Map(all, func(m operator.Module) Node { return Li(a.module(m, st.Channels)) }))
	}
	if planned == nil {
		planned = sourceForm(r)
	}
	a.show(w, r, by, shown{title: "Modules", active: "/modules", notice: notice, status: status, body: []Node{
		web.Heading("Modules", "Channels and tools that run in the sandbox. Each reaches what its manifest lists and you granted, and nothing else."),
		boosted(web.Card("Installed", list), web.Card("Install or upgrade", planned)),
	}})
}

// module shows one: by whom it is, what it may do, how its channels are.
func (a *Admin) module(m operator.Module, running []gateway.ChannelStatus) Node {
	by := "nobody signed it"
	if m.Current.Publisher != "" {
		by = "by " + m.Current.Publisher
	}
	action := "/modules/" + url.PathEscape(m.ID)
	var back Node
	if len(m.Before) > 0 {
		back = ask("Roll back", "Go back to version "+m.Before[0].Version+"? Nothing is lost.", action+"/rollback")
	}
	return Group{
		Div(Class("what"),
			Strong(Text(m.ID+" "+m.Current.Version), modulePills(m)),
			Small(Class("mono"), Text(by)),
			Small(Text("installed "), web.Ago(m.Current.Installed, a.o.Now()), Textf(" · %d failed calls since the start", m.Faults)),
			If(m.Quarantined != "", Small(Text(sentence("in quarantine: "+m.Quarantined)))),
			brokenBefore(m),
			Map(running, func(c gateway.ChannelStatus) Node { return moduleChannel(m, c) }),
			Details(Summary(Text("What it may do")), Ul(Map(m.Current.Grants, func(g string) Node { return Li(Text(sentence(g))) }))),
		),
		Div(Class("actions"), back, If(len(m.Channels) == 0, ask("Remove", "Remove "+m.ID+" and all its versions?", action+"/remove"))),
	}
}

func modulePills(m operator.Module) Node {
	switch {
	case m.Quarantined != "":
		return web.Pill(web.Bad, "in quarantine")
	case m.Dev:
		return web.Pill(web.Busy, "nobody vouches for it")
	}
	return nil
}

// brokenBefore tells of a version that was taken back by itself.
func brokenBefore(m operator.Module) Node {
	if len(m.Before) == 0 || m.Before[0].Broke == "" {
		return nil
	}
	return Small(Textf("Version %s broke at its start and was taken back: %s", m.Before[0].Version, m.Before[0].Broke))
}

// moduleChannel shows how a channel of the module is; nothing for others.
func moduleChannel(m operator.Module, c gateway.ChannelStatus) Node {
	if !slices.Contains(m.Channels, c.ID) {
		return nil
	}
	tone := web.Good
	if c.Phase != channels.Connected && c.Phase != channels.Standby {
		tone = web.Busy
	}
	if c.Phase == channels.Broken {
		tone = web.Bad
	}
	return Small(A(Href("/channels"), Text(string(c.ID))), web.Pill(tone, string(c.Phase)), If(c.Error != "", Text(" "+c.Error)))
}

// sourceForm asks where a package is.
func sourceForm(r *http.Request) Node {
	return Form(Class("form"), Method("post"), Action("/modules/plan"),
		web.Field("source", "Address", "https, with #sha256= and the package's sum behind it. Nothing is changed yet.",
			Input(ID("source"), Name("source"), Type("url"), Required(), Value(r.PostFormValue("source")), AutoComplete("off"), Attr("spellcheck", "false"), Placeholder("https://…/mychat-1.1.0.gwm#sha256=…"))),
		Div(Class("actions"), Button(Class("primary"), Type("submit"), Text("Look at it"))),
	)
}

// fetched gets the package that a form names.
func (a *Admin) fetched(r *http.Request, by scope.Scope) ([]byte, error) {
	from, sum, _ := strings.Cut(strings.TrimSpace(r.PostFormValue("source")), "#sha256=")
	return a.o.Operator.FetchModule(r.Context(), by, from, sum)
}

func (a *Admin) planModule(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	pkg, err := a.fetched(r, by)
	var plan shelf.Plan
	if err == nil {
		plan, err = a.o.Operator.PlanModule(r.Context(), by, pkg, false)
	}
	if err != nil {
		a.modulesFailed(w, r, by, err)
		return
	}
	a.showModules(w, r, by, nil, agreement(plan, r.PostFormValue("source")), http.StatusOK)
}

// agreement shows what somebody is about to grant.
func agreement(p shelf.Plan, source string) Node {
	title := "Version " + p.Version + " of " + p.ID + ", by " + p.Publisher + ", is new here. It wants:"
	if p.From != "" {
		title = "Version " + p.Version + " of " + p.ID + " in place of " + p.From + ", by the same publisher. It wants in addition:"
	}
	wants := Ul(Map(p.More, func(s string) Node { return Li(Text(sentence(s))) }))
	if len(p.More) == 0 {
		wants = P(Text("Nothing."))
	}
	return Group{
		P(Text(title)), wants,
		If(len(p.Less) > 0, Group{P(Text("It does not want any more:")), Ul(Map(p.Less, func(s string) Node { return Li(Text(sentence(s))) }))}),
		Form(Class("form"), Method("post"), Action("/modules"),
			Input(Type("hidden"), Name("source"), Value(source)), Input(Type("hidden"), Name("sum"), Value(p.Sum)),
			P(Class("small"), Text("Its tests are made here first, on both engines. The channels go over to it without losing anything.")),
			Div(Class("actions"), Button(Class("primary"), Type("submit"), Text("Grant it, and put it into use")), A(Class("button"), Href("/modules"), Text("Leave it")))),
	}
}

func (a *Admin) installModule(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	pkg, err := a.fetched(r, by)
	var m operator.Module
	if err == nil {
		m, err = a.o.Operator.InstallModule(r.Context(), by, pkg, r.PostFormValue("sum"), false)
	}
	if err != nil {
		a.modulesFailed(w, r, by, err)
		return
	}
	a.showModules(w, r, by, web.Notice(web.Good, P(Textf("%s %s is in use; it passed its tests.", m.ID, m.Current.Version))), nil, http.StatusOK)
}

func (a *Admin) rollbackModule(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	m, err := a.o.Operator.RollbackModule(r.Context(), by, r.PathValue("id"), "")
	if err != nil {
		a.modulesFailed(w, r, by, err)
		return
	}
	a.showModules(w, r, by, web.Notice(web.Good, P(Textf("%s is at version %s again.", m.ID, m.Current.Version))), nil, http.StatusOK)
}

func (a *Admin) removeModule(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	id := r.PathValue("id")
	if err := a.o.Operator.RemoveModule(r.Context(), by, id); err != nil {
		a.modulesFailed(w, r, by, err)
		return
	}
	a.showModules(w, r, by, web.Notice(web.Good, P(Textf("%s was removed.", id))), nil, http.StatusOK)
}

func (a *Admin) modulesFailed(w http.ResponseWriter, r *http.Request, by scope.Scope, err error) {
	n, status := a.notice(r, err)
	a.showModules(w, r, by, n, nil, status)
}
