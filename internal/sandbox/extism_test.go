package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

const env = "extism:host/env"

// put allocates a block with eight bytes and leaves its address in a local.
func put(alloc, store, local uint32, text string) []byte {
	var word int64
	for i := range 8 {
		word |= int64(text[i]) << (8 * i)
	}
	return bytes.Join([][]byte{I64Const(8), Call(alloc), LocalTee(local), I64Const(word), Call(store)}, nil)
}

func TestExtism(t *testing.T) {
	m := New(1)
	offset := m.Import(env, "input_offset", nil, Types{I64})
	length := m.Import(env, "input_length", nil, Types{I64})
	output := m.Import(env, "output_set", Types{I64, I64}, nil)
	alloc := m.Import(env, "alloc", Types{I64}, Types{I64})
	store := m.Import(env, "store_u64", Types{I64, I64}, nil)
	fail := m.Import(env, "error_set", Types{I64}, nil)
	set := m.Import(env, "var_set", Types{I64, I64}, nil)
	load8 := m.Import(env, "load_u8", Types{I64}, Types{I32})
	export := func(name string, locals Types, code ...[]byte) {
		m.Export(name, 0, m.Func(nil, Types{I32}, locals, code...))
	}
	export("send", nil, Call(offset), Call(length), Call(output), I32Const(0))
	export("edit", Types{I64}, put(alloc, store, 0, "no edits"), LocalGet(0), Call(fail), I32Const(1))
	export("poll", Types{I64, I64}, put(alloc, store, 0, "the key."), put(alloc, store, 1, "a value."), LocalGet(0), LocalGet(1), Call(set), I32Const(0))
	export("react", nil, I64Const(1<<40), Call(load8))
	export("fetch", nil, forever(I64Const(1<<20), Call(alloc), Drop), I32Const(0))
	s := newSandbox(t, sandbox.Options{})
	engines(t, func(t *testing.T, cfg sandbox.Config) {
		cfg.ABI = sandbox.Extism
		guest := load(t, s, m.Bytes(), cfg)
		call := func(op sandbox.Op) (sandbox.Result, error) {
			return guest.Call(t.Context(), op, sandbox.Payload{Header: json.RawMessage(`{"a":1}`), Body: []byte("body")}, nil)
		}
		if r, err := call(sandbox.OpSend); err != nil || string(r.Out.Body) != "body" || string(r.Out.Header) != `{"a":1}` {
			t.Errorf("an echo: %v, %q", err, r.Out)
		}
		var own *sandbox.GuestError
		if _, err := call(sandbox.OpEdit); !errors.As(err, &own) || own.Message != "no edits" {
			t.Errorf("an error: %v", err)
		}
		if _, err := call(sandbox.OpTyping); !errors.As(err, &own) || own.Code != "unsupported" {
			t.Errorf("an operation that is not there: %v", err)
		}
		r, err := call(sandbox.OpPoll)
		if err != nil || len(r.Effects) != 1 || !strings.Contains(string(r.Effects[0].In.Header), "the key.") || string(r.Effects[0].In.Body) != "a value." {
			t.Errorf("a value: %v, %v", err, r.Effects)
		}
		var f *sandbox.Fault
		if _, err := call(sandbox.OpReact); !errors.As(err, &f) || f.Kind != sandbox.KindRange {
			t.Errorf("an address outside: %v", err)
		}
		if _, err := call(sandbox.OpFetch); !errors.As(err, &f) || f.Kind != sandbox.KindOutput {
			t.Errorf("endless blocks: %v", err)
		}
	})
}

func TestExtismHTTP(t *testing.T) {
	m := New(1)
	const request = `{"url":"https://example.org/","method":"POST","headers":{"A":"b"}}`
	alloc := m.Import(env, "alloc", Types{I64}, Types{I64})
	store := m.Import(env, "store_u8", Types{I64, I32}, nil)
	http := m.Import(env, "http_request", Types{I64, I64}, Types{I64})
	length := m.Import(env, "length", Types{I64}, Types{I64})
	status := m.Import(env, "http_status_code", nil, Types{I32})
	output := m.Import(env, "output_set", Types{I64, I64}, nil)
	code := [][]byte{I64Const(int64(len(request))), Call(alloc), LocalSet(0)}
	for i := range len(request) {
		code = append(code, LocalGet(0), I64Const(int64(i)), I64Add, I32Const(int32(request[i])), Call(store))
	}
	code = append(code, LocalGet(0), I64Const(0), Call(http), LocalTee(0), LocalGet(0), Call(length), Call(output),
		Call(status), I32Const(204), I32Sub)
	m.Export("poll", 0, m.Func(nil, Types{I32}, Types{I64}, code...))
	s := newSandbox(t, sandbox.Options{})
	guest := load(t, s, m.Bytes(), sandbox.Config{ABI: sandbox.Extism})
	var asked string
	h := &host{do: func(_ context.Context, _ sandbox.HostOp, in sandbox.Payload) (sandbox.Payload, error) {
		asked = string(in.Header)
		return sandbox.Payload{Header: json.RawMessage(`{"status":204}`), Body: frame("", "the response")}, nil
	}}
	r, err := guest.Call(t.Context(), sandbox.OpPoll, sandbox.Payload{}, h)
	if err != nil || string(r.Out.Body) != "the response" {
		t.Errorf("%v, %q", err, r.Out.Body)
	}
	if asked != request {
		t.Errorf("the host was asked %s", asked)
	}
}
