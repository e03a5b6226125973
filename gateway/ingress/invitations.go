package ingress

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
)

// invitations are those that can still be used, and for those in charge the
// form that makes one.
func (a *Admin) invitations(by scope.Scope, open []identity.Invitation, bots []operator.Bot) Node {
	return web.Card("Invitations", a.openInvitations(by, open),
		If(by.Role().Administers(), Div(Class("after"), H3(Text("Invite somebody")), inviteForm(by, bots))))
}

func (a *Admin) openInvitations(by scope.Scope, open []identity.Invitation) Node {
	if len(open) == 0 {
		return P(Class("muted"), Text("No invitation is open."))
	}
	return Ul(Class("list"), Map(open, func(i identity.Invitation) Node {
		called := i.Name
		if called == "" {
			called = "Whoever uses it"
		}
		return Li(
			Div(Class("what"), Strong(Text(called), web.Pill(web.Quiet, string(i.Role))),
				Small(Text("made "), web.Ago(i.Created, a.o.Now()), Text(" · ends on "), moment(i.Expires))),
			If(by.Role().Administers(), Div(Class("actions"),
				Form(Method("post"), Action("/people/invitations/"+url.PathEscape(i.ID)+"/withdraw"),
					Button(Class("danger"), Type("submit"), Aria("label", "Withdraw the invitation of "+called), Text("Withdraw"))))),
		)
	}))
}

// moment is a time in the future, or a day long past.
func moment(t time.Time) Node {
	return Time(DateTime(t.UTC().Format(time.RFC3339)), Text(t.UTC().Format("2 January, 15:04")+" UTC"))
}

func inviteForm(by scope.Scope, bots []operator.Bot) Node {
	return Form(Class("form"), Method("post"), Action("/people/invitations"),
		web.Field("invite-name", "Name", "Optional. Left empty, they are called what they call themselves.",
			Input(ID("invite-name"), Name("name"), MaxLength("80"), AutoComplete("off"))),
		web.Field("invite-role", "Role", "", Select(ID("invite-role"), Name("role"), Map(scope.Roles(), func(role scope.Role) Node {
			if role == scope.Service || role == scope.Owner && !by.Role().May(scope.Own) {
				return nil
			}
			return Option(Value(string(role)), If(role == scope.Ordinary, Selected()), Text(string(role)))
		}))),
		web.Field("invite-channel", "Channel", "The bot that the link opens. A code alone works on every channel.",
			Select(ID("invite-channel"), Name("channel"),
				Map(bots, func(b operator.Bot) Node {
					text := string(b.Channel)
					if b.As != "" {
						text += " (" + b.As + ")"
					}
					return Option(Value(string(b.Channel)), Text(text))
				}),
				Option(Value(""), Text("A code alone")),
			)),
		Div(Class("actions"), Button(Class("primary"), Type("submit"), Text("Make an invitation"))),
	)
}

func (a *Admin) invite(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	made, err := a.o.Operator.Invite(r.Context(), by, channels.ID(r.PostFormValue("channel")), strings.TrimSpace(r.PostFormValue("name")),
		scope.Role(r.PostFormValue("role")))
	if err != nil {
		a.ruled(w, r, by, err, "")
		return
	}
	a.showPeople(w, r, by, invited(made), http.StatusOK)
}

// invited shows an invitation, this once.
func invited(i operator.Invited) Node {
	ends := P(Class("small"), Text("It works once, for one person, and is not shown again. It ends on "), moment(i.Expires), Text("."))
	if i.Link == "" {
		return web.Card("Hand this on",
			P(Text("Whoever sends this code to the bot in a direct chat becomes "), Strong(Text(string(i.Role))), Text(":")),
			P(Class("code"), Code(ID("invite-code"), Text(i.Code))), ends)
	}
	return web.Card("Hand this on", Div(Class("link-box"),
		qrCode(i.Link),
		Div(
			P(Text("Whoever opens this link and taps "), Strong(Text("Start")), Text(" becomes "), Strong(Text(string(i.Role))), Text(".")),
			P(Code(Class("small"), ID("invite-link"), Text(i.Link))),
			P(Class("small"), Text("Or they send the code to the bot: "), Code(Text(i.Code))),
			ends,
		),
	))
}

func (a *Admin) withdraw(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.ruled(w, r, by, a.o.Operator.Withdraw(r.Context(), by, r.PathValue("id")), "The invitation no longer works.")
}
