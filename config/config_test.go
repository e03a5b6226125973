package config_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/config"
)

var update = flag.Bool("update", false, "write the golden files")

// adapters stands for a build with one adapter, which takes a token.
type adapters struct{}

func (adapters) Names() []string { return []string{"telegram", "slack"} }

func (adapters) DM(adapter string) string {
	if adapter == "slack" {
		return "open"
	}
	return ""
}

func (adapters) Check(_ string, section json.RawMessage) []config.Fault {
	var keys map[string]any
	if err := json.Unmarshal(section, &keys); err != nil {
		return []config.Fault{{Text: err.Error()}}
	}
	var out []config.Fault
	for k := range keys {
		if k != "token" && k != "base_url" {
			out = append(out, config.Fault{Path: k, Text: "is not a key of a telegram channel"})
		}
	}
	if keys["token"] == nil {
		out = append(out, config.Fault{Path: "token", Text: "is missing"})
	}
	return out
}

func options() config.Options {
	return config.Options{
		Adapters: adapters{}, Providers: []string{"openai", "anthropic", "ollama", "compatible", "none"},
		Getenv: func(name string) (string, bool) {
			v, ok := map[string]string{"TOKEN": "from-the-environment"}[name]
			return v, ok
		},
	}
}

// TestMistakes reads a corpus in which each file is named after its mistake.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/mistakes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			_, faults := config.Parse(text, options())
			if len(faults) == 0 {
				t.Error("the mistake was not found")
			}
			golden(t, strings.TrimSuffix(f, ".yaml")+".txt", faults.Error()+"\n")
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Error(d)
	}
}

const whole = `
listen: 127.0.0.1:9000            # webhooks
admin: 127.0.0.1:9001
data: /srv/data
key: /srv/key
store: postgres://user@host/db
models:
  default: {provider: openai, model: gpt-5-mini, base_url: "https://api.openai.com/v1", api_key: secret://openai}
  spare: {provider: ollama, model: llama, price_in: 0.5, fallbacks: [default]}
agent: {model: default, instructions: "Be kind.", queue: collect, max_turns: 8, daily_spend: 2.5}
channels:
  support:
    adapter: telegram
    base_url: https://api.telegram.org
    token: ${TOKEN}
    dm: allowlist
    allow: [7527593, "0042", -1001234567890, "@ada:example.org"]
    send_rate: unlimited
    stream: off
`

// usual is a key in a file.
func usual(path string) config.Key {
	return config.Key{Source: config.KeyFile, Path: path, Name: "gatehouse-key", State: path + ".version"}
}

func TestParse(t *testing.T) {
	c, faults := config.Parse([]byte(whole), options())
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	half := 0.5
	want := config.Default()
	want.Listen, want.Admin, want.Data, want.Key = "127.0.0.1:9000", "127.0.0.1:9001", "/srv/data", usual("/srv/key")
	want.Store = "postgres://user@host/db"
	want.Models = map[string]config.Model{
		"default": {Provider: "openai", Model: "gpt-5-mini", BaseURL: "https://api.openai.com/v1", APIKey: "secret://openai"},
		"spare":   {Provider: "ollama", Model: "llama", PriceIn: &half, Fallbacks: []string{"default"}},
	}
	want.Agent = config.Agent{Model: "default", Instructions: "Be kind.", Queue: "collect", MaxTurns: 8, DailySpend: 2.5}
	want.Channels = map[string]config.Channel{"support": {
		Adapter: "telegram", DM: "allowlist", Groups: "allowlist", Mention: true,
		// An id keeps its digits, whatever number YAML would make of it.
		Allow: []string{"7527593", "0042", "-1001234567890", "@ada:example.org"}, SendRate: "unlimited", Stream: "off", Documents: "off",
		Section: json.RawMessage(`{"base_url":"https://api.telegram.org","token":"from-the-environment"}`), Line: 12,
	}}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
}

func TestNothingIsAValidConfiguration(t *testing.T) {
	for _, text := range []string{"", "\n", "# only a comment\n", "channels:\n", "---\n"} {
		if _, faults := config.Parse([]byte(text), options()); len(faults) > 0 {
			t.Errorf("%q: %v", text, faults)
		}
	}
}

func TestOverrideWins(t *testing.T) {
	o := options()
	o.Override = func(c *config.Config) { c.Listen = "127.0.0.1:7" }
	c, faults := config.Parse([]byte("listen: 127.0.0.1:1\n"), o)
	if len(faults) > 0 || c.Listen != "127.0.0.1:7" {
		t.Errorf("listen %q, %v", c.Listen, faults)
	}
}

func TestNoFaultShowsAPassword(t *testing.T) {
	_, faults := config.Parse([]byte("store: mysql://user:hunter2@host/db\nmodels: {default: {provider: openai, api_key: sk-hunter2}}\n"), options())
	if strings.Contains(faults.Error(), "hunter2") {
		t.Error(faults)
	}
}

func TestSchemaIsJSONAndKnowsEveryKey(t *testing.T) {
	b, err := config.Schema(map[string][]byte{"telegram": []byte(`{"properties":{"token":{"type":"string"}},"required":["token"]}`)}, []string{"openai"})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/schema.json", string(b)+"\n")
	for _, key := range []string{"listen", "trusted_proxies", "daily_spend", "send_rate", "token", "price_in"} {
		if !strings.Contains(string(b), `"`+key+`"`) {
			t.Errorf("the schema does not know %q", key)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/mistakes/*.yaml")
	for _, name := range files {
		if b, err := os.ReadFile(name); err == nil {
			f.Add(b)
		}
	}
	f.Add([]byte(whole))
	f.Add([]byte("a: &a [*a]\nb: *a\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, faults := config.Parse(text, options())
		for id, ch := range c.Channels {
			if len(faults.Errors()) == 0 && !json.Valid(ch.Section) {
				t.Errorf("channel %s: section %q is not JSON", id, ch.Section)
			}
		}
	})
}

func FuzzEdit(f *testing.F) {
	f.Add([]byte(whole), "support")
	f.Add([]byte("channels: {}\n"), "a")
	f.Fuzz(func(t *testing.T, text []byte, name string) {
		out, err := config.Edit(text, []string{"channels", name}, map[string]any{"adapter": "telegram"})
		if err != nil {
			return
		}
		again, err := config.Edit(out, []string{"channels", name}, map[string]any{"adapter": "telegram"})
		if err != nil || string(again) != string(out) {
			t.Errorf("a second edit changed it: %v\n%s\n%s", err, out, again)
		}
	})
}
