package ingress

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
)

func (a *Admin) peoplePage(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.showPeople(w, r, by, nil, http.StatusOK)
}

func (a *Admin) showPeople(w http.ResponseWriter, r *http.Request, by scope.Scope, notice Node, status int) {
	asked, err := a.o.Operator.Pairings(r.Context(), by)
	if err != nil {
		a.failed(w, r, by, "/people", "People", err)
		return
	}
	members, links, err := a.o.Operator.People(r.Context(), by)
	if err != nil {
		a.failed(w, r, by, "/people", "People", err)
		return
	}
	rooms, err := a.o.Operator.Rooms(r.Context(), by)
	if err != nil {
		a.failed(w, r, by, "/people", "People", err)
		return
	}
	open, err := a.o.Operator.Invitations(r.Context(), by)
	if err != nil {
		a.failed(w, r, by, "/people", "People", err)
		return
	}
	bots, err := a.bots(r, by)
	if err != nil {
		a.failed(w, r, by, "/people", "People", err)
		return
	}
	admin := by.Role().Administers()
	a.show(w, r, by, shown{title: "People", active: "/people", notice: notice, status: status, body: []Node{
		web.Heading("People", "Who may talk to your bot, and who asks to."),
		boosted(
			renewed("/people", "asking"),
			Div(ID("asking"), web.Live(), web.Card("Asking to be let in", a.requests(asked))),
			web.Card("Members", Ul(Class("list"), Map(members, func(m identity.Member) Node {
				return Li(a.member(m, links, m.ID == by.Member()), If(admin && m.ID != by.Member(), memberForms(m)))
			}))),
			a.invitations(by, open, bots),
			web.Card("Rooms", a.rooms(rooms, admin)),
		),
	}})
}

func (a *Admin) requests(asked []identity.Pairing) Node {
	if len(asked) == 0 {
		return web.Empty(web.People, "Nobody is waiting", "When somebody new writes to the bot, they get a code and appear here. What they wrote is answered as soon as you let them in.")
	}
	return Ul(Class("list"), Map(asked, func(p identity.Pairing) Node {
		at := "/people/" + url.PathEscape(p.ID)
		return Li(
			Div(Class("what"),
				Strong(Text(name(p)), Code(Text(p.Who.ID))),
				Small(Textf("on %s · asked ", p.Where.Channel), web.Ago(p.Created, a.o.Now())),
			),
			Div(Class("actions"),
				Form(Method("post"), Action(at+"/approve"), Button(Class("primary"), Type("submit"), Text("Approve"))),
				Form(Method("post"), Action(at+"/deny"), Button(Class("danger"), Type("submit"), Text("Deny"))),
			),
		)
	}))
}

// name is what a stranger calls himself; it decides nothing.
func name(p identity.Pairing) string {
	switch {
	case p.Who.Name != "" && p.Who.Handle != "":
		return p.Who.Name + " (@" + p.Who.Handle + ")"
	case p.Who.Name != "":
		return p.Who.Name
	case p.Who.Handle != "":
		return "@" + p.Who.Handle
	}
	return "somebody without a name"
}

func (a *Admin) member(m identity.Member, links []identity.Link, you bool) Node {
	own := slices.DeleteFunc(slices.Clone(links), func(l identity.Link) bool { return l.Member != m.ID })
	called := m.Name
	if called == "" {
		called = m.ID
	}
	return Group{
		Div(Class("what"),
			Strong(Text(called), If(you, Text(" (you)")), web.Pill(web.Quiet, string(m.Role))),
			If(len(own) == 0, Small(Text("known on this console alone"))),
			Map(own, func(l identity.Link) Node {
				who := l.Name
				if who == "" {
					who = l.Sender
				}
				return Small(Textf("%s on %s · linked ", who, l.Channel), web.Ago(l.At, a.o.Now()))
			}),
		),
	}
}

// badge answers with the number of requests, for the navigation.
func (a *Admin) badge(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	for _, e := range a.frame(r.Context(), by, "").Nav {
		if e.Href == "/people" {
			write(w, http.StatusOK, web.Badge(e))
		}
	}
}

func (a *Admin) approve(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.decide(w, r, by, a.o.Operator.Approve, "%s was let in. What they wrote is being answered.")
}

func (a *Admin) deny(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.decide(w, r, by, a.o.Operator.Deny, "%s was refused. They can ask again in an hour.")
}

func (a *Admin) decide(w http.ResponseWriter, r *http.Request, by scope.Scope,
	do func(context.Context, scope.Scope, string) (identity.Pairing, error), said string,
) {
	p, err := do(r.Context(), by, r.PathValue("code"))
	if err != nil {
		n, status := a.notice(r, err)
		a.showPeople(w, r, by, n, status)
		return
	}
	w.Header().Set("HX-Trigger", web.Fewer) // the number in the navigation is outside of what is shown anew
	a.showPeople(w, r, by, web.Notice(web.Good, P(Textf(said, name(p)))), http.StatusOK)
}
