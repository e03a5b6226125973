package wasm_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/internal/module"
)

// TestPlaces: where a manifest says that a place differs, its features do, and
// nothing else; what cannot differ is refused.
func TestPlaces(t *testing.T) {
	d := wasm.NewDriver(wasm.Options{})
	t.Cleanup(func() { _ = d.Close() })
	code := asks("https://api.example.org/v1/x")
	public, key, _ := ed25519.GenerateKey(nil)
	section := func(places string) json.RawMessage {
		manifest := fmt.Appendf(nil, `{"id":"placed","version":"1.0.0","abi":"gw1","kind":["channel"],"sha256":"%x",
			"features":{"abilities":["typing"],"dialect":"commonmark","max_text":100,"max_file":7,"max_buttons":3,"places":%s}}`, sha256.Sum256(code), places)
		b, err := module.Pack(manifest, code, key)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "placed.gwm")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, _ := json.Marshal(map[string]string{"module": path, "publisher": module.Publisher(public).String()})
		return cfg
	}
	ch, err := d.Open(t.Context(), channeltest.NewHost(t), section(`[{"conversations":"19:","features":{"max_file":0,"max_text":50}}]`))
	if err != nil {
		t.Fatal(err)
	}
	for conversation, want := range map[channels.ConversationID][3]int{"a:1": {100, 7, 3}, "19:x": {50, 0, 3}, "": {100, 7, 3}, "119:": {100, 7, 3}} {
		f := ch.Features(channels.Address{Conversation: conversation})
		if got := [3]int{f.MaxText, int(f.MaxFile), f.MaxButtons}; got != want || f.TypingFor != 0 {
			t.Errorf("%q has %v, want %v", conversation, got, want)
		}
	}
	for _, bad := range []string{
		`[{"features":{"max_file":0}}]`, `[{"conversations":"x","features":{"no_such":0}}]`, `[{"conversations":"x","features":{"abilities":[]}}]`,
		`[{"conversations":"x","features":{"abilities":["edit"]}}]`,
		`[{"conversations":"x","features":{"dialect":"plain"}}]`,
	} {
		faults := d.Check(section(bad))
		if len(faults) != 1 || !strings.Contains(faults[0].Text, "features.places[0]") {
			t.Errorf("%s: %v", bad, faults)
		}
	}
}
