package ingress

import (
	"net/http"
	"slices"
	"strings"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/agent/provider"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
)

func (a *Admin) modelsPage(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.showModels(w, r, by, nil, choices{}, http.StatusOK)
}

// choices is what a check of a key brought.
type choices struct {
	checked bool
	models  []string // empty: the name is typed
	notice  Node
}

func (a *Admin) showModels(w http.ResponseWriter, r *http.Request, by scope.Scope, notice Node, c choices, status int) {
	models := a.o.Operator.Models(by)
	a.show(w, r, by, shown{title: "Models", active: "/models", notice: notice, status: status, body: []Node{
		web.Heading("Models", "What your bot thinks with. Keys go to the vault; neither the model nor a message ever sees them."),
		boosted(
			If(len(models) > 0, web.Card("In use", modelList(models))),
			web.Card("Set up a model", a.modelForm(r, models, c)),
		),
	}})
}

func modelList(all []operator.Model) Node {
	return Ul(Class("list"), Map(all, func(m operator.Model) Node {
		return Li(Div(Class("what"),
			Strong(Text(m.Model), If(m.Default, web.Pill(web.Good, "default"))),
			Small(Text(m.Provider), If(m.Name != "default", Text(" · named "+m.Name)), If(m.BaseURL != "", Text(" · "+m.BaseURL)), If(m.Found != "", Text(" · found in "+m.Found))),
		))
	}))
}

// provider finds the one that a form is about; the first one otherwise.
func (a *Admin) provider(name string) operator.Provider {
	all := a.o.Operator.Providers()
	if i := slices.IndexFunc(all, func(p operator.Provider) bool { return p.Name == name }); i >= 0 {
		return all[i]
	}
	if len(all) == 0 {
		return operator.Provider{}
	}
	return all[0]
}

// modelForm asks for what a provider needs. Choosing another provider, and
// checking a key, replace parts of it and leave what was typed alone.
func (a *Admin) modelForm(r *http.Request, models []operator.Model, c choices) Node {
	p := a.provider(r.FormValue("provider"))
	name := r.FormValue("name")
	if name == "" {
		name = "default"
	}
	keyHint := "It is checked with one call before it is kept."
	if stored(models, name, p.Name) != nil {
		keyHint = "Leave it empty to keep the stored one."
	}
	return Form(ID("model-form"), Class("form"), Method("post"), Action("/models"),
		web.Field("provider", "Provider", "", Select(ID("provider"), Name("provider"),
			Attr("hx-get", "/models"), Attr("hx-trigger", "change"), Attr("hx-target", "#model-form"), Attr("hx-select", "#model-form"),
			Attr("hx-swap", "outerHTML"), Attr("hx-include", "this"), Attr("hx-disabled-elt", "this"),
			Map(a.o.Operator.Providers(), func(o operator.Provider) Node {
				return Option(Value(o.Name), If(o.Name == p.Name, Selected()), Text(o.Title))
			}))),
		If(p.NeedURL || p.Name == "ollama", web.Field("base_url", "Address", "Where its API is, such as http://127.0.0.1:11434/v1.",
			Input(ID("base_url"), Name("base_url"), Type("url"), Value(r.FormValue("base_url")), If(p.NeedURL, Required()), AutoComplete("off"), Placeholder("https://…/v1")))),
		If(p.NeedKey || p.NeedURL, Div(Class("field"), Label(For("key"), Text("API key")),
			Input(ID("key"), Name("key"), Type("password"), AutoComplete("off"), Attr("spellcheck", "false")),
			Small(Text(keyHint), If(p.KeysURL != "", Group{Text(" "), A(Href(p.KeysURL), Target("_blank"), Rel("noopener noreferrer"), Text("Get a key"))})))),
		Details(Class("more"), Summary(Text("More")), web.Field("name", "Name of this setting", "The model called \"default\" is the one that the bot begins with.",
			Input(ID("name"), Name("name"), Value(name), Pattern(`[A-Za-z0-9][A-Za-z0-9_.\-]*`), MaxLength("40"), AutoComplete("off")))),
		modelChoices(r, p, c),
	)
}

// stored finds the model of this name and provider whose key the vault has; nil
// for none.
func stored(models []operator.Model, name, provider string) *operator.Model {
	i := slices.IndexFunc(models, func(m operator.Model) bool {
		return m.Name == name && m.Provider == provider && m.Keyed && m.Found == ""
	})
	if i < 0 {
		return nil
	}
	return &models[i]
}

