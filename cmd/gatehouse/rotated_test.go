package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels/proof"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

// TestInvariant04ReplacedAndMissingSecretsDeny: whoever calls with a secret that
// was replaced is refused from that moment on, although the gateway keeps the
// lease of one for a while; and once there is none, everybody is.
func TestInvariant04ReplacedAndMissingSecretsDeny(t *testing.T) {
	state := inprocess.New(inprocess.Options{})
	t.Cleanup(func() { _ = state.Close() })
	v := vaulttest.Open(t, state, vaulttest.NewKey(t))
	ref, _ := vault.ParseRef("secret://hook")
	if err := v.Configure(workspace, vault.Binding{Ref: ref, Kind: vault.ForChannel, Name: "c"}); err != nil {
		t.Fatal(err)
	}
	b := &border{gate: egress.New(egress.Options{}), vault: v, state: state, workspace: workspace}
	section, err := json.Marshal(map[string]string{})
	if err != nil {
		t.Fatal(err)
	}
	o := b.channel(gateway.ChannelConfig{ID: "c", Driver: talking{}, Section: section})
	c, err := proof.New(proof.Spec{Kind: proof.Bearer, Secret: "secret://hook"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	verifier, ok := o.(proof.Verifier)
	if !ok {
		t.Fatal("the channel's way out judges no requests")
	}
	shows := func(value string) bool {
		err := verifier.Verify(t.Context(), c, proof.Request{Header: http.Header{"Authorization": {"Bearer " + value}}, At: time.Now()})
		if err != nil && !errors.Is(err, proof.ErrRefused) && !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("%v", err)
		}
		return err == nil
	}
	const before, after = "the-value-before-it", "the-value-after-it"
	for _, step := range []struct {
		name   string
		do     func() error
		admits string
	}{
		{"nothing is stored", func() error { return nil }, ""},
		{"stored", func() error { _, err := v.Set(t.Context(), workspace, "hook", []byte(before), nil); return err }, before},
		{"replaced", func() error {
			_, err := v.Rotate(t.Context(), workspace, "hook", func([]byte) ([]byte, error) { return []byte(after), nil })
			return err
		}, after},
		{"deleted", func() error { return v.Delete(t.Context(), workspace, "hook") }, ""},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		for _, value := range []string{before, after, "", " "} {
			if got, want := shows(value), value != "" && value == step.admits; got != want {
				t.Errorf("%s: %q is let in: %v", step.name, value, got)
			}
		}
	}
}
