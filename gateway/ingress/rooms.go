package ingress

import (
	"fmt"
	"net/http"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
)

// rooms are those that a bot was seen in, the ones that wait to be admitted
// first. Dismissed ones are not shown.
func (a *Admin) rooms(all []operator.Room, admin bool) Node {
	var shown []operator.Room
	for _, r := range all {
		if r.State != identity.RoomDismissed {
			shown = append(shown, r)
		}
	}
	if len(shown) == 0 {
		return web.Empty(web.People, "No rooms yet", "Add the bot to a group and write something there. The group then appears here, and you decide whether the bot answers in it.")
	}
	return Ul(Class("list"), Map(shown, func(r operator.Room) Node {
		called := r.Title
		if called == "" {
			called = string(r.ID)
		}
		admitted := r.State == identity.RoomAdmitted
		return Li(
			Div(Class("what"),
				Strong(Text(called), If(admitted, web.Pill(web.Good, "admitted"))),
				Small(Textf("%s on %s", r.ID, r.Channel), If(r.Settings, Text(" · by the configuration"))),
			),
			If(admin && !r.Settings, Div(Class("actions"),
				If(!admitted, roomForm(r, "/people/rooms/admit", "primary", "Admit")),
				roomForm(r, "/people/rooms/dismiss", "danger", "Dismiss"),
			)),
		)
	}))
}

func roomForm(r operator.Room, action, class, label string) Node {
	return Form(Method("post"), Action(action),
		Input(Type("hidden"), Name("channel"), Value(string(r.Channel))),
		Input(Type("hidden"), Name("account"), Value(string(r.Account))),
		Input(Type("hidden"), Name("room"), Value(string(r.ID))),
		Button(Class(class), Type("submit"), Text(label)))
}

func (a *Admin) admitRoom(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.ruled(w, r, by, a.o.Operator.AdmitRoom(r.Context(), by, roomIn(r)), "The bot answers there from now on.")
}

func (a *Admin) dismissRoom(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.ruled(w, r, by, a.o.Operator.DismissRoom(r.Context(), by, roomIn(r)), "The bot does not answer there.")
}

// roomIn is the room that a form names.
func roomIn(r *http.Request) channels.Address {
	return channels.Address{
		Channel: channels.ID(r.PostFormValue("channel")), Account: channels.AccountID(r.PostFormValue("account")),
		Conversation: channels.ConversationID(r.PostFormValue("room")),
	}
}

func (a *Admin) setRole(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	_, err := a.o.Operator.SetRole(r.Context(), by, r.PathValue("id"), scope.Role(r.PostFormValue("role")))
	a.ruled(w, r, by, err, "The role holds from now on.")
}

func (a *Admin) removeMember(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	_, err := a.o.Operator.RemoveMember(r.Context(), by, r.PathValue("id"))
	a.ruled(w, r, by, err, "They are out. Their sessions, grants and approvals have ended.")
}

func (a *Admin) eraseMember(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	done, err := a.o.Operator.EraseMember(r.Context(), by, r.PathValue("id"))
	said := "They are out, and what was kept of them is erased."
	if done.Waiting > 0 {
		said = fmt.Sprintf("They are out. %d messages are on their way and are erased when they have arrived; the rest is.", done.Waiting)
	}
	a.ruled(w, r, by, err, said)
}

// ruled shows the people again, with how an action ended.
func (a *Admin) ruled(w http.ResponseWriter, r *http.Request, by scope.Scope, err error, said string) {
	if err != nil {
		n, status := a.notice(r, err)
		a.showPeople(w, r, by, n, status)
		return
	}
	a.showPeople(w, r, by, web.Notice(web.Good, P(Text(said))), http.StatusOK)
}

// memberForms let those in charge change a member's role, and take them out.
func memberForms(m identity.Member) Node {
	at := "/people/" + m.ID
	return Div(Class("actions"),
		Form(Method("post"), Action(at+"/role"),
			Select(Name("role"), Aria("label", "Role of "+m.Name), Map(scope.Roles(), func(role scope.Role) Node {
				return Option(Value(string(role)), If(role == m.Role, Selected()), Text(string(role)))
			})),
			Button(Type("submit"), Text("Set role"))),
		ask("Remove", "Take "+m.Name+" out? Their sessions, grants and secrets end.", at+"/remove"),
		ask("Erase", "Take "+m.Name+" out and erase what is kept of them: messages, histories, notes? This cannot be undone.", at+"/erase"),
	)
}
