package codec_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

func TestClassify(t *testing.T) {
	refusal := func(code, description string) string {
		return `{"ok":false,"error_code":` + code + `,"description":"` + description + `"}`
	}
	tests := []struct {
		name       string
		status     int
		body       string
		repeatable bool
		want       codec.Answer
	}{
		{name: "success", status: 200, body: `{"ok":true,"result":7}`, want: codec.Answer{OK: true, Result: []byte("7")}},
		{name: "retry after", status: 429, body: `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 7","parameters":{"retry_after":7}}`, want: codec.Answer{Kind: channels.RateLimited, RetryAfter: 7 * time.Second}},
		{name: "a limit without a time", status: 429, body: `<html>`, want: codec.Answer{Kind: channels.RateLimited, RetryAfter: time.Second}},
		{name: "a limit of years", status: 429, body: `{"parameters":{"retry_after":9223372036854775807}}`, want: codec.Answer{Kind: channels.RateLimited, RetryAfter: 24 * time.Hour}},
		{name: "markup", status: 400, body: refusal("400", `Bad Request: can't parse entities: Unsupported start tag \"x\" at byte offset 3`), want: codec.Answer{Kind: channels.Format}},
		{name: "not modified", status: 400, body: refusal("400", "Bad Request: message is not modified: specified new message content"), want: codec.Answer{OK: true, Unchanged: true}},
		{name: "blocked", status: 403, body: refusal("403", "Forbidden: bot was blocked by the user"), want: codec.Answer{Kind: channels.Gone}},
		{name: "token", status: 401, body: refusal("401", "Unauthorized"), want: codec.Answer{Kind: channels.Unauthorized}},
		{name: "malformed token", status: 404, body: refusal("404", "Not Found"), want: codec.Answer{Kind: channels.Unauthorized}},
		{name: "method", status: 404, body: refusal("404", "Not Found: method not found"), want: codec.Answer{Kind: channels.Rejected}},
		{name: "not a Bot API", status: 404, body: "404 page not found", want: codec.Answer{Kind: channels.Other}},
		{name: "another poller", status: 409, body: refusal("409", "Conflict: terminated by other getUpdates request"), want: codec.Answer{Kind: channels.Transient}},
		{name: "server failed on a send", status: 502, body: "<html>", want: codec.Answer{Kind: channels.Ambiguous}},
		{name: "server failed on an edit", status: 502, body: "<html>", repeatable: true, want: codec.Answer{Kind: channels.Transient}},
		{name: "half an answer to a send", status: 200, body: `{"ok":true,"resu`, want: codec.Answer{Kind: channels.Ambiguous}},
		{name: "half an answer to an edit", status: 200, body: `{"ok":true,"resu`, repeatable: true, want: codec.Answer{Kind: channels.Transient}},
		{name: "moved", status: 400, body: `{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat","parameters":{"migrate_to_chat_id":-1005}}`, want: codec.Answer{Kind: channels.Gone, MovedTo: -1005, Again: codec.AgainMoved}},
		{name: "topic", status: 400, body: refusal("400", "Bad Request: message thread not found"), want: codec.Answer{Kind: channels.Gone, Again: codec.AgainNoThread}},
		{name: "reply", status: 400, body: refusal("400", "Bad Request: message to be replied not found"), want: codec.Answer{Kind: channels.Gone, Again: codec.AgainNoReply}},
		{name: "caption", status: 400, body: refusal("400", "Bad Request: there is no text in the message to edit"), want: codec.Answer{Kind: channels.Rejected, Again: codec.AgainCaption}},
		{name: "voice", status: 400, body: refusal("400", "Bad Request: VOICE_MESSAGES_FORBIDDEN"), want: codec.Answer{Kind: channels.Rejected, Again: codec.AgainAsDocument}},
		{name: "edit target", status: 400, body: refusal("400", "Bad Request: message to edit not found"), want: codec.Answer{Kind: channels.Gone}},
		{name: "chat", status: 400, body: refusal("400", "Bad Request: chat not found"), want: codec.Answer{Kind: channels.Gone}},
		{name: "length", status: 400, body: refusal("400", "Bad Request: message is too long"), want: codec.Answer{Kind: channels.Rejected}},
		{name: "file", status: 413, body: "", want: codec.Answer{Kind: channels.Rejected}},
		{name: "unknown refusal", status: 400, body: refusal("400", "Bad Request: the dog ate hunter2"), want: codec.Answer{Kind: channels.Rejected}},
		{name: "unknown status", status: 418, body: "", want: codec.Answer{Kind: channels.Other}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := codec.Classify(tt.status, []byte(tt.body), tt.repeatable)
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(codec.Answer{}, "Reason")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !got.OK && got.Reason == "" {
				t.Error("no reason")
			}
			if strings.Contains(got.Reason, "hunter2") || strings.Contains(got.Reason, "tag") {
				t.Errorf("the reason quotes the platform: %q", got.Reason)
			}
		})
	}
}
