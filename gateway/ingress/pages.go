package ingress

import (
	"context"
	"errors"
	"net/http"
	"strings"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/login"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
	"github.com/gatehouse-chat/gatehouse/vault"
)

// pages are what somebody who is logged in can ask for.
func (a *Admin) pages() map[string]page {
	all := map[string]page{
		"GET /{$}": func(w http.ResponseWriter, r *http.Request, _ scope.Scope) {
			http.Redirect(w, r, "/chat", http.StatusSeeOther)
		},
		"/chat":  a.chat,
		"/chat/": a.chat,
	}
	for right, some := range a.rightful() {
		for pattern, p := range some {
			all[pattern] = a.guarded(right, p)
		}
	}
	return all
}

// rightful are the pages by the right that somebody needs for them. The operator
// checks it again for everything that it does.
func (a *Admin) rightful() map[scope.Right]map[string]page {
	return map[scope.Right]map[string]page{
		scope.Console:    a.ownPages(),
		scope.See:        {"GET /people": a.peoplePage, "GET /people/badge": a.badge},
		scope.Approve:    a.approvePages(),
		scope.Administer: a.administerPages(),
		scope.Own: {
			"POST /workspaces":             a.createWorkspace,
			"POST /workspaces/{id}/rename": a.renameWorkspace,
			"POST /workspaces/{id}/delete": a.deleteWorkspace,
		},
	}
}

// approvePages are for those who answer for others.
func (a *Admin) approvePages() map[string]page {
	return map[string]page{
		"POST /people/{code}/approve": a.approve,
		"POST /people/{code}/deny":    a.deny,
		"GET /approvals":              a.approvalsPage,
		"POST /approvals/{id}/allow":  a.allowCall,
		"POST /approvals/{id}/deny":   a.denyCall,
		"POST /approvals/{id}/revoke": a.revokeApproval,
	}
}

// ownPages are what members look after themselves.
func (a *Admin) ownPages() map[string]page {
	return map[string]page{
		"GET /you":                        a.youPage,
		"POST /you/name":                  a.renameSelf,
		"POST /you/code":                  a.linkSelf,
		"POST /you/unlink":                a.unlinkSelf,
		"POST /you/secrets":               a.setOwnSecret,
		"GET /memory":                     a.memoryPage,
		"POST /memory":                    a.keepMemory,
		"GET /memory/{id}":                a.memoryItemPage,
		"POST /memory/{id}":               a.editMemory,
		"POST /memory/{id}/forget":        a.forgetMemory,
		"POST /you/secrets/{name}/rotate": a.rotateOwnSecret,
		"POST /you/secrets/{name}/delete": a.deleteOwnSecret,
	}
}

// administerPages are for those who administer.
func (a *Admin) administerPages() map[string]page {
	return map[string]page{
		"GET /status":                            a.statusPage,
		"GET /channels":                          a.channelsPage,
		"POST /channels":                         a.addChannel,
		"POST /channels/{id}/connect":            a.connectChannel,
		"POST /channels/{id}/check":              a.checkChannel,
		"POST /channels/{id}/link":               a.linkChannel,
		"POST /channels/{id}/remove":             a.removeChannel,
		"POST /pause":                            a.pause,
		"POST /resume":                           a.resume,
		"GET /models":                            a.modelsPage,
		"POST /models":                           a.setModel,
		"GET /modules":                           a.modulesPage,
		"POST /modules":                          a.installModule,
		"POST /modules/plan":                     a.planModule,
		"POST /modules/{id}/rollback":            a.rollbackModule,
		"POST /modules/{id}/remove":              a.removeModule,
		"POST /people/{id}/role":                 a.setRole,
		"POST /people/{id}/remove":               a.removeMember,
		"POST /people/{id}/erase":                a.eraseMember,
		"POST /people/invitations":               a.invite,
		"POST /people/invitations/{id}/withdraw": a.withdraw,
		"POST /people/rooms/admit":               a.admitRoom,
		"POST /people/rooms/dismiss":             a.dismissRoom,
		"GET /dead":                              a.deadPage,
		"GET /dead/{seq}":                        a.letterPage,
		"POST /dead/{seq}/replay":                a.replay,
		"POST /dead/{seq}/drop":                  a.drop,
		"GET /secrets":                           a.secretsPage,
		"POST /secrets":                          a.setSecret,
		"POST /secrets/{name}/delete":            a.deleteSecret,
		"GET /logins":                            a.loginsPage,
		"POST /logins/revoke":                    a.revokeLogins,
		"POST /logins/{id}/revoke":               a.revokeLogin,
		"GET /workspaces":                        a.workspacesPage,
		"GET /audit":                             a.auditPage,
		"POST /audit/verify":                     a.verifyAudit,
	}
}

