package ingress

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
)

// addForms has a form for each platform, folded up but for the one that was just
// tried when it was refused.
func addForms(r *http.Request, platforms []operator.Platform, all []gateway.ChannelStatus, again bool) Node {
	return web.Card("Add a channel", Div(Class("platforms"), Map(platforms, func(p operator.Platform) Node {
		tried := again && r.Method == http.MethodPost && r.PostFormValue("adapter") == p.Adapter
		return Details(Class("more"), ID("add-"+p.Adapter), If(tried || len(platforms) == 1, Attr("open")),
			Summary(Text(p.Guide.Title)), addForm(r, p, tried, all))
	})))
}

func addForm(r *http.Request, p operator.Platform, tried bool, all []gateway.ChannelStatus) Node {
	asked := ""
	if tried {
		asked = r.PostFormValue("id")
	}
	id := "id-" + p.Adapter
	return Form(Class("form"), Method("post"), Action("/channels"),
		If(len(p.Guide.Steps) > 0, Ol(Class("steps"), Map(p.Guide.Steps, func(s string) Node { return Li(step(s)) }))),
		If(p.Guide.Paste != "", Details(Class("more"), Summary(Text(p.Guide.PasteTitle)), Pre(Class("paste"), Code(Text(p.Guide.Paste))))),
		Input(Type("hidden"), Name("adapter"), Value(p.Adapter)),
		Map(p.Guide.Asks, func(a channels.Ask) Node { return question(r, p, a, tried) }),
		web.Field(id, "Name here", "How this channel is called in the configuration: letters, digits and hyphens.",
			Input(ID(id), Name("id"), Required(), Value(freeName(p.Adapter, asked, all)), Pattern(`[A-Za-z0-9][A-Za-z0-9_\-]*`), MaxLength("40"), AutoComplete("off"))),
		Div(Class("actions"),
			Button(Class("primary"), Type("submit"), Text("Add "+p.Guide.Title)),
			Span(Class("busy-text"), Textf("Asking %s…", p.Guide.Title)),
		),
	)
}

// question is the field of one. What was answered before stays, but for secrets.
func question(r *http.Request, p operator.Platform, a channels.Ask, tried bool) Node {
	name, hint := answerPrefix+a.Key, a.Help
	id := strings.NewReplacer("_", "-", ".", "-").Replace(p.Adapter + "-" + a.Key)
	if key, value, ok := strings.Cut(a.Only, "="); ok {
		hint = strings.TrimSpace(hint + " Only where " + key + " is " + value + ".")
	}
	said := ""
	if tried && !a.Secret {
		said = r.PostFormValue(name)
	}
	if len(a.Choices) > 0 {
		return web.Field(id, a.Label, hint, Select(ID(id), Name(name), Map(a.Choices, func(c string) Node {
			return Option(Value(c), If(c == said, Selected()), Text(c))
		})))
	}
	kind := "text"
	if a.Secret {
		kind = "password"
	}
	return web.Field(id, a.Label, hint, Input(ID(id), Name(name), Type(kind), Value(said), AutoComplete("off"), Attr("spellcheck", "false"),
		If(!a.Optional && a.Only == "", Required()), If(a.Example != "", Placeholder(a.Example))))
}

// answerPrefix keeps the keys of questions apart from a form's own fields.
const answerPrefix = "answer."

var inStep = regexp.MustCompile("`[^`]+`|https://[^\\s,;)]*[^\\s,;).]")

// step shows a step's text: what is to be typed, and its links.
func step(text string) Node {
	var out Group
	for {
		at := inStep.FindStringIndex(text)
		if at == nil {
			return append(out, Text(text))
		}
		found := text[at[0]:at[1]]
		out = append(out, Text(text[:at[0]]))
		if strings.HasPrefix(found, "`") {
			out = append(out, Code(Text(strings.Trim(found, "`"))))
		} else {
			out = append(out, A(Href(found), Target("_blank"), Rel("noopener noreferrer"), Text(strings.TrimPrefix(found, "https://"))))
		}
		text = text[at[1]:]
	}
}

// freeName proposes a name that no channel has.
func freeName(adapter, asked string, all []gateway.ChannelStatus) string {
	taken := map[string]bool{}
	for _, c := range all {
		taken[string(c.ID)] = true
	}
	if asked != "" && !taken[asked] {
		return asked
	}
	name := adapter
	for i := 2; taken[name]; i++ {
		name = fmt.Sprintf("%s-%d", adapter, i)
	}
	return name
}

func (a *Admin) addChannel(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	id := channels.ID(strings.TrimSpace(r.PostFormValue("id")))
	if id == "" {
		a.showChannels(w, r, by, web.Notice(web.Bad, P(Text("A channel needs a name."))), http.StatusUnprocessableEntity)
		return
	}
	answers := map[string]string{}
	for name := range r.PostForm {
		if key, ok := strings.CutPrefix(name, answerPrefix); ok && r.PostFormValue(name) != "" {
			answers[key] = r.PostFormValue(name)
		}
	}
	added, err := a.o.Operator.AddChannel(r.Context(), by, id, r.PostFormValue("adapter"), answers, nil)
	if err != nil {
		a.channelsFailed(w, r, by, err)
		return
	}
	if added.Unlinked {
		a.showChannels(w, r, by, web.Card("Now link the phone", P(Textf("%s is added. What is missing is the phone whose account it speaks as.", id)), linkForm(id)), http.StatusOK)
		return
	}
	who := added.Identity.Name
	if added.Identity.Handle != "" {
		who += " (@" + added.Identity.Handle + ")"
	}
	text := []Node{P(Strong(Textf("%s is added.", who)))}
	for _, n := range added.Identity.Notes {
		text = append(text, P(Class("small"), step(n)))
	}
	a.showChannels(w, r, by, Group{web.Notice(web.Good, text...), startLink(added.Link)}, http.StatusOK)
}
