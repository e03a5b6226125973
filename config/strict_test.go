package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/config"
)

const lax = `data: /srv/gatehouse/data
key: /srv/gatehouse/key
store: postgres://user:password@host/db
models:
  default: {provider: openai, model: m, api_key: sk-in-plain-text}
channels:
  support:
    adapter: telegram
    token: ${TOKEN}
    dm: open
    groups: open
`

func TestInvariant04StrictFaultsEverythingAtOnce(t *testing.T) {
	secrets := []string{
		"line 5: models.default.api_key: a secret stands here: gatehouse secrets set default, and write secret://default",
		"line 9: channels.support.token: a secret stands here: gatehouse secrets set support-token, and write secret://support-token",
	}
	store := "line 3: store: a password stands here: take it out, and put it into the file that PGPASSFILE names"
	o := options()
	o.Getenv = func(string) (string, bool) { return "100:the-token-from-the-environment", true }
	faults := func(text string, strict bool) []string {
		o.Strict = strict
		_, all := config.Parse([]byte(text), o)
		var out []string
		for _, f := range all.Errors() {
			out = append(out, f.String())
		}
		return out
	}
	if got := faults(lax, false); got != nil {
		t.Errorf("without strictness: %q", got)
	}
	if diff := cmp.Diff(append([]string{store}, secrets...), faults(lax+"vault: {strict: true}\n", false)); diff != "" {
		t.Errorf("the vault alone: %s", diff)
	}
	want := append([]string{
		"line 2: key: lies beside 'data', in the same folder, and is copied with it: choose another folder, or another source", store,
	}, append(secrets,
		"line 10: channels.support.dm: everybody may write to it: pairing asks you about each, allowlist names who may",
		"line 11: channels.support.groups: it answers in every room that it is added to: allowlist names the rooms",
	)...)
	if diff := cmp.Diff(want, faults(lax, true)); diff != "" {
		t.Errorf("the whole: %s", diff)
	}
	const sound = `data: /srv/gatehouse/data
key: /etc/gatehouse/key
models:
  default: {provider: openai, model: m, api_key: secret://openai}
channels:
  support: {adapter: telegram, token: secret://bot}
  proved: {adapter: slack, token: secret://bot}
vault: {strict: true}
`
	if got := faults(sound, true); got != nil {
		t.Errorf("a sound one: %q", got)
	}
}
