//go:build !nowhatsapp

package whatsapp_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp"
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/whatsapptest"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

// TestSections: the key of another server is taken only for one on this machine.
func TestSections(t *testing.T) {
	key := whatsapptest.Key()
	for _, c := range []struct {
		name, in string
		want     []string // paths of faults
	}{
		{"empty", `{}`, nil},
		{"unread", `{"read": false}`, nil},
		{"an emulator", `{"base_url": "http://127.0.0.1:8090", "trust": "` + key + `"}`, nil},
		{"on this machine by name", `{"base_url": "http://localhost:8090/x", "trust": "` + key + `"}`, nil},
		{"another server", `{"base_url": "https://example.org", "trust": "` + key + `"}`, []string{"trust"}},
		{"a server that looks near", `{"base_url": "http://127.0.0.1.example.org", "trust": "` + key + `"}`, []string{"trust"}},
		{"no server", `{"trust": "` + key + `"}`, []string{"trust"}},
		{"half a key", `{"base_url": "http://127.0.0.1", "trust": "abcd"}`, []string{"trust"}},
		{"no URL", `{"base_url": "whatsapp"}`, []string{"base_url"}},
		{"a typo", `{"raed": true}`, []string{"raed"}},
		{"a word", `{"read": "yes"}`, []string{"read"}},
	} {
		var got []string
		for _, f := range (whatsapp.Driver{}).Check(json.RawMessage(c.in)) {
			got = append(got, f.Path)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s:\n%s", c.name, d)
		}
	}
	if f := (whatsapp.Driver{}).Check(json.RawMessage(`{"raed": true}`)); !strings.Contains(f[0].Text, "did you mean read?") {
		t.Errorf("a typo is met with %q", f[0].Text)
	}
}

// TestOneTrustForAProcess: whatsmeow knows one key, so that a channel of the
// real WhatsApp cannot be opened beside an emulated one.
func TestOneTrustForAProcess(t *testing.T) {
	s := newStage(t)
	open := func(cfg string) error {
		_, err := whatsapp.Driver{}.Open(t.Context(), channeltest.NewHost(t), json.RawMessage(cfg))
		return err
	}
	if err := open(string(s.config())); err != nil {
		t.Error(err)
	}
	if err := open(`{}`); err == nil {
		t.Error("a channel of WhatsApp itself is opened where an emulator is trusted")
	}
	if err := open(`{"base_url": "http://127.0.0.1", "trust": "` + strings.Repeat("ab", 32) + `"}`); err == nil {
		t.Error("a second key is trusted")
	}
}
