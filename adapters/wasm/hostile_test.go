package wasm_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

// recorder is a host that keeps what it is told of refusals.
type recorder struct {
	*channeltest.Host
	refused []string
	why     []string
}

// Refused implements channels.Recorder.
func (r *recorder) Refused(_ context.Context, what, why string) {
	r.refused, r.why = append(r.refused, what), append(r.why, why)
}

// openGuest packs a module, signs it and opens a channel of it. more is for the
// manifest.
func openGuest(t *testing.T, d *wasm.Driver, h channels.Host, code []byte, more ...string) channels.Channel {
	t.Helper()
	manifest := fmt.Appendf(nil, `{"id":"bad","version":"1.0.0","abi":"gw1","kind":["channel"],"sha256":"%x","limits":{"fuel":50000000},
		"http":[{"scheme":"https","host":"api.example.org","methods":["POST"],"path":"/v1/"}]%s}`,
		sha256.Sum256(code), strings.Join(append([]string{""}, more...), ","))
	public, key, _ := ed25519.GenerateKey(nil)
	b, err := module.Pack(manifest, code, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bad.gwm")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	section := func(publisher string) json.RawMessage {
		s, _ := json.Marshal(map[string]string{"module": path, "publisher": publisher})
		return s
	}
	if fs := d.Check(section("ed25519:somebody")); len(fs) != 1 || fs[0].Path != "publisher" {
		t.Errorf("a package that somebody else signed has the faults %+v", fs)
	}
	ch, err := d.Open(t.Context(), h, section(module.Publisher(public).String()))
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// asks is a guest whose every call asks for a request, and fails with the code
// "rejected" when it is refused.
func asks(url string) []byte {
	m := New(2)
	output := m.Import("gw", "output", Types{I32, I32}, nil)
	call := m.Import("gw", "call", Types{I32, I32, I32}, Types{I64})
	frame := func(header string) []byte { return sandbox.Payload{Header: json.RawMessage(header)}.Encode() }
	request, failure := frame(`{"method":"POST","url":"`+url+`"}`), frame(`{"code":"rejected","message":"no"}`)
	m.Data(0, request)
	m.Data(4096, failure)
	m.Handle(nil,
		I32Const(int32(sandbox.HostHTTP)), I32Const(0), I32Const(int32(len(request))), Call(call),
		I64Const(int64(sandbox.Denied)), Op(0x51), If(), // it was denied
		I32Const(4096), I32Const(int32(len(failure))), Call(output), I32Const(1), Op(0x0f), End(),
		I32Const(0))
	return m.Bytes()
}

// TestUnlistedRequests: what the manifest does not list is refused, and
// recorded.
func TestUnlistedRequests(t *testing.T) {
	d := wasm.NewDriver(wasm.Options{})
	t.Cleanup(func() { _ = d.Close() })
	for _, url := range []string{
		"https://evil.example/v1/", "http://api.example.org/v1/", "https://api.example.org:8443/v1/",
		"https://api.example.org/v2/", "https://api.example.org/v1/../v2/", "https://api.example.org/v1/%2e%2e/v2",
		"https://api.example.org/v1/..%2fv2", "https://user@api.example.org/v1/", "https://api.example.org.evil.example/v1/",
	} {
		h := &recorder{Host: channeltest.NewHost(t)}
		_, err := openGuest(t, d, h, asks(url)).Send(t.Context(), channels.Part{Key: "k"})
		if channels.KindOf(err) != channels.Rejected || !strings.Contains(err.Error(), "the manifest does not list") {
			t.Errorf("%s: %v", url, err)
		}
		if len(h.refused) != 1 {
			t.Errorf("%s: recorded %q", url, h.refused)
		}
	}
}

// TestNoToolsForChannels: a channel that asks for a tool is refused, and who reads
// the audit learns why no manifest could change that.
func TestNoToolsForChannels(t *testing.T) {
	d := wasm.NewDriver(wasm.Options{})
	t.Cleanup(func() { _ = d.Close() })
	m := New(1)
	call := m.Import("gw", "call", Types{I32, I32, I32}, Types{I64})
	request := sandbox.Payload{Header: json.RawMessage(`{"name":"memory_search"}`)}.Encode()
	m.Data(0, request)
	m.Handle(nil, I32Const(int32(sandbox.HostToolInvoke)), I32Const(0), I32Const(int32(len(request))), Call(call),
		I64Const(int64(sandbox.Denied)), I64Ne, If(), Unreachable, End(), I32Const(0))
	h := &recorder{Host: channeltest.NewHost(t)}
	if _, err := openGuest(t, d, h, m.Bytes()).Send(t.Context(), channels.Part{Key: "k"}); err == nil || strings.Contains(err.Error(), "trap") {
		t.Errorf("it was answered otherwise: %v", err) // without a trap, what is missing is its receipt
	}
	if len(h.refused) != 1 || h.refused[0] != `tool_invoke "memory_search"` || !strings.Contains(h.why[0], "tools are called in a turn") {
		t.Errorf("recorded %q: %q", h.refused, h.why)
	}
}

// TestEndlessGuest: a guest that loops for ever is stopped, after a while left
// alone, and delays no other.
func TestEndlessGuest(t *testing.T) {
	d := wasm.NewDriver(wasm.Options{})
	t.Cleanup(func() { _ = d.Close() })
	m := New(1)
	m.Handle(nil, bytes.Join([][]byte{Loop(), Br(0), End()}, nil), I32Const(0))
	host := channeltest.NewHost(t)
	bad, good := openGuest(t, d, host, m.Bytes()), openGuest(t, d, &recorder{Host: channeltest.NewHost(t)}, asks("https://evil.example/"))
	_, _ = good.Send(t.Context(), channels.Part{Key: "k"}) // it is loaded now
	done := make(chan error)
	go func() {
		var err error
		for range 5 {
			_, err = bad.Send(context.Background(), channels.Part{Key: "k"})
		}
		done <- err
	}()
	began := time.Now()
	if _, err := good.Send(t.Context(), channels.Part{Key: "k"}); channels.KindOf(err) != channels.Rejected {
		t.Errorf("the other channel: %v", err)
	}
	if d := time.Since(began); d > 30*time.Second { // it takes milliseconds where a processor is free
		t.Errorf("the other channel took %s", d)
	}
	if err := <-done; channels.KindOf(err) != channels.Other || !strings.Contains(err.Error(), "fuel") {
		t.Errorf("the guest that loops: %v", err)
	}
	if _, err := bad.Send(t.Context(), channels.Part{Key: "k"}); channels.KindOf(err) != channels.Transient || channels.RetryAfter(err) == 0 {
		t.Errorf("after five faults: %v", err)
	}
	if h := host.WaitHealth(channels.Broken); h.Fix == "" {
		t.Error("the health has no advice")
	}
}
