package openai_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/agent/provider/internal/providertest"
	"github.com/gatehouse-chat/gatehouse/agent/provider/openai"
)

func TestTranscribe(t *testing.T) {
	tests := []struct {
		name   string
		status int
		answer string
		want   string
		usage  agent.Usage
		kind   agent.ErrorKind
	}{
		{"by the minute", 200, `{"text":"hello","usage":{"type":"duration","seconds":60}}`, "hello", agent.Usage{USD: 0.006, Guessed: true}, ""},
		{"by tokens", 200, `{"text":"hello","usage":{"type":"tokens","input_tokens":14,"output_tokens":3}}`, "hello", agent.Usage{Input: 14, Output: 3}, ""},
		{"nothing said", 200, `{"text":""}`, "", agent.Usage{Guessed: true}, ""},
		{"no transcript", 200, `{}`, "", agent.Usage{}, agent.Garbled},
		{"refused", 401, `{"error":{"message":"no"}}`, "", agent.Usage{}, agent.Unauthorized},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				f, h, err := r.FormFile("file")
				if err != nil || r.URL.Path != "/v1/audio/transcriptions" || r.FormValue("model") != "m" {
					t.Errorf("%s: %v", r.URL.Path, err)
					return
				}
				b, _ := io.ReadAll(f)
				if string(b) != "sound" || h.Filename != "voice.ogg" || h.Header.Get("Content-Type") != "audio/ogg" {
					t.Errorf("got %q as %v", b, h)
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.answer)
			}))
			defer s.Close()
			p := openai.New(openai.Config{Name: "openai", BaseURL: s.URL + "/v1", Client: providertest.Client(t), Key: "placeholder"})
			text, usage, err := p.Transcribe(t.Context(), agent.Recording{Model: "m", Name: "voice.ogg", MIME: "audio/ogg", Content: strings.NewReader("sound")})
			if text != tt.want || usage != tt.usage {
				t.Errorf("%q, %+v", text, usage)
			}
			kind := agent.ErrorKind("")
			if e, ok := err.(*agent.Error); ok { //nolint:errorlint // the contract says that it is one
				kind = e.Kind
			}
			if kind != tt.kind {
				t.Errorf("%v, want %q", err, tt.kind)
			}
		})
	}
}
