package webhook_test

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook"
	"github.com/gatehouse-chat/gatehouse/adapters/webhook/codec"
	"github.com/gatehouse-chat/gatehouse/adapters/webhook/stagetest"
	"github.com/gatehouse-chat/gatehouse/adapters/webhook/webhooktest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// nothing is a sink that keeps nothing, so that the adapter alone is measured.
type nothing struct{}

func (nothing) Accept(context.Context, channels.Batch) error { return nil }

func (nothing) Replies(context.Context, channels.AccountID, string) iter.Seq2[channels.Part, error] {
	return nil
}

// BenchmarkReceive takes a request of GitHub's size: proof, decoding, templates.
func BenchmarkReceive(b *testing.B) {
	h := channeltest.NewHost(b, channeltest.WithSecret(secretRef, secret))
	ch, err := webhook.Driver{}.Open(b.Context(), h, json.RawMessage(`{"verify":{"kind":"github","secret":"secret://hook"},
		"message":"{{ .action }}: {{ .issue.title }}","conversation":"{{ .repository.full_name }}","sender":"{{ .sender.id }}"}`))
	if err != nil {
		b.Fatal(err)
	}
	hook := ch.(channels.Receiver).Receive(nothing{})
	body := `{"action":"opened","issue":{"title":"It breaks","body":"` + strings.Repeat("it is long ", 1000) + `"},"repository":{"full_name":"acme/engine"},"sender":{"id":42}}`
	sum := "sha256=" + mac(body)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)) //nolint:noctx // in memory
		r.Header.Set("X-Hub-Signature-256", sum)
		w := httptest.NewRecorder()
		if hook.ServeHTTP(w, r); w.Code != http.StatusAccepted {
			b.Fatal(w.Code)
		}
	}
}

// BenchmarkDecode reads a request of GitHub's size and fills the templates.
func BenchmarkDecode(b *testing.B) {
	m := codec.Mapping{Message: template(b, "{{ .action }}: {{ .issue.title }}"), Conversation: template(b, "{{ .repository.full_name }}"), Sender: template(b, "{{ .sender.id }}")}
	body := []byte(`{"action":"opened","issue":{"title":"It breaks","body":"` + strings.Repeat("it is long ", 1000) + `"},"repository":{"full_name":"acme/engine"},"sender":{"id":42}}`)
	b.ReportAllocs()
	for b.Loop() {
		v, err := codec.Decode("application/json", body)
		if err != nil {
			b.Fatal(err)
		}
		if o := m.Event(codec.Request{Payload: v}, codec.At{Channel: "hooks", Key: "k"}); o.Ignored != "" {
			b.Fatal(o.Ignored)
		}
	}
}

// BenchmarkRender writes a callback.
func BenchmarkRender(b *testing.B) {
	part := channels.Part{Key: "turn/0", To: channels.Address{Conversation: "c"}, Body: markup.Parse("The **meeting** is at ten.\n\n- bring the `plan.pdf`")}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := codec.Encode(part, nil, time.Unix(1, 0)); err != nil {
			b.Fatal(err)
		}
	}
}

func template(b *testing.B, text string) codec.Template {
	b.Helper()
	t, err := codec.Parse(text)
	if err != nil {
		b.Fatal(err)
	}
	return t
}

// BenchmarkSend sends signed callbacks through the emulator, which checks them.
func BenchmarkSend(b *testing.B) {
	p := webhooktest.New("")
	defer p.Close()
	h := channeltest.NewHost(b, channeltest.WithSecret(secretRef, webhooktest.Secret))
	ch, err := webhook.Driver{}.Open(b.Context(), h, stagetest.Section(p))
	if err != nil {
		b.Fatal(err)
	}
	part := channels.Part{Key: "turn/0", To: channels.Address{Conversation: "c"}, Body: markup.Parse("The **meeting** is at ten.\n\n- bring the `plan.pdf`")}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ch.Send(b.Context(), part); err != nil {
			b.Fatal(err)
		}
	}
}
