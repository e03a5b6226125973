package ingress

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	. "maragu.dev/gomponents"
	. "maragu.dev/gomponents/html"

	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/internal/web"
	"github.com/gatehouse-chat/gatehouse/vault"
)

func (a *Admin) secretsPage(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	a.showSecrets(w, r, by, nil, http.StatusOK)
}

func (a *Admin) showSecrets(w http.ResponseWriter, r *http.Request, by scope.Scope, notice Node, status int) {
	all, err := a.o.Operator.Secrets(r.Context(), by)
	if err != nil {
		a.failed(w, r, by, "/secrets", "Secrets", err)
		return
	}
	body := web.Empty(web.Key, "The vault is empty", "Keys of models and tokens of channels come here by themselves when you set them up.")
	if len(all) > 0 {
		body = Ul(Class("list"), Map(all, func(m vault.Meta) Node { return Li(a.secret(m)) }))
	}
	keep := ""
	if status != http.StatusOK { // what was typed stays, except the value
		keep = r.PostFormValue("name")
	}
	a.show(w, r, by, shown{title: "Secrets", active: "/secrets", notice: notice, status: status, body: []Node{
		web.Heading("Secrets", "What the vault holds, encrypted. Values go in and never come out; the configuration names them as secret://name."),
		boosted(
			web.Card("In the vault", body),
			web.Card("Set a secret", P(Text("A name that exists gets a new version.")),
				Form(Class("form"), Method("post"), Action("/secrets"),
					web.Field("name", "Name", "Small letters, digits and hyphens.", Input(ID("name"), Name("name"), Required(), Value(keep), MaxLength("64"), AutoComplete("off"), Attr("autocapitalize", "none"), Attr("spellcheck", "false"))),
					web.Field("value", "Value", "", Input(ID("value"), Name("value"), Type("password"), Required(), AutoComplete("off"), Attr("spellcheck", "false"))),
					Div(Class("actions"), Button(Class("primary"), Type("submit"), Text("Keep it"))),
				)),
		),
	}})
}

func (a *Admin) secret(m vault.Meta) Node {
	hosts := ""
	if len(m.Hosts) > 0 {
		hosts = " · goes to " + strings.Join(m.Hosts, ", ")
	}
	return Group{
		Div(Class("what"),
			Strong(Class("mono"), Text(m.Name)),
			Small(Textf("version %d · changed ", m.Version), web.Ago(m.Changed, a.o.Now()), Text(hosts)),
		),
		Div(Class("actions"), ask("Delete", fmt.Sprintf("Delete %s? What uses it stops working.", m.Name), "/secrets/"+url.PathEscape(m.Name)+"/delete")),
	}
}

func (a *Admin) setSecret(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	name, value := strings.TrimSpace(r.PostFormValue("name")), r.PostFormValue("value")
	if value == "" {
		a.showSecrets(w, r, by, web.Notice(web.Bad, P(Text("A secret needs a value."))), http.StatusUnprocessableEntity)
		return
	}
	warning, err := a.o.Operator.SetSecret(r.Context(), by, name, []byte(value), operator.SecretSetting{})
	if err != nil {
		n, status := a.notice(r, err)
		a.showSecrets(w, r, by, n, status)
		return
	}
	if warning != "" {
		a.showSecrets(w, r, by, web.Notice(web.Busy, P(Textf("%s was kept.", name)), P(Class("small"), Text(sentence(warning)))), http.StatusOK)
		return
	}
	a.showSecrets(w, r, by, web.Notice(web.Good, P(Textf("%s was kept.", name))), http.StatusOK)
}

func (a *Admin) deleteSecret(w http.ResponseWriter, r *http.Request, by scope.Scope) {
	name := r.PathValue("name")
	if err := a.o.Operator.DeleteSecret(r.Context(), by, name); err != nil {
		n, status := a.notice(r, err)
		a.showSecrets(w, r, by, n, status)
		return
	}
	a.showSecrets(w, r, by, web.Notice(web.Good, P(Textf("%s was deleted.", name))), http.StatusOK)
}
