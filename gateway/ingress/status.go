package ingress

import (
	"fmt"
	"net/http"
	"time"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
)

func (a *Admin) statusPage(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	s, err := a.o.Operator.Status(r.Context(), by)
	if err != nil {
		a.failed(w, r, by, "/status", "Status", err)
		return
	}
	now := a.o.Now()
	a.show(w, r, by, shown{title: "Status", active: "/status", body: []Node{
		web.Heading("Status", "How the gateway is doing, right now."),
		Div(ID("live"), web.Live(), Attr("hx-get", "/status"), Attr("hx-trigger", "every 5s"), Attr("hx-select", "#live"), Attr("hx-swap", "outerHTML"),
			pausedNotice(s.Paused, now),
			nextStep(s.Models),
			facts(s, now),
			web.Card("Channels", channelList(a.own(s.Channels), now)),
			limits(s.Limits),
			web.Card("Queues", queues(s.Depths, now)),
		),
	}})
}

// failed shows a page that has nothing but why.
func (a *Admin) failed(w http.ResponseWriter, r *http.Request, by scope.Scope, active, title string, err error) {
	n, status, ok := refused(err)
	if !ok {
		a.fault(w, r, err)
		return
	}
	a.show(w, r, by, shown{title: title, active: active, status: status, body: []Node{web.Heading(title, ""), n}})
}

// own leaves the console's own channel out: whoever reads the page sees that it works.
func (a *Admin) own(all []gateway.ChannelStatus) []gateway.ChannelStatus {
	var out []gateway.ChannelStatus
	for _, c := range all {
		if c.ID != a.o.Console {
			out = append(out, c)
		}
	}
	return out
}

// nextStep says what a newcomer does next; nil when the bot can think.
func nextStep(models []operator.Model) Node {
	if len(models) > 0 {
		return nil
	}
	return web.Notice(web.Busy, P(Strong(Text("There is no model yet."))),
		P(Text("The bot answers commands, but cannot think. "), A(Href("/models"), Text("Set up a model")), Text(" to begin.")))
}

func facts(s operator.Status, now time.Time) Node {
	fact := func(name string, value ...Node) Node { return Div(Class("fact"), Dt(Text(name)), Dd(value...)) }
	model := s.Model
	if model == "" || len(s.Models) == 0 {
		model = "none"
	}
	return Dl(Class("facts"),
		fact("Model", step(model)),
		spent(s, fact),
		fact("Working on", Textf("%d", s.Turns), Small(Text(answers(s.Turns)))),
		fact("Started", Text(web.Elapsed(now.Sub(s.Started))), Small(Text("Gatehouse "+s.Version))),
	)
}

func answers(n int) string {
	if n == 1 {
		return "answer at the moment"
	}
	return "answers at the moment"
}

func spent(s operator.Status, fact func(string, ...Node) Node) Node {
	about := ""
	if s.Spent.Guessed {
		about = "about "
	}
	amount := Textf("%s$%.2f", about, s.Spent.USD)
	if s.Cap < 0 {
		return fact("Spent today (UTC)", amount, Small(Text("there is no daily cap")))
	}
	share := 1.0
	if s.Cap > 0 {
		share = min(1, s.Spent.USD/s.Cap)
	}
	words := fmt.Sprintf("of $%.2f a day", s.Cap)
	if share >= 1 {
		words += "; no more model calls until midnight UTC"
	}
	return fact("Spent today (UTC)", amount, Small(Text(words)),
		Progress(If(share >= 1, Class("full")), Max("100"), Value(fmt.Sprintf("%.0f", share*100)), Aria("label", "Share of the daily cap")))
}

func channelList(all []gateway.ChannelStatus, now time.Time) Node {
	if len(all) == 0 {
		return web.Empty(web.Plug, "No channels yet", "Until there is one, the bot can be reached here on the console alone.",
			A(Class("button"), Href("/channels"), web.Plus.Node(), Text("Add a channel")))
	}
	return Ul(Class("list"), Map(all, func(c gateway.ChannelStatus) Node { return Li(channelLine(c, now)) }))
}

