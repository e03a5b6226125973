package ingress

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
)

// deadPerPage is how many dead letters a page shows.
const deadPerPage = 50

func (a *Admin) deadPage(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.showDead(w, r, by, nil, http.StatusOK)
}

func (a *Admin) showDead(w http.ResponseWriter, r *http.Request, by scope.Scope, notice Node, status int) {
	after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64) // "" and nonsense begin at the start
	all, err := a.o.Operator.DeadLetters(r.Context(), by, "", after, deadPerPage+1)
	if err != nil {
		a.failed(w, r, by, "/dead", "Dead letters", err)
		return
	}
	more := len(all) > deadPerPage
	all = all[:min(len(all), deadPerPage)]
	body := web.Empty(web.Tray, "Nothing was lost", "What cannot be answered or delivered ends up here, until you send it on its way again or drop it.")
	if len(all) > 0 {
		body = Ul(Class("list"), Map(all, func(l operator.Letter) Node { return Li(a.letterLine(l), letterActions(l, true)) }))
	}
	a.show(w, r, by, shown{title: "Dead letters", active: "/dead", notice: notice, status: status, body: []Node{
		web.Heading("Dead letters", "Messages and replies that failed for good."),
		boosted(web.Card("", body, If(more, P(A(Href("/dead?after="+lastSeq(all)), Text("Show the next ones")))))),
	}})
}

func lastSeq(all []operator.Letter) string {
	if len(all) == 0 {
		return ""
	}
	return strconv.FormatInt(all[len(all)-1].Seq, 10)
}

// queueWords say what a record in a queue is.
var queueWords = map[string]string{bus.Inbox: "a message", bus.Urgent: "a command", bus.Outbox: "a reply"}

func (a *Admin) letterLine(l operator.Letter) Node {
	what := queueWords[l.Queue]
	if what == "" {
		what = l.Queue
	}
	return Div(Class("what"),
		Strong(Textf("%s on %s", sentenceStart(what), l.Channel)),
		Span(Text(sentence(l.Reason))),
		Small(Textf("#%d · %s · died ", l.Seq, tries(l.Attempts)), web.Ago(l.Died, a.o.Now())),
	)
}

func sentenceStart(s string) string {
	s = sentence(s)
	return s[:max(0, len(s)-1)]
}

func tries(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}

func letterActions(l operator.Letter, withShow bool) Node {
	at := "/dead/" + strconv.FormatInt(l.Seq, 10)
	return Div(Class("actions"),
		If(withShow, A(Class("button"), Href(at), Text("Show"))),
		Form(Method("post"), Action(at+"/replay"), Button(Type("submit"), Text("Try again"))),
		ask("Drop", "Drop it for good?", at+"/drop"),
	)
}

func (a *Admin) letterPage(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	seq, err := strconv.ParseInt(r.PathValue("seq"), 10, 64)
	if err != nil {
		a.notFound(w, r)
		return
	}
	l, err := a.o.Operator.DeadLetter(r.Context(), by, seq)
	if err != nil {
		a.failed(w, r, by, "/dead", "Dead letter", err)
		return
	}
	row := func(k, v string) Node { return Tr(Th(Scope("row"), Text(k)), Td(Text(v))) }
	a.show(w, r, by, shown{title: "Dead letter", active: "/dead", body: []Node{
		web.Heading(fmt.Sprintf("Dead letter %d", l.Seq), ""),
		boosted(web.Card("", a.letterLine(l),
			Div(Class("table"), Table(TBody(
				row("Key", l.Key), row("Queue", l.Queue), row("Channel", l.Channel),
				row("Came in", l.Published.UTC().Format(time.RFC1123)), row("Died", l.Died.UTC().Format(time.RFC1123)),
			)))),
			web.Card("What it holds", Pre(Class("body"), TabIndex("0"), Text(pretty(l.Body)))),
			letterActions(l, false),
			P(Class("small"), A(Href("/dead"), Text("Back to the list"))),
		),
	}})
}

// pretty indents JSON and hides the token of a reply path, which is kept with
// what came in; what is no JSON is not shown.
func pretty(b json.RawMessage) string {
	if len(b) == 0 {
		return "Its body has expired."
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return "It cannot be read."
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if e.Encode(hideTokens(v)) != nil {
		return "It cannot be read."
	}
	return strings.TrimSpace(out.String())
}

// hideTokens replaces the token of each "via".
func hideTokens(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = hideTokens(v[i])
		}
	case map[string]any:
		for k := range v {
			if via, ok := v[k].(map[string]any); ok && k == "via" && via["token"] != nil {
				via["token"] = "[secret]"
			}
			v[k] = hideTokens(v[k])
		}
	}
	return v
}

func (a *Admin) replay(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.act(w, r, by, a.o.Operator.Replay, "It is on its way again.")
}

func (a *Admin) drop(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.act(w, r, by, a.o.Operator.Drop, "It was dropped.")
}

func (a *Admin) act(w http.ResponseWriter, r *http.Request, by scope.Scope,
	do func(context.Context, scope.Scope, ...int64) (int, error), said string,
) {
	seq, err := strconv.ParseInt(r.PathValue("seq"), 10, 64)
	if err != nil {
		a.notFound(w, r)
		return
	}
	n, err := do(r.Context(), by, seq)
	switch {
	case err != nil:
		notice, status := a.notice(r, err)
		a.showDead(w, r, by, notice, status)
	case n == 0:
		a.showDead(w, r, by, web.Notice(web.Bad, P(Text("It is no longer there."))), http.StatusNotFound)
	default:
		a.showDead(w, r, by, web.Notice(web.Good, P(Text(said))), http.StatusOK)
	}
}
