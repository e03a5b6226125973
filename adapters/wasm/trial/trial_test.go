package trial_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm/trial"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

const receipt = `{"receipt":{"id":"7","at":"2026-01-01T00:00:00Z"}}`

// sender is a guest that makes one request at each call and fails with a code
// when it is refused, whatever the reason, or with a trap.
func sender(onRefusal string) []byte {
	m := New(2)
	output := m.Import("gw", "output", Types{I32, I32}, nil)
	call := m.Import("gw", "call", Types{I32, I32, I32}, Types{I64})
	frame := func(header string) []byte { return sandbox.Payload{Header: json.RawMessage(header)}.Encode() }
	request, good, bad := frame(`{"method":"POST","url":"https://api.example.org/send"}`), frame(receipt), frame(`{"code":"`+onRefusal+`","message":"no"}`)
	m.Data(0, request)
	m.Data(1024, good)
	m.Data(2048, bad)
	m.Handle(nil,
		I32Const(int32(sandbox.HostHTTP)), I32Const(0), I32Const(int32(len(request))), Call(call),
		I64Const(0), Op(0x53), If(), // it was refused
		I32Const(2048), I32Const(int32(len(bad))), Call(output), I32Const(1), Op(0x0f), End(),
		I32Const(1024), I32Const(int32(len(good))), Call(output),
		I32Const(0))
	return m.Bytes()
}

func subject(t *testing.T, code []byte, tests ...module.Test) trial.Subject {
	t.Helper()
	box, err := sandbox.New(t.Context(), sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	s := trial.Subject{
		Manifest: &module.Manifest{ID: "a", Kind: []string{"channel"}, Tests: tests},
		Lists: func(_ json.RawMessage, _ string, u *url.URL) error {
			if u.Host != "api.example.org" {
				return errors.New("not listed")
			}
			return nil
		},
	}
	if s.Compiled, err = box.Load(t.Context(), code, sandbox.Config{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	if s.Interpreted, err = box.Load(t.Context(), code, sandbox.Config{Name: "a", Interpreted: true}); err != nil {
		t.Fatal(err)
	}
	return s
}

func failed(all []trial.Result) (out []string) {
	for _, r := range all {
		if r.Err != nil {
			out = append(out, r.Name+": "+r.Err.Error())
		}
	}
	return out
}

func send(change func(*module.Test)) module.Test {
	t := module.Test{Op: "send", In: json.RawMessage(`{}`), Out: json.RawMessage(`{"receipt":{"id":"7"}}`), HTTP: []module.Exchange{{Method: "POST"}}}
	if change != nil {
		change(&t)
	}
	return t
}

func TestTests(t *testing.T) {
	tests := []struct {
		name string
		test module.Test
		want string // of each of the two failures; "": it passes
	}{
		{"passes", send(nil), ""},
		{"another receipt", send(func(x *module.Test) { x.Out = json.RawMessage(`{"receipt":{"id":"8"}}`) }), `out.receipt.id is "7", want "8"`},
		{"a request too many", send(func(x *module.Test) { x.HTTP = nil }), "none for this"},
		{"a request too few", send(func(x *module.Test) { x.HTTP = append(x.HTTP, module.Exchange{}) }), "made 1 requests, want 2"},
		{"another request", send(func(x *module.Test) { x.HTTP[0].URL = "https://api.example.org/other" }), "want POST https://api.example.org/other"},
		{"an error that is wanted", send(func(x *module.Test) { x.HTTP[0].Refusal, x.Error = -5, "transient" }), ""},
		{"an error that is not", send(func(x *module.Test) { x.HTTP[0].Refusal = -5 }), `failed with "transient"`},
		{"no events", send(func(x *module.Test) { x.Events = []json.RawMessage{[]byte(`{}`)} }), "handed in 0 events, want 1"},
		{"no such operation", send(func(x *module.Test) { x.Op = "sing" }), `no operation "sing"`},
	}
	s := subject(t, sender("transient"))
	for _, x := range tests {
		s.Manifest.Tests = []module.Test{x.test}
		got := failed(trial.Tests(t.Context(), s))
		switch {
		case x.want == "" && len(got) > 0:
			t.Errorf("%s: %q", x.name, got)
		case x.want != "" && (len(got) != 2 || !strings.Contains(got[0], x.want) || !strings.Contains(got[1], x.want)):
			t.Errorf("%s: %q, want %q on both engines", x.name, got, x.want)
		}
	}
}

func TestUnlisted(t *testing.T) {
	s := subject(t, sender("transient"), send(nil))
	s.Lists = func(json.RawMessage, string, *url.URL) error { return errors.New("the manifest does not list it") }
	if got := failed(trial.Tests(t.Context(), s)); len(got) != 2 || !strings.Contains(got[0], "does not list") {
		t.Errorf("%q", got)
	}
}

// TestContract finds a guest that calls every failure transient: a message of
// which nobody knows whether it was sent would be sent twice.
func TestContract(t *testing.T) {
	poll := module.Test{Op: "poll", In: json.RawMessage(`{}`), HTTP: []module.Exchange{{}}}
	got := strings.Join(failed(trial.Contract(t.Context(), subject(t, sender("transient"), send(nil), poll))), "\n")
	if !strings.Contains(got, `of which nobody knows is ambiguous: it says "transient"`) {
		t.Error(got)
	}
	if strings.Contains(got, "certainly was not carried out") || strings.Contains(got, "engines agree") {
		t.Error("it faults what is right", got)
	}
	got = strings.Join(failed(trial.Contract(t.Context(), subject(t, sender("transient"), send(nil)))), "\n")
	if !strings.Contains(got, "no test of [\"poll, http_request or socket_message\"]") {
		t.Error("nothing tests that it receives, and:", got)
	}
}

func TestHostile(t *testing.T) {
	if got := failed(trial.Hostile(t.Context(), subject(t, sender("transient"), send(nil)), 1)); len(got) > 0 {
		t.Error(got)
	}
	m := New(1)
	m.Handle(nil, Op(0x00), I32Const(0)) // unreachable
	got := failed(trial.Hostile(t.Context(), subject(t, m.Bytes(), send(nil)), 1))
	if len(got) != 1 || !strings.Contains(got[0], "trap") {
		t.Error(got)
	}
}

func TestSpeed(t *testing.T) {
	got, err := trial.Speed(t.Context(), subject(t, sender("transient"), send(nil)), 1)
	if err != nil || len(got) != 1 || got[0].Calls < 5 || got[0].Median <= 0 || got[0].Fuel <= 0 {
		t.Errorf("%+v, %v", got, err)
	}
}
