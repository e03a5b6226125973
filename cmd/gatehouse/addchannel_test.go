package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
)

func TestReadAnswers(t *testing.T) {
	one := channels.Guide{Asks: []channels.Ask{{Key: "mode"}, {Key: "token", Secret: true}}}
	two := channels.Guide{Asks: []channels.Ask{{Key: "mode"}, {Key: "token", Secret: true}, {Key: "verify.secret", Secret: true}}}
	tests := []struct {
		name string
		g    channels.Guide
		in   string
		want map[string]string
		err  string
	}{
		{"the one secret is all of it", one, "a=b\n", map[string]string{"token": "a=b"}, ""},
		{"several come by their keys", two, "token=a=b\r\n\nverify.secret = c\n", map[string]string{"token": "a=b", "verify.secret": "c"}, ""},
		{"some may be left out", two, "token=a", map[string]string{"token": "a"}, ""},
		{"what is no secret comes otherwise", two, "mode=x", nil, "token, verify.secret"},
		{"a line without a key", two, "abc", nil, "must be KEY=VALUE"},
		{"no secret, nothing is read", channels.Guide{}, "abc", map[string]string{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := map[string]string{}
			err := readAnswers(strings.NewReader(tt.in), tt.g, got)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "abc") {
					t.Errorf("error %v", err)
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

func TestSetAnswers(t *testing.T) {
	g := channels.Guide{Asks: []channels.Ask{{Key: "mode"}, {Key: "token", Secret: true}}}
	if got, err := setAnswers(g, []string{"mode=a=b"}); err != nil || got["mode"] != "a=b" {
		t.Errorf("%v, %v", got, err)
	}
	for in, want := range map[string]string{"mode": "KEY=VALUE", "mood=x": "there are: mode", "token=s3cret": "shell's history"} {
		if _, err := setAnswers(g, []string{in}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", in, err)
		}
	}
}