func channelLine(c gateway.ChannelStatus, now time.Time) Node {
	return Group{
		Div(Class("what"),
			Strong(Text(string(c.ID)), phase(c)),
			Small(Text(c.Adapter), If(c.As != "", Text(" · "+c.As)), If(c.Phase != "", traffic(c, now))),
		),
		If(c.Error != "" || c.Fix != "", Div(Class("whole small"),
			If(c.Fix != "", P(Strong(Text(sentence(c.Fix))))), If(c.Error != "", P(Class("muted"), Text(sentence(c.Error)))))),
	}
}

// traffic says when something last came in and went out, as far as this start knows.
func traffic(c gateway.ChannelStatus, now time.Time) Node {
	switch {
	case c.Received.IsZero() && c.Sent.IsZero():
		return Text(" · nothing received or sent since the start")
	case c.Received.IsZero():
		return Group{Text(" · sent "), web.Ago(c.Sent, now)}
	case c.Sent.IsZero():
		return Group{Text(" · received "), web.Ago(c.Received, now)}
	}
	return Group{Text(" · received "), web.Ago(c.Received, now), Text(" · sent "), web.Ago(c.Sent, now)}
}

// limits shows what was used today of what may be sent and received; nil when
// nothing that has a limit was.
func limits(all []operator.Limit) Node {
	if len(all) == 0 {
		return nil
	}
	return web.Card("Used today (UTC)", Ul(Class("list"), Map(all, func(l operator.Limit) Node {
		used := fmt.Sprintf("%d requests", l.Requests)
		if l.RequestsPerDay > 0 {
			used = fmt.Sprintf("%d of %d requests", l.Requests, l.RequestsPerDay)
		}
		return Li(Div(Class("what"), Strong(Text(l.Of), If(l.Full != "", web.Pill(web.Bad, "at its limit"))),
			Small(If(l.Who != "", Text(l.Who+" · ")), Text(used), Textf(" · %.1f MB", float64(l.Bytes)/(1<<20)))),
			If(l.Full != "", Div(Class("whole small"), P(Text(sentence(l.Full))))))
	})))
}

// phase is the state of a channel in words.
func phase(c gateway.ChannelStatus) Node {
	if !c.Paused.IsZero() && c.Phase != channels.Broken {
		return web.Pill(web.Busy, "paused")
	}
	switch c.Phase {
	case channels.Connected:
		return web.Pill(web.Good, "connected")
	case channels.Standby:
		return web.Pill(web.Good, "standing by")
	case channels.Connecting:
		return web.Pill(web.Busy, "connecting")
	case channels.Retrying:
		return web.Pill(web.Busy, "reconnecting")
	case channels.Broken:
		return web.Pill(web.Bad, "needs you")
	}
	return web.Pill(web.Quiet, "not running")
}

// states are the words for what the bus counts; what is done is not shown.
var states = []struct {
	state bus.State
	word  string
}{{bus.Ready, "waiting"}, {bus.Leased, "under way"}, {bus.Parked, "held back"}, {bus.Died, "dead"}}

func queues(all []bus.Depth, now time.Time) Node {
	var rows []Node
	for _, d := range all {
		for _, s := range states {
			if d.State == s.state && d.Count > 0 {
				rows = append(rows, Tr(Td(Text(d.Queue)), Td(Text(d.Channel)), Td(Text(s.word)), Td(Class("num"), Textf("%d", d.Count)), Td(web.Ago(d.Oldest, now))))
			}
		}
	}
	if len(rows) == 0 {
		return P(Class("muted"), Text("Nothing is waiting."))
	}
	return Div(Class("table"), Table(
		THead(Tr(Th(Text("Queue")), Th(Text("Channel")), Th(Text("State")), Th(Class("num"), Text("Number")), Th(Text("Oldest")))),
		TBody(rows...),
	))
}