// guarded lets only those through whose role has a right, and reads the form.
func (a *Admin) guarded(right scope.Right, p page) page {
	return func(w http.ResponseWriter, r *http.Request, by scope.Scope) {
		if !by.Role().May(right) {
			a.failed(w, r, by, "", "Not for you", identity.ErrForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			say(w, http.StatusBadRequest, "The form is broken or too large.")
			return
		}
		p(w, r, by)
	}
}

// maxForm bounds the body of a form, in bytes. The largest is a secret.
const maxForm = vault.MaxValue*3 + 4<<10

// shown is one page with how an action on it ended.
type shown struct {
	title, active string
	notice        Node
	status        int // 0: 200
	body          []Node
}

// show sends a page. A form's answer is the same page anew: htmx takes the
// main part out of it, a browser without scripts shows it whole.
func (a *Admin) show(w http.ResponseWriter, r *http.Request, by scope.Scope, s shown) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	body := s.body
	if s.notice != nil {
		body = append([]Node{body[0], s.notice}, body[1:]...)
	}
	write(w, s.status, web.Page(a.frame(r.Context(), by, s.active), web.Props{Title: s.title}, body...))
}

// boosted lets htmx send the forms of a part of the page and swap the main part.
func boosted(children ...Node) Node {
	return Div(append([]Node{
		Attr("hx-boost", "true"), Attr("hx-target", "#main"), Attr("hx-select", "#main"), Attr("hx-swap", "outerHTML show:window:top"),
		Attr("hx-push-url", "false"), Attr("hx-disabled-elt", "find button[type=submit]"),
	}, children...)...)
}

// renewed fetches a part of a page anew every few seconds, and leaves the rest
// alone, in which somebody may be typing.
func renewed(page, id string) Node {
	return Span(Attr("hidden"), Attr("hx-get", page), Attr("hx-trigger", "every 4s"), Attr("hx-target", "#"+id),
		Attr("hx-select", "#"+id), Attr("hx-swap", "outerHTML"))
}

// frame is the navigation, with what waits for the member.
func (a *Admin) frame(ctx context.Context, by scope.Scope, active string) web.Frame {
	f := web.Frame{Active: active, Who: by.Member(), Version: a.o.Version, Nav: []web.Entry{
		{Href: "/chat", Label: "Chat", Icon: web.Chat},
		{Href: "/you", Label: "You", Icon: web.Person},
	}}
	if m, err := a.o.Directory.In(by.Workspace()).Member(ctx, by.Member()); err == nil {
		f.Who = m.Name
	}
	f.Nav = append(f.Nav, a.sections(ctx, by)...)
	return f
}

// sections are the entries that somebody's rights open, in groups. What is about
// the installation is for those who administer its home.
func (a *Admin) sections(ctx context.Context, by scope.Scope) []web.Entry {
	const watch, people, settings = "Watch", "People", "Set up"
	may, home := by.Role().May, by.Workspace() == a.o.Directory.Home()
	var all []web.Entry
	add := func(ok bool, e web.Entry) {
		if ok {
			all = append(all, e)
		}
	}
	admin := may(scope.Administer)
	add(admin && home, web.Entry{Group: watch, Href: "/status", Label: "Status", Icon: web.Pulse})
	add(may(scope.Approve), web.Entry{Group: watch, Href: "/approvals", Label: "Approvals", Icon: web.Shield})
	add(admin && home, web.Entry{Group: watch, Href: "/dead", Label: "Dead letters", Icon: web.Tray})
	add(may(scope.Console), web.Entry{Group: watch, Href: "/memory", Label: "Memory", Icon: web.Ribbon})
	add(admin && home, web.Entry{Group: watch, Href: "/audit", Label: "Audit", Icon: web.Book})
	add(may(scope.See), web.Entry{Group: people, Href: "/people", Label: "People", Icon: web.People, Badge: a.waiting(ctx, by), Poll: "/people/badge"})
	add(admin && home, web.Entry{Group: people, Href: "/workspaces", Label: "Workspaces", Icon: web.House})
	add(admin && home, web.Entry{Group: people, Href: "/logins", Label: "Logins", Icon: web.Screen})
	add(admin && home, web.Entry{Group: settings, Href: "/channels", Label: "Channels", Icon: web.Plug})
	add(admin && home, web.Entry{Group: settings, Href: "/modules", Label: "Modules", Icon: web.Cube})
	add(admin && home, web.Entry{Group: settings, Href: "/models", Label: "Models", Icon: web.Spark})
	add(admin, web.Entry{Group: settings, Href: "/secrets", Label: "Secrets", Icon: web.Key})
	return all
}

