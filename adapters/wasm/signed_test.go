package wasm_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/adapters/webhook/webhooktest"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

// packed writes a package with further keys of its manifest, and returns a
// section for it.
func packed(t *testing.T, code []byte, manifest string, keys map[string]any) json.RawMessage {
	t.Helper()
	public, key, _ := ed25519.GenerateKey(nil)
	b, err := module.Pack(fmt.Appendf(nil, `{"id":"made","version":"1.0.0","abi":"gw1","kind":["channel"],"sha256":"%x","limits":{"fuel":50000000},%s}`,
		sha256.Sum256(code), manifest), code, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "made.gwm")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	all := map[string]any{"module": path, "publisher": module.Publisher(public).String()}
	maps.Copy(all, keys)
	section, _ := json.Marshal(all)
	return section
}

const signedManifest = `"http":[{"scheme":"https","host":"${config.callback.origin}","methods":["POST"],"path":"/","credential":{"secret":"signer","in":"signature"}}],
	"config_schema":{"properties":{"callback":{"type":"string","format":"uri"},"signer":{"type":"string"}}}`

// TestSignature: what is signed goes out once it has an id and a body that the
// host can see, and where the manifest says; nothing else does.
func TestSignature(t *testing.T) {
	d := wasm.NewDriver(wasm.Options{})
	t.Cleanup(func() { _ = d.Close() })
	var calls, signed atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if r.Header.Get("Webhook-Id") == "m1" && strings.HasPrefix(r.Header.Get("Webhook-Signature"), "v1,") && r.Header.Get("Webhook-Timestamp") != "1" {
			signed.Add(1)
		}
	}))
	t.Cleanup(srv.Close)
	id := `","headers":{"webhook-id":"m1","webhook-timestamp":"1","webhook-signature":"v1,x"},"x":"`
	for _, c := range []struct {
		name, request string
		secret        string
		goes          bool
	}{
		{"signed", srv.URL + "/a" + id, "secret://signer", true},
		{"without an id", srv.URL + "/a", "secret://signer", false},
		{"with a form", srv.URL + "/a" + id + `","form":[{"name":"a","value":"b"}],"y":"`, "secret://signer", false},
		{"with a secret that is not stored", srv.URL + "/a" + id, "secret://none", false},
		{"to another host", "http://127.0.0.1:1/a" + id, "secret://signer", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			calls.Store(0)
			signed.Store(0)
			h := channeltest.NewHost(t, channeltest.WithSecret("secret://signer", webhooktest.Secret))
			section := packed(t, asks(c.request), signedManifest, map[string]any{"callback": srv.URL + "/x?y=z", "signer": c.secret})
			ch, err := d.Open(t.Context(), h, section)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ch.Send(t.Context(), channels.Part{Key: "k"}); err == nil {
				t.Error("the guest gives no receipt, and the send succeeds")
			}
			want := int32(0)
			if c.goes {
				want = 1
			}
			if calls.Load() != want || signed.Load() != want {
				t.Errorf("%d requests, %d of them signed by the host, want %d", calls.Load(), signed.Load(), want)
			}
		})
	}
}

// TestUnsigned: where signed requests go and what signs them belong together; the
// channel's own secrets sign nothing.
func TestUnsigned(t *testing.T) {
	d := wasm.NewDriver(wasm.Options{})
	t.Cleanup(func() { _ = d.Close() })
	code := asks("https://example.org/")
	for _, c := range []struct {
		keys map[string]any
		want string
	}{
		{nil, ""},
		{map[string]any{"callback": "https://example.org/a"}, "signer"},
		{map[string]any{"callback": "https://example.org/a", "signer": "secret://s"}, ""},
	} {
		var paths []string
		for _, f := range d.Check(packed(t, code, signedManifest, c.keys)) {
			paths = append(paths, f.Path)
		}
		if got := strings.Join(paths, " "); got != c.want {
			t.Errorf("%v: faults at %q, want %q", c.keys, got, c.want)
		}
	}
	for name, manifest := range map[string]string{
		"a secret of its own": `"http":[{"scheme":"https","host":"example.org","methods":["POST"],"path":"/","credential":{"secret":"mine","in":"signature"}}]`,
		"no such key":         `"webhooks":[{"path":"/","methods":["POST"],"verify":{"kind":"${config.none}"}}]`,
		"a key that is no proof": `"webhooks":[{"path":"/","methods":["POST"],"verify":{"kind":"${config.k}"}}],
			"config_schema":{"properties":{"k":{"type":"object"}}}`,
	} {
		if fs := d.Check(packed(t, code, manifest, nil)); len(fs) == 0 {
			t.Errorf("%s: no fault", name)
		}
	}
}

// TestForeignAwait: a guest waits for what is said to its own events alone.
func TestForeignAwait(t *testing.T) {
	d := wasm.NewDriver(wasm.Options{})
	t.Cleanup(func() { _ = d.Close() })
	m := New(1)
	output := m.Import("gw", "output", Types{I32, I32}, nil)
	answer := sandbox.Payload{Header: json.RawMessage(`{"webhook":true,"await":{"key":"of-another","wait_ms":60000}}`)}.Encode()
	m.Data(0, answer)
	m.Handle(nil, I32Const(0), I32Const(int32(len(answer))), Call(output), I32Const(0))
	h := channeltest.NewHost(t, channeltest.WithSecret("secret://hook", "a secret"))
	ch, err := d.Open(t.Context(), h, packed(t, m.Bytes(), `"webhooks":[{"path":"/","methods":["POST"],"verify":{"kind":"${config.verify}"}}],
		"config_schema":{"required":["verify"],"properties":{"verify":{"type":"object","format":"proof"}}}`,
		map[string]any{"verify": map[string]string{"kind": "bearer", "secret": "secret://hook"}}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	sink, done := channeltest.NewSink(h), make(chan error, 1)
	go func() { done <- ch.Run(ctx, sink) }()
	defer func() { cancel(); <-done }()
	h.WaitHealth(channels.Connected)
	receiver, _ := channels.As[channels.Receiver](ch)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("{}"))
	r.Header.Set("Authorization", "Bearer a secret")
	w := httptest.NewRecorder()
	receiver.Receive(sink).ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d", w.Code)
	}
}
