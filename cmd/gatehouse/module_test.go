package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

// constant is a guest that answers everything alike.
func constant(header string) []byte {
	m := New(2)
	output := m.Import("gw", "output", Types{I32, I32}, nil)
	frame := sandbox.Payload{Header: json.RawMessage(header)}.Encode()
	m.Data(0, frame)
	m.Handle(nil, I32Const(0), I32Const(int32(len(frame))), Call(output), I32Const(0))
	return m.Bytes()
}

// scriptModule packs a guest that answers every send with its version as the
// receipt.
func scriptModule(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 3, "module FILE ID VERSION [KEY=JSON]...")
	code := constant(`{"as":"` + a[1] + ` ` + a[2] + `","receipt":{"id":"` + a[2] + `","at":"2026-01-01T00:00:00Z"}}`)
	sum := sha256.Sum256(code)
	manifest := map[string]any{
		"id": a[1], "version": a[2], "abi": "gw1", "kind": []string{"channel"}, "sha256": hex.EncodeToString(sum[:]),
		"tests": []any{map[string]any{"op": "send", "in": map[string]any{}, "out": map[string]any{"receipt": map[string]any{"id": a[2]}}}},
	}
	for _, kv := range a[3:] {
		key, value, _ := strings.Cut(kv, "=")
		manifest[key] = json.RawMessage(value)
	}
	text, err := json.Marshal(manifest)
	ts.Check(err)
	b, err := module.Pack(text, code, nil)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(a[0]), b, 0o600))
}
