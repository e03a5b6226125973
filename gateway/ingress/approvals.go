package ingress

import (
	"net/http"
	"net/url"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/gateway/approval"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
)

func (a *Admin) approvalsPage(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.showApprovals(w, r, by, nil, http.StatusOK)
}

func (a *Admin) showApprovals(w http.ResponseWriter, r *http.Request, by scope.Scope, notice Node, status int) {
	all, err := a.o.Operator.Approvals(r.Context(), by)
	if err != nil {
		a.failed(w, r, by, "/approvals", "Approvals", err)
		return
	}
	a.show(w, r, by, shown{title: "Approvals", active: "/approvals", notice: notice, status: status, body: []Node{
		web.Heading("Approvals", "What the agent asks, and what it was allowed for longer."),
		boosted(
			Span(Attr("hidden"), Attr("hx-get", "/approvals"), Attr("hx-trigger", "every 5s"), Attr("hx-target", "#questions"),
				Attr("hx-select", "#questions"), Attr("hx-swap", "outerHTML")),
			Div(ID("questions"), web.Live(), web.Card("Waiting for an answer", a.questions(all.Questions))),
			web.Card("Allowed for longer", a.standings(all.Standings)),
		),
	}})
}

func (a *Admin) questions(all []approval.Question) Node {
	if len(all) == 0 {
		return web.Empty(web.Shield, "Nothing is asked", "When a turn wants to do something that needs a person, it appears here and in the chat.")
	}
	return Ul(Class("list"), Map(all, func(q approval.Question) Node {
		at := "/approvals/" + url.PathEscape(q.ID)
		return Li(
			Div(Class("what"),
				Strong(Text(q.Tool), If(q.Target != "", Code(Text(q.Target)))),
				Small(Code(Text(q.Summary))),
				Small(Textf("for %s on %s · asked ", q.Requester.Member, q.Where.Channel), web.Ago(q.Asked, a.o.Now())),
			),
			Div(Class("actions"),
				Form(Method("post"), Action(at+"/allow"), Button(Class("primary"), Type("submit"), Text("Allow once"))),
				Form(Method("post"), Action(at+"/deny"), Button(Class("danger"), Type("submit"), Text("Deny"))),
			),
		)
	}))
}

func (a *Admin) standings(all []approval.Standing) Node {
	if len(all) == 0 {
		return web.Empty(web.Shield, "Nothing is allowed for longer", "A yes for a conversation or for 30 days appears here, and can be taken back.")
	}
	return Ul(Class("list"), Map(all, func(s approval.Standing) Node {
		where := "everywhere"
		if s.Conversation != "" {
			where = "in one conversation"
		}
		return Li(
			Div(Class("what"),
				Strong(Text(s.Tool), If(s.Target != "", Code(Text(s.Target)))),
				Small(Textf("for %s, %s · allowed by %s ", s.Member, where, s.By), web.Ago(s.Since, a.o.Now())),
			),
			Div(Class("actions"),
				Form(Method("post"), Action("/approvals/"+url.PathEscape(s.ID)+"/revoke"), Button(Class("danger"), Type("submit"), Text("Revoke"))),
			),
		)
	}))
}

func (a *Admin) allowCall(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.decideCall(w, r, by, approval.Answer{Outcome: approval.Approved, Extent: approval.Once}, "Allowed. The agent goes on.")
}

func (a *Admin) denyCall(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.decideCall(w, r, by, approval.Answer{Outcome: approval.Refused}, "Not allowed. The agent is told.")
}

func (a *Admin) decideCall(w http.ResponseWriter, r *http.Request, by scope.Scope, answer approval.Answer, done string) {
	_, err := a.o.Operator.Decide(r.Context(), by, r.PathValue("id"), answer)
	a.toldApprovals(w, r, by, err, done)
}

func (a *Admin) revokeApproval(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	_, err := a.o.Operator.RevokeApproval(r.Context(), by, r.PathValue("id"))
	a.toldApprovals(w, r, by, err, "Revoked. The agent asks again from now on.")
}

func (a *Admin) toldApprovals(w http.ResponseWriter, r *http.Request, by scope.Scope, err error, done string) {
	if err != nil {
		n, status := a.notice(r, err)
		a.showApprovals(w, r, by, n, status)
		return
	}
	a.showApprovals(w, r, by, web.Notice(web.Good, P(Text(done))), http.StatusOK)
}
