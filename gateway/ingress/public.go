// Package ingress is the gateway's HTTP: on the public listener the webhooks
// and the health, on the admin listener the console, the API and the metrics,
// and on the admin socket the API and the chat for the command line.
package ingress

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
)

// maxHook bounds a webhook's body, in bytes. Platforms send files by reference.
const maxHook = 4 << 20

// Public serves what the whole world may reach: GET /healthz, which answers as
// long as the process does; GET /readyz, 200 once every channel receives, or is
// being connected within its grace, without naming any; /hooks/{channel} for channels that take
// webhooks; and below a channel's own address the files that it lends to its
// platform, each under a link of its own. Everything else is 404, and so is a
// channel that takes none.
func Public(g *gateway.Gateway) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		say(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { ready(w, r, g.Ready().Unnamed()) })
	mux.HandleFunc("/hooks/{channel}", func(w http.ResponseWriter, r *http.Request) { hook(w, r, g) })
	mux.Handle("/hooks/{channel}"+gateway.LentPath+"{token}", newLentFiles(g))
	mux.HandleFunc("/hooks/{channel}/", func(w http.ResponseWriter, r *http.Request) { hook(w, r, g) })
	return mux
}

func say(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") //nolint:gosec // plain text; and when the caller is gone, there is nobody to tell
}

// ready says it in a line, or with ?verbose for each channel.
func ready(w http.ResponseWriter, r *http.Request, is gateway.Readiness) {
	status := http.StatusOK
	if !is.Ready {
		status = http.StatusServiceUnavailable
	}
	if r.URL.Query().Has("verbose") {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(is) // when the caller is gone, there is nobody to tell
		return
	}
	late := 0
	for _, c := range is.Channels {
		if !c.Ready {
			late++
		}
	}
	if late > 0 {
		say(w, status, fmt.Sprintf("not ready: %d of %d channels do not receive", late, len(is.Channels)))
		return
	}
	say(w, status, "ready")
}

func hook(w http.ResponseWriter, r *http.Request, g *gateway.Gateway) {
	id := channels.ID(r.PathValue("channel"))
	c, sink := g.Channel(id), g.Sink(id)
	if c == nil || sink == nil {
		http.NotFound(w, r)
		return
	}
	rec, ok := channels.As[channels.Receiver](c)
	if !ok {
		http.NotFound(w, r)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxHook)
	rec.Receive(sink).ServeHTTP(w, r)
}

// visited is the handler of a channel whose people come to the gateway itself.
func visited(g *gateway.Gateway, id channels.ID) (http.Handler, error) {
	c, sink := g.Channel(id), g.Sink(id)
	if c == nil || sink == nil {
		return nil, fmt.Errorf("channel %s is not running", id)
	}
	v, ok := channels.As[channels.Visited](c)
	if !ok {
		return nil, fmt.Errorf("channel %s has no visitors", id)
	}
	return v.Visit(sink), nil
}

// as hands a request on in the name of a member.
func as(r *http.Request, v channels.Visitor) *http.Request {
	return r.WithContext(channels.WithVisitor(r.Context(), v))
}
