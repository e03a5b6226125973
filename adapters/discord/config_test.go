package discord_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/discord"
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
		{"everything", `{"token":"secret://bot","base_url":"http://127.0.0.1:8081/api/","message_content":false,"pings":true,"ack_reaction":"👀"}`, nil},
		{"an emoji of the server", `{"token":"secret://bot","ack_reaction":"party:123"}`, nil},
		{"nothing", `{}`, []string{"token: missing"}},
		{"all at once", `{"tokn":"x","message_content":"yes","base_url":"discord","ack_reaction":"eyes"}`, []string{
			"ack_reaction: emoji", "base_url: http", "message_content: true or false", "token: missing", "tokn: mean token?",
		}},
		{"a stranger", `{"token":"secret://bot","colour":"red"}`, []string{"colour: not a key"}},
		{"null", `{"token":"secret://bot","pings":null}`, []string{"pings: true or false"}},
		{"credentials in the address", `{"token":"secret://bot","base_url":"https://a:b@example.org"}`, []string{"base_url: user"}},
		{"no object", `[1]`, []string{": mapping"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := discord.Driver{}.Check(json.RawMessage(tt.cfg))
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

func TestReload(t *testing.T) {
	l := newLive(t)
	if err := l.ch.Reload(t.Context(), l.Config("ack_reaction", "👀")); err != nil {
		t.Error(err)
	}
	if err := l.ch.Reload(t.Context(), l.Config("pings", true)); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("another key: %v", err)
	}
	if err := l.ch.Reload(t.Context(), l.Config("pings", 7)); err == nil || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a fault: %v", err)
	}
}

func TestGuideAsksForWhatIsNeeded(t *testing.T) {
	g := discord.Driver{}.Guide()
	section := map[string]any{}
	answers, err := g.Settle(map[string]string{"token": "x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Section(section, answers, func(channels.Ask, string) (string, error) { return "secret://x", nil }); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(section)
	if err != nil {
		t.Fatal(err)
	}
	if faults := (discord.Driver{}).Check(b); len(faults) > 0 {
		t.Errorf("%s: %+v", b, faults)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(`{"token":"secret://bot"}`)
	f.Add(`{"base_url":"http://[::1%25]/","pings":null}`)
	f.Fuzz(func(t *testing.T, cfg string) {
		faults := discord.Driver{}.Check(json.RawMessage(cfg))
		for _, x := range faults {
			if x.Text == "" {
				t.Fatalf("%+v", faults)
			}
		}
		h := channeltest.NewHost(t)
		if _, err := (discord.Driver{}).Open(t.Context(), h, json.RawMessage(cfg)); (err == nil) != (len(faults) == 0) {
			t.Fatalf("Check says %v, Open %v", faults, err)
		}
	})
}
