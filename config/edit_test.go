package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/config"
)

func TestEditLeavesTheRestAlone(t *testing.T) {
	section := map[string]any{"adapter": "telegram", "token": "secret://support-token"}
	tests := []struct {
		name, in string
		value    any
		want     string
	}{
		{"empty file", "", section, "channels:\n  support:\n    adapter: telegram\n    token: secret://support-token\n"},
		{
			"no section yet", "listen: 127.0.0.1:1 # mine\n", section,
			"listen: 127.0.0.1:1 # mine\n\nchannels:\n  support:\n    adapter: telegram\n    token: secret://support-token\n",
		},
		{
			"between others", "channels:\n    # the first\n    a:\n        adapter: x # why\n\n# the agent\nagent:\n    model: m\n", section,
			"channels:\n    # the first\n    a:\n        adapter: x # why\n    support:\n      adapter: telegram\n      token: secret://support-token\n\n# the agent\nagent:\n    model: m\n",
		},
		{
			"in the place of itself", "channels:\n  support:\n    adapter: old\n    allow: [a]\n  b: {adapter: y}\n", section,
			"channels:\n  support:\n    adapter: telegram\n    token: secret://support-token\n  b: {adapter: y}\n",
		},
		{"removed", "channels:\n  support:\n    adapter: old\n  b: {adapter: y}\n", nil, "channels:\n  b: {adapter: y}\n"},
		{"removed as the last", "channels:\n  support:\n    adapter: old\nstore: sqlite\n", nil, "channels:\nstore: sqlite\n"},
		{"removed though absent", "store: sqlite\n", nil, "store: sqlite\n"},
		{"an empty flow section", "channels: {}\n", section, "channels:\n  support:\n    adapter: telegram\n    token: secret://support-token\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := config.Edit([]byte(tt.in), []string{"channels", "support"}, tt.value)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, string(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestEditOfAWholeSection(t *testing.T) {
	key := map[string]any{"source": "file", "path": "/k"}
	tests := []struct {
		name, in string
		value    any
		want     string
	}{
		{"empty file", "", key, "key:\n  path: /k\n  source: file\n"},
		{"a value", "store: sqlite # mine\nkey: /old # the old one\n# the rest\nlisten: 127.0.0.1:1\n", key, "store: sqlite # mine\nkey:\n  path: /k\n  source: file\n# the rest\nlisten: 127.0.0.1:1\n"},
		{"a block", "key:\n  source: keyring\n  # of mine\n  name: k\n\nstore: sqlite\n", key, "key:\n  path: /k\n  source: file\n\nstore: sqlite\n"},
		{"added", "store: sqlite\n", key, "store: sqlite\n\nkey:\n  path: /k\n  source: file\n"},
		{"removed", "key: {source: keyring}\nstore: sqlite\n", nil, "store: sqlite\n"},
		{"removed as the only one", "key: /old\n", nil, ""},
		{"removed though absent", "store: sqlite\n", nil, "store: sqlite\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := config.Edit([]byte(tt.in), []string{"key"}, tt.value)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, string(got)); d != "" {
				t.Error(d)
			}
		})
	}
	for _, in := range []string{"{key: /old, store: sqlite}\n", "key: {source: file,\npath: /old}\n"} {
		if _, err := config.Edit([]byte(in), []string{"key"}, key); !errors.Is(err, config.ErrManual) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestEditRefusesWhatItCannotDoSafely(t *testing.T) {
	_, err := config.Edit([]byte("channels: {a: {adapter: x}}\n"), []string{"channels", "b"}, map[string]any{"adapter": "telegram"})
	if !errors.Is(err, config.ErrManual) || !strings.Contains(err.Error(), "adapter: telegram") {
		t.Errorf("got %v; want ErrManual with the text to add", err)
	}
}