// waiting counts who asks to be let in. Without an answer there is no number.
func (a *Admin) waiting(ctx context.Context, by scope.Scope) int {
	asked, err := a.o.Operator.Pairings(ctx, by)
	if err != nil {
		return 0
	}
	return len(asked)
}

// fault answers a request that failed for a reason that nobody could have
// avoided, and logs it.
func (a *Admin) fault(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return
	}
	a.o.Log.Error("console", "kind", r.Pattern, "err", err)
	write(w, http.StatusInternalServerError, web.Bare(web.Props{Title: "Something failed"},
		Div(Class("card"), H1(Text("That did not work")),
			P(Text("The gateway could not answer. Its log says why.")),
			P(A(Href(""), Text("Try again")), Text(" or "), A(Href("/status"), Text("look at the status")), Text(".")))))
}

func (a *Admin) notFound(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusNotFound, web.Bare(web.Props{Title: "Not found"},
		Div(Class("card"), H1(Text("There is no such page")), P(A(Href("/"), Text("Go to the chat"))))))
}

// refused turns an error of the operator into a notice; false when it is none
// that a person can do something about.
func refused(err error) (Node, int, bool) {
	bad := func(status int, text string, more ...Node) (Node, int, bool) {
		return web.Notice(web.Bad, append([]Node{P(step(text))}, more...)...), status, true
	}
	missing := identity.Unknown{}
	switch {
	case errors.Is(err, identity.ErrForbidden):
		return bad(http.StatusForbidden, "Only the owner or an administrator may do this.")
	case errors.As(err, &missing):
		return bad(http.StatusNotFound, sentence(missing.Short()), P(Class("small"), Text("Somebody may have been faster, or it has expired. The page shows what there is now.")))
	case errors.Is(err, identity.ErrUnknown), errors.Is(err, vault.ErrNotFound), errors.Is(err, login.ErrUnknown),
		errors.Is(err, operator.ErrUnknownModule):
		return bad(http.StatusNotFound, "It is no longer there. Somebody may have been faster, or it has expired.")
	case errors.Is(err, operator.ErrInvalid), errors.Is(err, operator.ErrConflict):
		return bad(http.StatusUnprocessableEntity, sentence(strip(err)))
	case errors.Is(err, operator.ErrStopped):
		return bad(http.StatusServiceUnavailable, "The gateway has to run for this.")
	}
	switch channels.KindOf(err) {
	case channels.Unauthorized:
		return bad(http.StatusUnprocessableEntity, "The platform does not accept this token.",
			P(Class("small"), Text("Copy it again, all of it. If it was replaced, only the newest one works.")))
	case channels.Transient, channels.RateLimited, channels.Ambiguous:
		return bad(http.StatusBadGateway, "The platform cannot be reached right now: "+sentence(err.Error()),
			P(Class("small"), Text("Check the network of the machine that runs Gatehouse, and try again.")))
	}
	return nil, 0, false
}

// strip takes the marks off on which programs branch, for people.
func strip(err error) string {
	text := err.Error()
	for _, mark := range []error{operator.ErrInvalid, operator.ErrConflict} {
		text = strings.TrimPrefix(text, mark.Error()+": ")
	}
	return text
}

// sentence begins a text with a capital and ends it with a full stop.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return s
}

// notice says why an action failed. What nobody could have foreseen is logged,
// and its text is shown to those who administer: it holds no secret.
func (a *Admin) notice(r *http.Request, err error) (Node, int) {
	if n, status, ok := refused(err); ok {
		return n, status
	}
	a.o.Log.Error("console", "kind", r.Pattern, "err", err)
	return web.Notice(web.Bad, P(Text("That did not work: "+sentence(err.Error())))), http.StatusInternalServerError
}