// modelChoices is the part below the key: first the check, then the choice.
func modelChoices(r *http.Request, p operator.Provider, c choices) Node {
	check := Button(Type("submit"), Name("do"), Value("check"), If(!c.checked, Class("primary")),
		Attr("hx-post", "/models"), Attr("hx-target", "#choices"), Attr("hx-select", "#choices"), Attr("hx-swap", "outerHTML"),
		Attr("hx-disabled-elt", "this"), Attr("hx-indicator", "#checking"), Text("Check"))
	busy := Span(ID("checking"), Class("busy-text"), Text("Asking the provider…"))
	if !c.checked {
		return Div(ID("choices"), Class("form"), c.notice, Div(Class("actions"), check, busy))
	}
	want := r.FormValue("model")
	if want == "" {
		want = provider.Pick(p.Name, c.models)
	}
	return Div(ID("choices"), Class("form"), c.notice,
		web.Field("model", "Model", "", chooser(c.models, want)),
		Div(Class("actions"), Button(Class("primary"), Type("submit"), Name("do"), Value("save"), Text("Save")), check, busy),
	)
}

func chooser(models []string, want string) Node {
	if len(models) == 0 {
		return Input(ID("model"), Name("model"), Required(), Value(want), MaxLength("200"), AutoComplete("off"), Attr("spellcheck", "false"))
	}
	return Select(ID("model"), Name("model"), Map(models, func(m string) Node {
		return Option(Value(m), If(m == want, Selected()), Text(m))
	}))
}

func (a *Admin) setModel(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	m := operator.Model{
		Name: strings.TrimSpace(r.PostFormValue("name")), Provider: r.PostFormValue("provider"),
		Model: strings.TrimSpace(r.PostFormValue("model")), BaseURL: strings.TrimSpace(r.PostFormValue("base_url")),
	}
	if m.Name == "" {
		m.Name = "default"
	}
	key := r.PostFormValue("key")
	if r.PostFormValue("do") != "save" {
		a.checkModel(w, r, by, m, key)
		return
	}
	if m.Model == "" {
		a.showModels(w, r, by, web.Notice(web.Bad, P(Text("Check the key first, then choose a model."))), choices{}, http.StatusUnprocessableEntity)
		return
	}
	if err := a.o.Operator.SetModel(r.Context(), by, m, key); err != nil {
		n, status := a.notice(r, err)
		a.showModels(w, r, by, n, choices{}, status)
		return
	}
	a.showModels(w, r, by, web.Notice(web.Good, P(Strong(Textf("The bot now thinks with %s.", m.Model))),
		P(A(Href("/chat"), Text("Say hello")), Text(" to try it, or "), A(Href("/channels"), Text("add a channel")), Text("."))), choices{}, http.StatusOK)
}

func (a *Admin) checkModel(w http.ResponseWriter, r *http.Request, by scope.Scope, m operator.Model, key string) {
	if own := stored(a.o.Operator.Models(by), m.Name, m.Provider); own != nil && strings.TrimSpace(key) == "" {
		if own.BaseURL != m.BaseURL {
			n := web.Notice(web.Bad, P(Text("The stored key is for another address. Paste it again, or one for this address.")))
			a.showModels(w, r, by, nil, choices{notice: n}, http.StatusUnprocessableEntity)
			return
		}
		m.Keyed = true
	}
	models, err := a.o.Operator.CheckModel(r.Context(), by, m, key)
	if err != nil {
		n, status := a.modelNotice(r, err)
		a.showModels(w, r, by, nil, choices{notice: n}, status)
		return
	}
	if len(models) == 0 {
		a.showModels(w, r, by, nil, choices{notice: web.Notice(web.Bad, P(Text("The provider answered, but it lists no models.")))}, http.StatusUnprocessableEntity)
		return
	}
	slices.Sort(models)
	n := web.Notice(web.Good, P(Textf("It works. %d models to choose from.", len(models))))
	a.showModels(w, r, by, nil, choices{checked: true, models: models, notice: n}, http.StatusOK)
}

// modelNotice says why a provider was not content; its own words name the fix.
func (a *Admin) modelNotice(r *http.Request, err error) (Node, int) {
	if n, status, ok := refused(err); ok {
		return n, status
	}
	if r.Context().Err() != nil {
		return web.Notice(web.Bad, P(Text("It took too long."))), http.StatusGatewayTimeout
	}
	return web.Notice(web.Bad, P(step(sentence(strip(err))))), http.StatusUnprocessableEntity
}
