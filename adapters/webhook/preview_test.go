package webhook_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook"
	"github.com/gatehouse-chat/gatehouse/adapters/webhook/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// TestPreviewGuest: a guest's section gives what the native one gives, but for
// what a guest is not shown.
func TestPreviewGuest(t *testing.T) {
	const text = `"message":"{{ header.X-Token }}{{ .text }}"`
	for _, c := range []struct {
		name, section, body, native, guest string
	}{
		{"alike", `"verify":{"kind":"bearer","secret":"s"},` + text, `{"text":"a"}`, "xa", "xa"},
		{"a header that proves", `"verify":{"kind":"header","header":"x-token","secret":"s"},` + text, `{"text":"a"}`, "xa", "a"},
		{"a body that proves", `"verify":{"kind":"body","pointer":"/token","secret":"s"},"message":"{{ . }}"`, `{"text":"a","token":"x"}`, `{"text":"a"}`, `{"text":"a"}`},
		{"a fault", `"mesage":""`, "", "mesage is not a key of a webhook channel; did you mean message?", "mesage is not a key of a webhook channel; did you mean message?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{"X-Token": {"x"}}
			says := func(o codec.Outcome, err error) string {
				if err != nil {
					return err.Error()
				}
				m, _ := o.Event.Content.(channels.Message)
				return m.Text
			}
			got := []string{
				says(webhook.Preview("c", json.RawMessage(`{`+c.section+`}`), h, url.Values{}, []byte(c.body))),
				says(webhook.PreviewGuest("c", json.RawMessage(`{"module":"webhook","publisher":"p",`+c.section+`}`), h, url.Values{}, []byte(c.body))),
			}
			if d := cmp.Diff([]string{c.native, c.guest}, got); d != "" {
				t.Error(d)
			}
		})
	}
	section := json.RawMessage(`{"module":"webhook","verify":{"kind":"bearer","secret":"s"}}`)
	_, err := webhook.PreviewGuest("c", section, nil, nil, []byte(strings.Repeat("x", codec.MaxBody+1)))
	if err == nil || !strings.Contains(err.Error(), "would be refused") {
		t.Errorf("a body that is too long: %v", err)
	}
}
