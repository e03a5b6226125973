package ingress

import (
	"errors"
	"net/http"
	"strings"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/gateway/login"
	"github.com/gatehouse-chat/gatehouse/internal/web"
)

// loginPage takes the secret out of the link's fragment and posts it. A preview
// of the link, which at most gets this page, uses nothing up.
func (a *Admin) loginPage(w http.ResponseWriter, r *http.Request) {
	a.showLogin(w, r, http.StatusOK, "")
}

func (a *Admin) showLogin(w http.ResponseWriter, r *http.Request, status int, fault string) {
	_, err := a.who(r)
	write(w, status, web.Bare(web.Props{Title: "Log in", Scripts: []string{web.Static.URL("login.js")}},
		Div(Class("brand"), web.Gate.Node(), Span(Text("Gatehouse"))),
		Div(Class("card"),
			If(fault != "", web.Notice(web.Bad, P(Text(fault)), P(Class("small"), Text("Make a new one on the machine that runs Gatehouse: "), Code(Text("gatehouse login"))))),
			H1(Text("Log in")),
			P(Class("muted"), Text("Open the link that "), Code(Text("gatehouse run")), Text(" or "), Code(Text("gatehouse login")),
				Text(" has printed. It works once, within ten minutes.")),
			Form(ID("login"), Class("form"), Method("post"), Action("/login"),
				web.Field("token", "Or paste the link here", "", Input(ID("token"), Name("token"), Type("password"), AutoComplete("off"), Required(), Attr("spellcheck", "false"))),
				Button(Class("primary"), Type("submit"), Text("Log in")),
			),
			If(err == nil, P(Text("You are logged in already. "), A(Href("/"), Text("Go on to the console")), Text("."))),
		),
	))
}

// maxLogin bounds the body of a login, in bytes.
const maxLogin = 4 << 10

// login uses a link up.
func (a *Admin) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxLogin)
	token := strings.TrimSpace(r.PostFormValue("token"))
	if _, after, ok := strings.Cut(token, "#"); ok { // the whole link was pasted
		token = after
	}
	secret, err := a.o.Book.Redeem(r.Context(), token, visitor(r))
	switch {
	case errors.Is(err, login.ErrUsed):
		if _, err := a.who(r); err == nil { // a reload of the page that has logged in
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		a.showLogin(w, r, http.StatusUnauthorized, "This login link was used already or has expired.")
		return
	case err != nil:
		a.fault(w, r, err)
		return
	}
	a.o.Log.Info("logged in to the console")
	a.cookies.set(w, secret)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (a *Admin) logout(w http.ResponseWriter, r *http.Request) {
	if err := a.o.Book.End(r.Context(), a.cookies.secret(r)); err != nil {
		a.fault(w, r, err)
		return
	}
	a.cookies.set(w, "")
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// turnAway answers a request without a login: a person is sent to the login
// page, a script is told.
func (a *Admin) turnAway(w http.ResponseWriter, r *http.Request, err error) {
	if !errors.Is(err, login.ErrNobody) {
		a.fault(w, r, err)
		return
	}
	switch {
	case r.Header.Get("Hx-Request") != "":
		w.Header().Set("Hx-Redirect", "/login")
		w.WriteHeader(http.StatusUnauthorized)
	case strings.HasPrefix(r.URL.Path, "/chat/api/"):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"log in first"}` + "\n"))
	case r.Method == http.MethodGet:
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	default:
		a.showLogin(w, r, http.StatusUnauthorized, "You are not logged in any more.")
	}
}

// write sends a page.
func write(w http.ResponseWriter, status int, n Node) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = n.Render(w) // the browser is gone; there is nobody to tell
}
