package ingress

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
	"github.com/gatehouse-chat/gatehouse/vault"
)

// youPage is what members look after themselves, whatever their role.
func (a *Admin) youPage(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.showYou(w, r, by, nil, http.StatusOK)
}

func (a *Admin) showYou(w http.ResponseWriter, r *http.Request, by scope.Scope, notice Node, status int) {
	dir := a.o.Directory.In(by.Workspace())
	m, err := dir.Member(r.Context(), by.Member())
	if err != nil {
		a.failed(w, r, by, "/you", "You", err)
		return
	}
	links, err := dir.Links(r.Context())
	if err != nil {
		a.failed(w, r, by, "/you", "You", err)
		return
	}
	secrets, err := a.o.Operator.OwnSecrets(r.Context(), by)
	if err != nil {
		a.failed(w, r, by, "/you", "You", err)
		return
	}
	links = slices.DeleteFunc(links, func(l identity.Link) bool { return l.Member != m.ID })
	a.show(w, r, by, shown{title: "You", active: "/you", notice: notice, status: status, body: []Node{
		web.Heading("You", "What is yours alone: how you are called, your accounts, your secrets."),
		boosted(
			web.Card("Your name", ownName(m)),
			web.Card("Your accounts", a.ownAccounts(links),
				Form(Class("after"), Method("post"), Action("/you/code"), Button(Class("primary"), Type("submit"), Text("Link another account")))),
			web.Card("Your secrets", P(Text("Tools use them in your turns alone. Nobody sees the values again, not even you.")), a.ownSecrets(secrets)),
			web.Card("Keep a secret", ownSecretForm(r, status != http.StatusOK)),
		),
	}})
}

func ownName(m identity.Member) Node {
	return Form(Class("row"), Method("post"), Action("/you/name"),
		Input(Name("name"), Value(m.Name), Required(), MaxLength("80"), AutoComplete("nickname"), Aria("label", "Your name")),
		Button(Type("submit"), Text("Rename")), Small(Textf("You are %s here.", m.Role)))
}

func (a *Admin) ownAccounts(links []identity.Link) Node {
	if len(links) == 0 {
		return web.Empty(web.Person, "No account yet", "The bot knows you on this console alone. Link an account of yours, and it knows you there, too.")
	}
	return Ul(Class("list"), Map(links, func(l identity.Link) Node {
		called := l.Name
		if called == "" {
			called = l.Sender
		}
		return Li(
			Div(Class("what"), Strong(Text(called)), Small(Textf("on %s · linked ", l.Channel), web.Ago(l.At, a.o.Now()))),
			Div(Class("actions"), ask("Unlink", fmt.Sprintf("Unlink %s? The bot will not know you there.", called), "/you/unlink",
				hidden("channel", string(l.Channel)), hidden("account", string(l.Account)), hidden("sender", l.Sender))),
		)
	}))
}

func (a *Admin) ownSecrets(all []vault.Meta) Node {
	if len(all) == 0 {
		return web.Empty(web.Key, "No secrets yet", "A token of yours, for a tool that works with an account of yours, belongs here.")
	}
	return Ul(Class("list"), Map(all, func(m vault.Meta) Node {
		name, _, _ := strings.Cut(m.Name, "@")
		at := "/you/secrets/" + url.PathEscape(name)
		return Li(
			Div(Class("what"),
				Strong(Class("mono"), Text(name)),
				Small(Textf("version %d · changed ", m.Version), web.Ago(m.Changed, a.o.Now())),
				secretUse(m),
			),
			Div(Class("actions"), rotation(name, at+"/rotate"), ask("Delete", fmt.Sprintf("Delete %s? What uses it stops working.", name), at+"/delete")),
		)
	}))
}

// secretUse says where a secret may go, as what, and which tools may use it.
func secretUse(m vault.Meta) Node {
	goes := "goes nowhere yet: it names no host"
	if len(m.Hosts) > 0 {
		goes = "goes to " + strings.Join(m.Hosts, ", ")
	}
	if m.Format.Kind != vault.InPlace {
		goes += " as " + string(m.Format.Kind)
	}
	var tools []string
	for _, g := range m.Grants {
		tools = append(tools, g.Name)
	}
	slices.Sort(tools)
	if tools = slices.Compact(tools); len(tools) > 0 {
		goes += " · used by " + strings.Join(tools, ", ")
	}
	return Small(Text(goes))
}

// rotation asks for a new value in place.
func rotation(name, action string) Node {
	id := "value-" + name
	return Details(Class("ask"),
		Summary(Class("button"), Role("button"), Text("New value")),
		Form(Class("row"), Method("post"), Action(action),
			Input(ID(id), Name("value"), Type("password"), Required(), AutoComplete("off"), Attr("spellcheck", "false"),
				Aria("label", "New value of "+name), Placeholder("New value")),
			Button(Class("primary"), Type("submit"), Text("Replace")),
		),
	)
}

// ownSecretForm keeps what was typed when it was refused, except the value.
func ownSecretForm(r *http.Request, keep bool) Node {
	name, host := "", ""
	if keep {
		name, host = r.PostFormValue("name"), r.PostFormValue("host")
	}
	return Form(Class("form"), Method("post"), Action("/you/secrets"),
		web.Field("name", "Name", "Small letters, digits and hyphens. A name that exists gets a new version.",
			Input(ID("name"), Name("name"), Required(), Value(name), MaxLength("64"), AutoComplete("off"), Attr("autocapitalize", "none"), Attr("spellcheck", "false"))),
		web.Field("host", "Where it may be sent", "A host such as api.example.com; more of them with commas between.",
			Input(ID("host"), Name("host"), Value(host), AutoComplete("off"), Attr("autocapitalize", "none"), Attr("spellcheck", "false"))),
		web.Field("as", "Sent as", "The command line knows further kinds.", Select(ID("as"), Name("as"),
			Option(Value(string(vault.Bearer)), Text("Bearer token")), Option(Value(string(vault.Basic)), Text("Login: user:password")),
			Option(Value(""), Text("Where its placeholder stands")))),
		web.Field("value", "Value", "", Input(ID("value"), Name("value"), Type("password"), Required(), AutoComplete("off"), Attr("spellcheck", "false"))),
		Label(Class("check"), Input(Type("checkbox"), Name("tool"), Value(requestTool), Checked()), Text("My agent may use it for requests")),
		Div(Class("actions"), Button(Class("primary"), Type("submit"), Text("Keep it"))),
	)
}

