package telegram_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
)

func TestCheck(t *testing.T) {
	tests := []struct {
		name string
		cfg  string
		want []string // path and a word of the text
	}{
		{"the least", `{"token":"secret://bot"}`, nil},
		{"everything", `{"token":"secret://bot","base_url":"http://127.0.0.1:8081/","mode":"webhook","ack_reaction":"❤️"}`, nil},
		{"nothing", `{}`, []string{"token: missing"}},
		{"all at once", `{"tokn":"x","mode":"push","base_url":"telegram","ack_reaction":"🐍"}`, []string{
			"ack_reaction: emoji", "base_url: http", "mode: webhook", "token: missing", "tokn: mean token?",
		}},
		{"a stranger", `{"token":"secret://bot","colour":"red"}`, []string{"colour: not a key"}},
		{"credentials in the address", `{"token":"secret://bot","base_url":"https://a:b@example.org"}`, []string{"base_url: user"}},
		{"a number", `{"token":7}`, []string{"token: text"}},
		{"no object", `[1]`, []string{": mapping"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := telegram.Driver{}.Check(json.RawMessage(tt.cfg))
			var paths, want []string
			for i, f := range got {
				paths = append(paths, f.Path)
				if i < len(tt.want) {
					path, word, _ := strings.Cut(tt.want[i], ": ")
					want = append(want, path)
					if !strings.Contains(f.Text, word) {
						t.Errorf("%s: %q does not say %q", f.Path, f.Text, word)
					}
				}
			}
			if diff := cmp.Diff(want, paths); diff != "" || len(got) != len(tt.want) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	h := channeltest.NewHost(t)
	for name, cfg := range map[string]json.RawMessage{
		"a fault": json.RawMessage(`{"token":"secret://bot","mode":"push"}`), "a webhook without an address": section("mode", "webhook"),
	} {
		if ch, err := (telegram.Driver{}).Open(t.Context(), h, cfg); err == nil {
			t.Errorf("%s: %v", name, ch)
		}
	}
}

func TestReload(t *testing.T) {
	b := newBench(t, newFake(t), channeltest.Snapshot{})
	c := b.ch.(channels.Reloader)
	if err := c.Reload(t.Context(), section("ack_reaction", "👀")); err != nil {
		t.Error(err)
	}
	if err := c.Reload(t.Context(), section("mode", "webhook")); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a change of mode: %v", err)
	}
	if err := c.Reload(t.Context(), section("mode", "push")); err == nil || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a fault: %v", err)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(`{"token":"secret://bot"}`)
	f.Add(`{"base_url":"http://[::1%25]/","mode":null}`)
	f.Fuzz(func(t *testing.T, cfg string) {
		faults := telegram.Driver{}.Check(json.RawMessage(cfg))
		for _, x := range faults {
			if x.Text == "" {
				t.Fatalf("%+v", faults)
			}
		}
		h := channeltest.NewHost(t, channeltest.WithPublic(hookURL))
		if _, err := (telegram.Driver{}).Open(t.Context(), h, json.RawMessage(cfg)); (err == nil) != (len(faults) == 0) {
			t.Fatalf("Check says %v, Open %v", faults, err)
		}
	})
}
