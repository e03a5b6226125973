package ingress

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
)

// auditSteps are how many entries a page shows: at first, and then on demand.
// More than the last are for `gatehouse audit export`.
var auditSteps = []int{100, 1000}

// kindWords say what the kinds of entries are about.
var kindWords = map[audit.Kind]string{
	audit.Secret: "Secrets", audit.Model: "Models", audit.Tool: "Tools", audit.Egress: "Ways out", audit.Approval: "Approvals", audit.Errand: "Errands",
	audit.Admin: "Changes", audit.Record: "This log",
}

func (a *Admin) auditPage(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.showAudit(w, r, by, nil)
}

func (a *Admin) showAudit(w http.ResponseWriter, r *http.Request, by scope.Scope, notice Node) {
	q := audit.Query{Member: r.FormValue("member"), Failed: r.FormValue("failed") != ""}
	if k := audit.Kind(r.FormValue("kind")); slices.Contains(audit.Kinds(), k) {
		q.Kinds = []audit.Kind{k}
	}
	most := auditSteps[0]
	if r.FormValue("more") != "" {
		most = auditSteps[1]
	}
	all, err := a.o.Operator.AuditEntries(r.Context(), by, q, most)
	if err != nil {
		a.failed(w, r, by, "/audit", "Audit", err)
		return
	}
	members, err := a.o.Directory.Members(r.Context())
	if err != nil {
		a.failed(w, r, by, "/audit", "Audit", err)
		return
	}
	slices.Reverse(all)
	a.show(w, r, by, shown{title: "Audit", active: "/audit", notice: notice, body: []Node{
		web.Heading("Audit", "What was done with secrets, models, tools and power: who, what, where to. Never a value, never a text."),
		boosted(
			web.Card("", auditFilter(q, members), a.entries(all, names(members)), moreEntries(r, q, len(all) == most)),
			web.Card("Is it whole?",
				P(Text("Each entry is checked against the one before it, and against the signed checkpoints outside of the database.")),
				Form(Method("post"), Action("/audit/verify"), Button(Type("submit"), Text("Verify")))),
		),
	}})
}

func auditFilter(q audit.Query, members []identity.Member) Node {
	chosen := audit.Kind("")
	if len(q.Kinds) > 0 {
		chosen = q.Kinds[0]
	}
	option := func(value, text string, selected bool) Node {
		return Option(Value(value), If(selected, Selected()), Text(text))
	}
	return Form(Class("filter"), Method("get"), Action("/audit"),
		web.Field("kind", "Kind", "", Select(ID("kind"), Name("kind"), option("", "All", chosen == ""),
			Map(audit.Kinds(), func(k audit.Kind) Node { return option(string(k), kindWords[k], k == chosen) }))),
		web.Field("member", "Who", "", Select(ID("member"), Name("member"), option("", "Everybody", q.Member == ""),
			option("gateway", "The gateway itself", q.Member == "gateway"),
			Map(members, func(m identity.Member) Node { return option(m.ID, cmp.Or(m.Name, m.ID), m.ID == q.Member) }))),
		web.Field("failed", "Outcome", "", Select(ID("failed"), Name("failed"), option("", "All", !q.Failed), option("1", "Refused or failed", q.Failed))),
		Button(Type("submit"), Text("Show")),
	)
}

// names are the members' names by id.
func names(members []identity.Member) map[string]string {
	all := map[string]string{}
	for _, m := range members {
		all[m.ID] = m.Name
	}
	return all
}

func (a *Admin) entries(all []audit.Entry, called map[string]string) Node {
	if len(all) == 0 {
		return web.Empty(web.Book, "There are no such entries", "What is done with secrets, models, tools and power is recorded here, within a second.")
	}
	return Ul(Class("list entries"), Map(all, func(e audit.Entry) Node {
		who := cmp.Or(called[e.By.Member], e.By.Member, "nobody")
		outcome := If(e.Err != "", web.Pill(web.Bad, "failed"))
		return Li(Div(Class("what"),
			Strong(Text(sentenceStart(e.Do)), If(e.On != "", Code(Text(e.On))), If(e.Count > 1, Small(Textf("×%d", e.Count))), web.Pill(web.Quiet, string(e.Kind)), outcome),
			Small(Textf("#%d · %s", e.Seq, who), If(e.By.Workspace != "" && e.By.Workspace != a.o.Directory.Home(), Textf(" of %s", e.By.Workspace)),
				If(e.To != "", Textf(" · to %s", e.To)), If(e.For != "", Textf(" · for %s", e.For)), Text(" · "), web.Ago(e.At, a.o.Now())),
			If(e.Err != "", Small(Text(sentence(e.Err)))),
		))
	}))
}

// moreEntries leads on where a page was full.
func moreEntries(r *http.Request, q audit.Query, full bool) Node {
	switch {
	case !full:
		return nil
	case r.FormValue("more") != "":
		return P(Class("muted after"), Textf("These are the last %d. ", auditSteps[1]), Code(Text("gatehouse audit export")), Text(" writes all of them."))
	}
	v := url.Values{"more": {"1"}, "member": {q.Member}, "kind": {r.FormValue("kind")}, "failed": {r.FormValue("failed")}}
	return P(Class("after"), A(Href("/audit?"+v.Encode()), Text("Show more")))
}

func (a *Admin) verifyAudit(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	found, err := a.o.Operator.VerifyAudit(r.Context(), by)
	if err != nil {
		a.failed(w, r, by, "/audit", "Audit", err)
		return
	}
	a.showAudit(w, r, by, verdict(found))
}

// verdict says what a check of the log has found.
func verdict(found operator.Audited) Node {
	if found.Fault != "" {
		return web.Notice(web.Bad, P(Strong(Text("It is not whole."))), P(Text(sentence(found.Fault))),
			P(Class("small"), Text("Somebody has changed the database from outside. Keep a copy of it, and replace the secrets.")))
	}
	text := strconv.Itoa(found.Entries) + " entries hold together"
	if found.Entries == 1 {
		text = "1 entry holds together"
	}
	covered := "There is no checkpoint yet."
	if found.Checkpoints > 0 {
		covered = strconv.Itoa(found.Checkpoints) + " checkpoints agree; the last covers entry " + strconv.FormatInt(found.Covered, 10) + "."
	}
	return web.Notice(web.Good, P(Strong(Textf("It is whole: %s.", text))), P(Class("small"), Text(covered)))
}
