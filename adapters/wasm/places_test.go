package wasm_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/internal/module"
)

// TestSections: where a manifest says that a kind of section differs, the features
// of its channels do.
func TestSections(t *testing.T) {
	d := wasm.NewDriver(wasm.Options{})
	t.Cleanup(func() { _ = d.Close() })
	code := asks("https://api.example.org/v1/x")
	public, key, _ := ed25519.GenerateKey(nil)
	section := func(sections string, keys map[string]any) json.RawMessage {
		manifest := fmt.Appendf(nil, `{"id":"various","version":"1.0.0","abi":"gw1","kind":["channel"],"sha256":"%x",
			"features":{"max_text":100,"places":[{"conversations":"19:","features":{"max_text":50}}],"sections":%s},
			"config_schema":{"properties":{"to":{"type":"string"},"files":{"type":"boolean","default":true},"much":{"type":"boolean"}}}}`, sha256.Sum256(code), sections)
		b, err := module.Pack(manifest, code, key)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "various.gwm")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		all := map[string]any{"module": path, "publisher": module.Publisher(public).String()}
		maps.Copy(all, keys)
		cfg, _ := json.Marshal(all)
		return cfg
	}
	const good = `[{"keys":["to","files"],"features":{"max_file":7}},{"keys":["much"],"features":{"max_text":200}}]`
	for _, c := range []struct {
		keys map[string]any
		want [3]int // of a text, there, of a file
	}{
		{nil, [3]int{100, 50, 0}},
		{map[string]any{"to": "x"}, [3]int{100, 50, 7}},
		{map[string]any{"to": "x", "files": false}, [3]int{100, 50, 0}},
		{map[string]any{"to": "x", "much": true}, [3]int{200, 50, 7}},
		{map[string]any{"much": false}, [3]int{100, 50, 0}},
	} {
		ch, err := d.Open(t.Context(), channeltest.NewHost(t), section(good, c.keys))
		if err != nil {
			t.Fatal(err)
		}
		f := ch.Features(channels.Address{})
		if got := [3]int{f.MaxText, ch.Features(channels.Address{Conversation: "19:x"}).MaxText, int(f.MaxFile)}; got != c.want {
			t.Errorf("%v: %v, want %v", c.keys, got, c.want)
		}
	}
	for _, bad := range []string{
		`[{"features":{"max_file":7}}]`, `[{"keys":["other"],"features":{"max_file":7}}]`, `[{"keys":["to"],"features":{"no_such":7}}]`,
		`[{"keys":["to"],"features":{"abilities":["edit"]}}]`, `[{"keys":["to"],"features":{"places":[]}}]`,
	} {
		faults := d.Check(section(bad, nil))
		if len(faults) != 1 || !strings.Contains(faults[0].Text, "features.sections[0]") {
			t.Errorf("%s: %v", bad, faults)
		}
	}
}

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
