package ingress

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"
	"rsc.io/qr"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
)

func (a *Admin) channelsPage(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.showChannels(w, r, by, nil, http.StatusOK)
}

func (a *Admin) showChannels(w http.ResponseWriter, r *http.Request, by scope.Scope, notice Node, status int) {
	s, err := a.o.Operator.Status(r.Context(), by)
	if err != nil {
		a.failed(w, r, by, "/channels", "Channels", err)
		return
	}
	all, linkable := a.own(s.Channels), a.linkable(by)
	a.show(w, r, by, shown{title: "Channels", active: "/channels", notice: notice, status: status, body: []Node{
		web.Heading("Channels", "Where people reach your bot, beside this console."),
		boosted(
			If(!s.Paused.IsZero(), everything(s)),
			If(len(all) > 0, Group{
				renewed("/channels", "own"),
				Div(ID("own"), web.Live(), web.Card("Your channels", Ul(Class("list"), Map(all, func(c gateway.ChannelStatus) Node {
					return Li(channelLine(c, a.o.Now()), channelActions(c, s.Paused.IsZero(), linkable[c.Adapter]))
				})))),
			}),
			addForms(r, a.o.Operator.Platforms(by), all, status >= http.StatusBadRequest),
			If(s.Paused.IsZero(), everything(s)),
		),
	}})
}

// channelActions are what can be done to a channel. alone says that its pause,
// if there is one, is its own, linkable that a phone can be linked to it.
func channelActions(c gateway.ChannelStatus, alone, linkable bool) Node {
	at := "/channels/" + url.PathEscape(string(c.ID))
	return Div(Class("actions"),
		If(linkable && c.Phase != channels.Connected, linkForm(c.ID)),
		Form(Method("post"), Action(at+"/connect"), Button(Type("submit"), Text("New start link"))),
		Form(Method("post"), Action(at+"/check"), Button(Type("submit"), Text("Check"))),
		If(alone, pauseForm(c.ID, c.Paused)),
		ask("Remove", fmt.Sprintf("Remove %s? Its token stays under Secrets.", c.ID), at+"/remove"),
	)
}

// ask is a dangerous button that asks once more, without a script. The form can
// have further fields.
func ask(verb, question, action string, fields ...Node) Node {
	return Details(Class("ask"),
		Summary(Class("button danger"), Role("button"), Text(verb)),
		Form(Method("post"), Action(action), Group(fields), Div(Class("actions"),
			Span(Class("small"), Text(question)),
			Button(Class("danger"), Type("submit"), Textf("Yes, %s", strings.ToLower(verb))),
		)),
	)
}

// startLink shows a link that makes whoever taps Start the member who asked for it.
func startLink(link string) Node {
	if link == "" {
		return nil
	}
	return web.Card("Now make it yours", Div(Class("link-box"),
		qrCode(link),
		Div(
			P(Text("Open this link on your phone or here, and tap "), Strong(Text("Start")), Text(". From then on the bot knows you on this channel.")),
			A(Class("button primary"), ID("start-link"), Href(link), Target("_blank"), Rel("noopener noreferrer"), Text("Open the chat")),
			P(Class("small"), Text("It works once, within three days. Do not pass it on: whoever uses it is you.")),
			P(Code(Class("small"), Text(link))),
		),
	))
}

// quiet is the white border around a QR code, in modules.
const quiet = 2

// qrCode draws a code as one path. A text that is too long for one has none.
func qrCode(text string) Node {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil
	}
	var path strings.Builder
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	size := code.Size + 2*quiet
	return Div(Class("qr"), Role("img"), Aria("label", "QR code of the link"),
		Rawf(`<svg viewBox="0 0 %d %d" shape-rendering="crispEdges"><path fill="#000" d="%s"/></svg>`, size, size, path.String()))
}

func (a *Admin) connectChannel(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	link, err := a.o.Operator.StartLink(r.Context(), by, channels.ID(r.PathValue("id")))
	if err != nil {
		a.channelsFailed(w, r, by, err)
		return
	}
	a.showChannels(w, r, by, startLink(link), http.StatusOK)
}

func (a *Admin) checkChannel(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	id := r.PathValue("id")
	who, err := a.o.Operator.ProbeChannel(r.Context(), by, channels.ID(id))
	if err != nil {
		a.channelsFailed(w, r, by, err)
		return
	}
	text := []Node{P(Textf("%s works: the platform knows it as %s.", id, who.Name))}
	for _, n := range who.Notes {
		text = append(text, P(Class("small"), Text(n)))
	}
	a.showChannels(w, r, by, web.Notice(web.Good, text...), http.StatusOK)
}

func (a *Admin) removeChannel(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	id := r.PathValue("id")
	if _, err := a.o.Operator.RemoveChannel(r.Context(), by, channels.ID(id)); err != nil {
		a.channelsFailed(w, r, by, err)
		return
	}
	a.showChannels(w, r, by, web.Notice(web.Good, P(Textf("%s was removed.", id))), http.StatusOK)
}

func (a *Admin) channelsFailed(w http.ResponseWriter, r *http.Request, by scope.Scope, err error) {
	n, status := a.notice(r, err)
	a.showChannels(w, r, by, n, status)
}
