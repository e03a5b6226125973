package ingress

import (
	"cmp"
	"context"
	"net/http"
	"net/url"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/gateway/login"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
)

func (a *Admin) loginsPage(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.showLogins(w, r, by, nil, http.StatusOK)
}

func (a *Admin) showLogins(w http.ResponseWriter, r *http.Request, by scope.Scope, notice Node, status int) {
	all, err := a.o.Operator.Logins(r.Context(), by)
	if err != nil {
		a.failed(w, r, by, "/logins", "Logins", err)
		return
	}
	own := login.ID(a.cookies.secret(r))
	a.show(w, r, by, shown{title: "Logins", active: "/logins", notice: notice, status: status, body: []Node{
		web.Heading("Logins", "The browsers that are logged in to this console."),
		boosted(
			web.Card("Browsers", a.loginList(r.Context(), all, own)),
			If(len(all) > 1 || len(all) == 1 && all[0].ID != own, web.Card("Log everybody out",
				P(Class("muted"), Text("All browsers have to log in again, this one too, and login links that were not used yet no longer work.")),
				Form(Method("post"), Action("/logins/revoke"), Button(Class("danger"), Type("submit"), Text("Log everybody out"))),
			)),
		),
	}})
}

func (a *Admin) loginList(ctx context.Context, all []login.Session, own string) Node {
	if len(all) == 0 {
		return web.Empty(web.Screen, "No browser is logged in", "You are here through a proxy that vouches for you. `gatehouse login` makes a link that logs a browser in.")
	}
	members, _ := a.o.Directory.Members(ctx) // without them there are ids
	called := names(members)
	now := a.o.Now()
	return Ul(Class("list"), Map(all, func(s login.Session) Node {
		return Li(
			Div(Class("what"),
				Strong(Text(cmp.Or(s.Browser, "an unknown browser")), If(s.ID == own, web.Pill(web.Good, "this browser"))),
				Small(Text(cmp.Or(called[s.Member], s.Member)), If(s.Addr != "", Textf(" · from %s", s.Addr)),
					Text(" · logged in "), web.Ago(s.Created, now), Text(" · used "), web.Ago(s.Seen, now)),
			),
			Div(Class("actions"), Form(Method("post"), Action("/logins/"+url.PathEscape(s.ID)+"/revoke"),
				Button(Class("danger"), Type("submit"), Aria("label", "Log out "+s.Browser), Text("Log out")))),
		)
	}))
}

func (a *Admin) revokeLogin(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	id := r.PathValue("id")
	if err := a.o.Operator.RevokeLogin(r.Context(), by, id); err != nil {
		n, status := a.notice(r, err)
		a.showLogins(w, r, by, n, status)
		return
	}
	if id == login.ID(a.cookies.secret(r)) {
		a.away(w, r)
		return
	}
	a.showLogins(w, r, by, web.Notice(web.Good, P(Text("That browser is logged out."))), http.StatusOK)
}

func (a *Admin) revokeLogins(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	if _, err := a.o.Operator.RevokeLogins(r.Context(), by, ""); err != nil {
		n, status := a.notice(r, err)
		a.showLogins(w, r, by, n, status)
		return
	}
	a.away(w, r)
}

// away sends a browser that has just been logged out to the login page. htmx
// would put that page into this one.
func (a *Admin) away(w http.ResponseWriter, r *http.Request) {
	a.cookies.set(w, "")
	if r.Header.Get("Hx-Request") != "" {
		w.Header().Set("Hx-Redirect", "/login")
		return
	}
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
