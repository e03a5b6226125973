package wasm_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/internal/module"
)

// FuzzHeaders: what is read without encoding/json is read as that would.
func FuzzHeaders(f *testing.F) {
	for _, s := range []string{
		`{"method":"POST","url":"http://127.0.0.1/bot{token}/send","headers":{"content-type":"application/json"}}`,
		` { "url" : "a\u0041" , "headers":{},"headers":{"a":"b"},"headers":{"a":"c","d":"e"}} `,
		`{"headers":null,"URL":"x","url":"y"}`, `{"save":true,"timeout_ms":5}`, `{"method":5}`, `{"headers":{"a":1}}`, `[]`, `null`, `"x"`, `{}`,
		`{"receipt":{"id":"m15"}}`, `{"receipt":{"id":"m15"},"receipt":{}}`, `{"receipt":{"id":"m15","at":"2026-01-02T03:04:05Z"}}`,
		`{"receipt":{"id":"a"},"receipt":null}`, `{"receipt":{"ID":"a"}}`, `{"session":{},"as":"@echo"}`, `{"receipt":{"id":7}}`, `{"receipt":{"id":"a"}, "text":"b"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, header []byte) {
		if !utf8.Valid(header) || !json.Valid(header) {
			return // the sandbox lets no such header through
		}
		request, err := wasm.ReadRequest(header)
		same(t, header, request, err)
		out, err := wasm.ReadOut(header)
		same(t, header, out, err)
	})
}

func same[T any](t *testing.T, header []byte, got T, err error) {
	t.Helper()
	var want T
	wantErr := json.Unmarshal(header, &want)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%T of %s: %v, want %v", got, header, err, wantErr)
	}
	if diff := cmp.Diff(want, got); err == nil && diff != "" {
		t.Errorf("%T of %s (-want +got)\n%s", got, header, diff)
	}
}

// TestWriteResponse: what is written without encoding/json is what that would write.
func TestWriteResponse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := wire.Response{
			Status:  rapid.Int().Draw(t, "status"),
			Headers: rapid.MapOf(rapid.String(), rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~]*`))).Draw(t, "headers"),
			File:    rapid.String().Draw(t, "file"),
		}
		want, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(wasm.WriteResponse(r))); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// TestHeaderOfCall: a beginning that is kept makes the header of a call as if all of
// it were written at once.
func TestHeaderOfCall(t *testing.T) {
	session := json.RawMessage(`{"bot":7}`)
	for name, in := range map[string]wire.In{
		"nothing of its own": {},
		"everything":         {Public: "https://gateway.example.org", Session: session, Text: "hi", Part: &wire.Part{Key: "k", Text: "<a>"}},
		"a poll":             {Poll: &wire.Poll{}},
	} {
		t.Run(name, func(t *testing.T) {
			public, config := in.Public, json.RawMessage(`{ "base_url": "https://chat.example.org" }`)
			own := in
			own.Public, own.Session = "", nil
			var kept *json.RawMessage
			if in.Session != nil {
				kept = &session
			}
			first, second, err := wasm.Header("mychat", public, config, kept, own)
			if err != nil {
				t.Fatal(err)
			}
			in.Channel, in.Config = channels.ID("mychat"), config
			want, err := json.Marshal(in)
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range []json.RawMessage{first, second} {
				if diff := cmp.Diff(string(want), string(got)); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			}
		})
	}
}

// TestRequestLines: what is remembered of a request holds for that request alone.
func TestRequestLines(t *testing.T) {
	const ok, other = "https://chat.example.org/bot/send", "https://chat.example.org/else"
	long := ok + "?" + strings.Repeat("x", 1000)
	got, err := wasm.Resolved(
		module.HTTP{Methods: []string{"POST", "PUT"}, Path: "/bot/"}, "https://chat.example.org",
		"POST", ok, "POST", ok, "GET", ok, "POST", ok, "PUT", ok, "POST", other, "POST", ok+"/../x", "POST", "https://chat.example.org:444/bot/send",
		"POST", long, "GET", long, "POST", ":", "POST", ok,
	)
	if err != nil {
		t.Fatal(err)
	}
	want := []bool{true, true, false, true, true, false, false, false, true, false, false, true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