// requestTool is the tool to which a member's own secrets can be granted here.
const requestTool = "http_request"

// hidden is a field that nobody sees.
func hidden(name, value string) Node { return Input(Type("hidden"), Name(name), Value(value)) }

func (a *Admin) renameSelf(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	m, err := a.o.Operator.Rename(r.Context(), by, by.Member(), strings.TrimSpace(r.PostFormValue("name")))
	a.toldYou(w, r, by, err, P(Textf("You are called %s from now on.", m.Name)))
}

func (a *Admin) linkSelf(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	code, err := a.o.Operator.OwnCode(r.Context(), by)
	if err != nil {
		a.toldYou(w, r, by, err)
		return
	}
	bots, err := a.bots(r, by)
	if err != nil {
		a.toldYou(w, r, by, err)
		return
	}
	a.showYou(w, r, by, web.Card("Link another account",
		P(Text("Send this code to the bot in a direct chat, from the account that is to be yours:")),
		P(Class("code"), Code(ID("own-code"), Text(code))),
		reachable(bots),
		P(Class("small"), Text("It works once, within 15 minutes. Do not pass it on: whoever sends it is you.")),
	), http.StatusOK)
}

// reachable says where a bot can be written to.
func reachable(bots []operator.Bot) Node {
	if len(bots) == 0 {
		return P(Class("muted"), Text("There is no channel yet on which you could send it. Whoever administers the bot adds one."))
	}
	return P(Text("The bot is "), Map(bots, func(b operator.Bot) Node {
		sep := ""
		if b != bots[0] {
			sep = ", "
		}
		if b.As == "" {
			return Group{Text(sep), Strong(Text(string(b.Channel)))}
		}
		return Group{Text(sep), Strong(Text(b.As)), Textf(" on %s", b.Channel)}
	}), Text("."))
}

// bots are the channels of somebody's workspace, without this console.
func (a *Admin) bots(r *http.Request, by scope.Scope) ([]operator.Bot, error) {
	all, err := a.o.Operator.Bots(r.Context(), by)
	return slices.DeleteFunc(all, func(b operator.Bot) bool { return b.Channel == a.o.Console }), err
}

func (a *Admin) unlinkSelf(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	err := a.o.Operator.Unlink(r.Context(), by, identity.Link{
		Channel: channels.ID(r.PostFormValue("channel")), Account: channels.AccountID(r.PostFormValue("account")), Sender: r.PostFormValue("sender"),
	})
	a.toldYou(w, r, by, err, P(Text("The account is unlinked.")))
}

func (a *Admin) setOwnSecret(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	name, value := strings.TrimSpace(r.PostFormValue("name")), r.PostFormValue("value")
	if value == "" {
		a.showYou(w, r, by, web.Notice(web.Bad, P(Text("A secret needs a value."))), http.StatusUnprocessableEntity)
		return
	}
	to := operator.SecretSetting{Hosts: words(r.PostFormValue("host")), Format: &vault.Format{Kind: vault.Kind(r.PostFormValue("as"))}}
	full := vault.OwnedBy(name, by.Member())
	warning, err := a.o.Operator.SetSecret(r.Context(), by, full, []byte(value), to)
	if err == nil && r.PostFormValue("tool") != "" {
		err = a.o.Operator.GrantSecret(r.Context(), by, full, vault.Grant{Kind: "tool", Name: requestTool})
	}
	a.toldYou(w, r, by, err, P(Textf("%s was kept.", name)), If(warning != "", P(Class("small"), Text(sentence(warning)))))
}

// words are what stands between commas and spaces.
func words(s string) []string {
	return strings.FieldsFunc(s, func(c rune) bool { return c == ',' || c == ' ' })
}

func (a *Admin) rotateOwnSecret(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	name, value := r.PathValue("name"), r.PostFormValue("value")
	if value == "" {
		a.showYou(w, r, by, web.Notice(web.Bad, P(Text("A secret needs a value."))), http.StatusUnprocessableEntity)
		return
	}
	warning, err := a.o.Operator.RotateSecret(r.Context(), by, vault.OwnedBy(name, by.Member()), []byte(value))
	a.toldYou(w, r, by, err, P(Textf("%s has a new value.", name)), If(warning != "", P(Class("small"), Text(sentence(warning)))))
}

func (a *Admin) deleteOwnSecret(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	name := r.PathValue("name")
	a.toldYou(w, r, by, a.o.Operator.DeleteSecret(r.Context(), by, vault.OwnedBy(name, by.Member())), P(Textf("%s was deleted.", name)))
}

// toldYou shows the page again, with how an action ended.
func (a *Admin) toldYou(w http.ResponseWriter, r *http.Request, by scope.Scope, err error, said ...Node) {
	if err != nil {
		n, status := a.notice(r, err)
		a.showYou(w, r, by, n, status)
		return
	}
	a.showYou(w, r, by, web.Notice(web.Good, said...), http.StatusOK)
}
