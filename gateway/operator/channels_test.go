package operator_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/operator"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

func TestAddChannel(t *testing.T) {
	r := newRig(t)
	added, err := r.AddChannel(t.Context(), r.owner, "Support", "fake", map[string]string{"token": " token-of-the-bot \n", "app_token": "token-of-the-app"}, map[string]any{"mode": "poll"})
	if err != nil {
		t.Fatal(err)
	}
	if added.Identity.Handle != "bot" || !strings.HasPrefix(added.Link, "https://example.org/") {
		t.Errorf("added %+v", added)
	}
	want := map[string]any{"token": "secret://support-token", "app_token": "secret://support-app-token", "mode": "poll"}
	if d := cmp.Diff(want, r.settings.section); d != "" {
		t.Error(d)
	}
	if got := r.value(t, "support-token"); got != "token-of-the-bot" {
		t.Errorf("the vault holds %q", got)
	}
	if _, err := r.AddChannel(t.Context(), r.owner, "Support", "fake", map[string]string{"token": "another-token-x"}, nil); !errors.Is(err, operator.ErrConflict) {
		t.Errorf("added twice: %v", err)
	}
}

// TestAddChannelLeavesNothingBehind, and touches no secret that is not its own.
func TestAddChannelLeavesNothingBehind(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name  string
		id    channels.ID
		token string
		set   settings
		want  []string
	}{
		{"invalid", "c", "token-of-the-bot", settings{invalid: broken}, []string{"c-token"}},
		{"refused by the platform", "c", "token-of-the-bot", settings{probe: broken}, []string{"c-token"}},
		{"not applied", "c", "token-of-the-bot", settings{apply: broken}, []string{"c-token"}},
		{"written and not applied", "c", "token-of-the-bot", settings{apply: broken, written: true}, []string{"c-token", "c-token-2"}},
		{"added", "c", "token-of-the-bot", settings{}, []string{"c-token", "c-token-2"}},
		{"no token", "c", " \n", settings{}, []string{"c-token"}},
		{"no name for a secret", "../c", "token-of-the-bot", settings{}, []string{"c-token"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			*r.settings = tt.set
			if _, err := r.SetSecret(t.Context(), r.owner, "c-token", []byte("somebody else's secret"), operator.SecretSetting{}); err != nil {
				t.Fatal(err)
			}
			_, err := r.AddChannel(t.Context(), r.owner, tt.id, "fake", map[string]string{"token": tt.token}, map[string]any{"token": "in plain sight"})
			if (err == nil) != (tt.name == "added") {
				t.Errorf("error %v", err)
			}
			if d := cmp.Diff(tt.want, r.secrets(t)); d != "" {
				t.Error(d)
			}
			if got := r.value(t, "c-token"); got != "somebody else's secret" {
				t.Errorf("the secret that was there is now %q", got)
			}
			if tt.name == "added" && r.settings.section["token"] != "secret://c-token-2" {
				t.Errorf("the channel is given %v", r.settings.section["token"])
			}
		})
	}
}

// What a channel has left in the vault is said by name, unless another one uses it.
func TestARemovedChannelSaysWhatItLeaves(t *testing.T) {
	r := newRig(t)
	if _, err := r.CreateWorkspace(t.Context(), r.owner, "guild", "The guild"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hall-token", "shared"} {
		if _, err := r.vault.Set(t.Context(), "guild", name, []byte("a-value-that-is-long"), nil); err != nil {
			t.Fatal(err)
		}
	}
	section := json.RawMessage(`{"token":"secret://hall-token","again":{"x":["secret://hall-token"]},"app":"secret://shared","gone":"secret://never-set"}`)
	r.settings.list = []gateway.ChannelConfig{
		{ID: "hall", Driver: driver{r.settings}, Section: section, Policy: identity.Policy{Workspace: "guild"}},
		{ID: "yard", Driver: driver{r.settings}, Section: json.RawMessage(`{"token":"secret://shared"}`), Policy: identity.Policy{Workspace: "guild"}},
		{ID: "home", Driver: driver{r.settings}, Section: json.RawMessage(`{"token":"secret://hall-token"}`)},
	}
	left, err := r.RemoveChannel(t.Context(), r.owner, "hall")
	if d := cmp.Diff(operator.Removed{Workspace: "guild", Secrets: []string{"hall-token"}}, left); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
}

// TestStartLinkOfAnotherWorkspace is made by the home's owner alone, and makes
// its reader the owner of that workspace.
func TestStartLinkOfAnotherWorkspace(t *testing.T) {
	r := newRig(t)
	if _, err := r.CreateWorkspace(t.Context(), r.owner, "guild", "The guild"); err != nil {
		t.Fatal(err)
	}
	r.settings.list = []gateway.ChannelConfig{
		{ID: "hall", Driver: driver{r.settings}, Policy: identity.Policy{Workspace: "guild"}},
		{ID: "home", Driver: driver{r.settings}},
	}
	link, err := r.StartLink(t.Context(), r.owner, "hall")
	if err != nil || link == "" {
		t.Fatalf("no link: %q, %v", link, err)
	}
	made := func(workspace string) int {
		t.Helper()
		codes, err := r.store.List(t.Context(), "identity", workspace+"/code/", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		return len(codes)
	}
	if here, there := made("main"), made("guild"); here != 0 || there != 1 {
		t.Errorf("codes at home %d, in the guild %d", here, there)
	}
	admin := r.join(t, "main", "anna", scope.Admin)
	if link, err := r.StartLink(t.Context(), admin, "hall"); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("an admin of the home gets %q, %v", link, err)
	}
	theirs := scope.New(scope.Principal{Workspace: "guild", Member: identity.OwnerID, Role: scope.Owner})
	if link, err := r.StartLink(t.Context(), theirs, "home"); err == nil {
		t.Errorf("the guild's owner gets %q for a channel of the home", link)
	}
}
