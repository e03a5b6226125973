package ingress

import (
	"net/http"
	"net/url"
	"strings"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
)

func (a *Admin) workspacesPage(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.showWorkspaces(w, r, by, nil, http.StatusOK)
}

func (a *Admin) showWorkspaces(w http.ResponseWriter, r *http.Request, by scope.Scope, notice Node, status int) {
	all, err := a.o.Operator.Workspaces(r.Context(), by)
	if err != nil {
		a.failed(w, r, by, "/workspaces", "Workspaces", err)
		return
	}
	owns := by.Role().May(scope.Own)
	a.show(w, r, by, shown{title: "Workspaces", active: "/workspaces", notice: notice, status: status, body: []Node{
		web.Heading("Workspaces", "Each has people, channels, secrets and conversations of its own, and knows nothing of the others."),
		boosted(
			web.Card("All workspaces", Ul(Class("list"), Map(all, func(x identity.Workspace) Node { return Li(a.workspace(x, owns)) }))),
			If(owns, web.Card("Make a workspace", workspaceForm(r, status != http.StatusOK))),
		),
	}})
}

func (a *Admin) workspace(x identity.Workspace, owns bool) Node {
	home := x.ID == a.o.Directory.Home()
	at := "/workspaces/" + url.PathEscape(x.ID)
	return Group{
		Div(Class("what"),
			Strong(Text(x.Name), If(home, web.Pill(web.Good, "looks after all others")), If(x.Ending, web.Pill(web.Busy, "being deleted"))),
			Small(Code(Text(x.ID)), If(!x.Created.IsZero(), Group{Text(" · made "), web.Ago(x.Created, a.o.Now())})),
		),
		If(owns && !x.Ending, Div(Class("actions"),
			Details(Class("ask"), Summary(Class("button"), Role("button"), Text("Rename")),
				Form(Class("row"), Method("post"), Action(at+"/rename"),
					Input(Name("name"), Value(x.Name), Required(), MaxLength("80"), AutoComplete("off"), Aria("label", "New name of "+x.Name)),
					Button(Class("primary"), Type("submit"), Text("Rename")))),
			If(!home, deletion(x, at+"/delete")),
		)),
	}
}

// deletion asks for the id: nothing brings a workspace back.
func deletion(x identity.Workspace, action string) Node {
	return Details(Class("ask"), Summary(Class("button danger"), Role("button"), Text("Delete")),
		Form(Class("form"), Method("post"), Action(action),
			P(Class("small"), Text("Its members, secrets and conversations are gone for good. Its channels have to be removed before. To delete it, write "), Code(Text(x.ID)), Text(".")),
			Div(Class("row"),
				Input(Name("confirm"), Required(), AutoComplete("off"), Attr("autocapitalize", "none"), Attr("spellcheck", "false"), Aria("label", "The id of "+x.Name)),
				Button(Class("danger"), Type("submit"), Text("Delete for good")))))
}

func workspaceForm(r *http.Request, keep bool) Node {
	id, name := "", ""
	if keep {
		id, name = r.PostFormValue("id"), r.PostFormValue("name")
	}
	return Form(Class("form"), Method("post"), Action("/workspaces"),
		web.Field("id", "Id", "Small letters, digits, hyphens and underscores. It stays.",
			Input(ID("id"), Name("id"), Required(), Value(id), MaxLength("40"), AutoComplete("off"), Attr("autocapitalize", "none"), Attr("spellcheck", "false"))),
		web.Field("name", "Name", "", Input(ID("name"), Name("name"), Value(name), MaxLength("80"), AutoComplete("off"))),
		Div(Class("actions"), Button(Class("primary"), Type("submit"), Text("Make it"))),
	)
}

func (a *Admin) createWorkspace(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	x, err := a.o.Operator.CreateWorkspace(r.Context(), by, strings.TrimSpace(r.PostFormValue("id")), strings.TrimSpace(r.PostFormValue("name")))
	a.toldWorkspaces(w, r, by, err, P(Textf("%s is there.", x.Name)),
		P(Class("small"), Text("On the machine that runs Gatehouse, "), Code(Textf("gatehouse channels add telegram --workspace %s", x.ID)), Text(" gives it a channel, and "),
			Code(Textf("gatehouse members invite --workspace %s", x.ID)), Text(" invites its people.")))
}

func (a *Admin) renameWorkspace(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	x, err := a.o.Operator.RenameWorkspace(r.Context(), by, r.PathValue("id"), strings.TrimSpace(r.PostFormValue("name")))
	a.toldWorkspaces(w, r, by, err, P(Textf("It is called %s from now on.", x.Name)))
}

func (a *Admin) deleteWorkspace(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	id := r.PathValue("id")
	if strings.TrimSpace(r.PostFormValue("confirm")) != id {
		a.showWorkspaces(w, r, by, web.Notice(web.Bad, P(Textf("Nothing was deleted. To delete it, write its id: %s", id))), http.StatusUnprocessableEntity)
		return
	}
	a.toldWorkspaces(w, r, by, a.o.Operator.DeleteWorkspace(r.Context(), by, id), P(Textf("%s is deleted.", id)))
}

// toldWorkspaces shows the page again, with how an action ended.
func (a *Admin) toldWorkspaces(w http.ResponseWriter, r *http.Request, by scope.Scope, err error, said ...Node) {
	if err != nil {
		n, status := a.notice(r, err)
		a.showWorkspaces(w, r, by, n, status)
		return
	}
	a.showWorkspaces(w, r, by, web.Notice(web.Good, said...), http.StatusOK)
}
