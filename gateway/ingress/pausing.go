package ingress

import (
	"fmt"
	"net/http"
	"time"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
)

// pausedNotice says that nobody is answered; nil when they are.
func pausedNotice(since, now time.Time) Node {
	if since.IsZero() {
		return nil
	}
	return web.Notice(web.Busy, P(Strong(Text("Everything is paused, since "), web.Ago(since, now), Text("."))),
		P(Text("What comes in is kept, and answered after the pause. "), A(Href("/channels"), Text("Go on")), Text(" under Channels.")))
}

// pauseForm holds a channel's work back, or everything for "", or lets it go on.
func pauseForm(id channels.ID, since time.Time) Node {
	verb, what := "pause", "Pause"
	if !since.IsZero() {
		verb, what = "resume", "Resume"
	}
	return Form(Method("post"), Action("/"+verb), Input(Type("hidden"), Name("channel"), Value(string(id))),
		Button(Type("submit"), If(!since.IsZero(), Class("primary")), Text(what)))
}

// everything pauses all channels at once.
func everything(s operator.Status) Node {
	text := "Pause all channels, this console too. What comes in is kept, and answered afterwards."
	if !s.Paused.IsZero() {
		text = "All channels are paused, this console too. What comes in is kept."
	}
	return web.Card("Everything", P(Class("muted"), Text(text)), Div(Class("actions"), pauseForm("", s.Paused)))
}

func (a *Admin) pause(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	id := channels.ID(r.PostFormValue("channel"))
	if err := a.o.Operator.Pause(r.Context(), by, id); err != nil {
		a.channelsFailed(w, r, by, err)
		return
	}
	a.showChannels(w, r, by, web.Notice(web.Good, P(Text("Paused. What comes in is kept."))), http.StatusOK)
}

func (a *Admin) resume(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	n, err := a.o.Operator.Resume(r.Context(), by, channels.ID(r.PostFormValue("channel")))
	if err != nil {
		a.channelsFailed(w, r, by, err)
		return
	}
	text := "It goes on. Nothing has come in meanwhile."
	if n > 0 {
		text = fmt.Sprintf("It goes on. What has come in meanwhile (%d) is being answered.", n)
	}
	a.showChannels(w, r, by, web.Notice(web.Good, P(Text(text))), http.StatusOK)
}
