package ingress

import (
	"io"
	"net/http"
	"net/url"
	"strings"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
)

// linkable are the adapters whose channels speak as the account of a phone.
func (a *Admin) linkable(by scope.Scope) map[string]bool {
	out := map[string]bool{}
	for _, p := range a.o.Operator.Platforms(by) {
		out[p.Adapter] = p.Guide.Link
	}
	return out
}

// linkForm begins a linking. Its answer is a page of its own, which htmx must
// not wait for: it grows until the phone is linked.
func linkForm(id channels.ID) Node {
	field := "phone-" + string(id)
	return Details(Class("ask"),
		Summary(Class("button primary"), Role("button"), Text("Link a phone")),
		Form(Class("form"), Method("post"), Action("/channels/"+url.PathEscape(string(id))+"/link"), Attr("hx-boost", "false"),
			web.Field(field, "Phone number", "Leave it empty to scan a QR code. With the number, and its country code, you get a code to type into the phone instead.",
				Input(ID(field), Name("phone"), Type("tel"), AutoComplete("off"), Placeholder("+49 151 12345678"), MaxLength("30"))),
			Div(Class("actions"), Button(Class("primary"), Type("submit"), Text("Show the code"))),
		),
	)
}

// linkChannel links a phone while the page loads: each new code is written to
// the page as it comes, and hides the one before; the end is the last thing on
// it. Who leaves the page ends the linking.
func (a *Admin) linkChannel(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	id, phone := channels.ID(r.PathValue("id")), strings.TrimSpace(r.PostFormValue("phone"))
	out := http.NewResponseController(w)
	live := NodeFunc(func(to io.Writer) error {
		_ = out.Flush() // without it the page would show nothing until it is over
		err := a.o.Operator.LinkChannel(r.Context(), by, id, phone, func(code string) {
			_ = linkCode(code, phone != "").Render(to) // a browser that is gone ends the request
			_ = out.Flush()
		})
		if err != nil {
			return linkFailed(err).Render(to)
		}
		return web.Notice(web.Good, P(Strong(Text("The phone is linked."))), P(A(Href("/channels"), Text("Back to the channels")))).Render(to)
	})
	w.Header().Set("X-Accel-Buffering", "no") // a proxy must not wait for the end either
	a.show(w, r, by, shown{title: "Link a phone", active: "/channels", body: []Node{
		web.Heading("Link a phone", "Keep this page open until it says that the phone is linked."),
		web.Card("", Ol(Class("steps"),
			Li(Text("Open WhatsApp on the phone, and there "), Strong(Text("Settings, Linked devices, Link a device")), Text(".")),
			If(phone == "", Li(Text("Point the phone at the code. It changes from time to time; this page follows."))),
			If(phone != "", Li(Text("Choose "), Strong(Text("Link with phone number instead")), Text(" and type the code."))),
		), Div(Class("linking"), P(Class("code small"), Text("Asking for a code…")), live)),
	}})
}

func linkCode(code string, typed bool) Node {
	if typed {
		return P(Class("code typed"), Code(Text(code)))
	}
	return Div(Class("code"), qrCode(code))
}

func linkFailed(err error) Node {
	return web.Notice(web.Bad, P(Strong(Text("The phone is not linked."))), P(Class("small"), Text(err.Error())), P(A(Href("/channels"), Text("Try again"))))
}
