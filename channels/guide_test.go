package channels_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
)

var guide = channels.Guide{Title: "Example", Asks: []channels.Ask{
	{Key: "mode", Label: "Mode", Choices: []string{"socket", "events"}},
	{Key: "token", Label: "Token", Secret: true},
	{Key: "verify.secret", Label: "Signing secret", Secret: true, Only: "mode=events"},
	{Key: "verify.header", Label: "Header", Only: "mode=events", Optional: true},
}}

func TestGuideSettles(t *testing.T) {
	tests := []struct {
		name  string
		given map[string]string
		want  channels.Answers
		err   string
	}{
		{"a default, and spaces", map[string]string{"token": " t\n"}, channels.Answers{"mode": "socket", "token": "t"}, ""},
		{"what does not apply is left out", map[string]string{"token": "t", "verify.secret": "s"}, channels.Answers{"mode": "socket", "token": "t"}, ""},
		{"what applies is needed", map[string]string{"mode": "events", "token": "t"}, nil, "Signing secret is missing (verify.secret)"},
		{"but not what is optional", map[string]string{"mode": "events", "token": "t", "verify.secret": "s"}, channels.Answers{"mode": "events", "token": "t", "verify.secret": "s"}, ""},
		{"a choice is one of the list", map[string]string{"mode": "pigeon", "token": "t"}, nil, "mode must be one of socket, events"},
		{"all mistakes at once", map[string]string{"mode": "pigeon"}, nil, "Token is missing (token)"},
		{"an answer nobody asked for", map[string]string{"token": "t", "tokem": "t"}, nil, `"tokem" is none of the questions`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := guide.Settle(tt.given)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestGuideSection(t *testing.T) {
	section := map[string]any{"workspace": "w", "verify": map[string]any{"kind": "hmac"}}
	answers := channels.Answers{"mode": "events", "token": "t", "verify.secret": "s"}
	err := guide.Section(section, answers, func(a channels.Ask, value string) (string, error) { return "secret://" + a.Key + "-" + value, nil })
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"workspace": "w", "mode": "events", "token": "secret://token-t",
		"verify": map[string]any{"kind": "hmac", "secret": "secret://verify.secret-s"},
	}
	if d := cmp.Diff(want, section); d != "" {
		t.Error(d)
	}
}
