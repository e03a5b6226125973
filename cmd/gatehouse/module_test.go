package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/module/practice"
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
	b, err := packed(a[1], a[2], a[3:]...)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(a[0]), b, 0o600))
}

// packed is the package of such a guest.
func packed(id, version string, keys ...string) ([]byte, error) {
	code := constant(`{"as":"` + id + ` ` + version + `","receipt":{"id":"` + version + `","at":"2026-01-01T00:00:00Z"}}`)
	sum := sha256.Sum256(code)
	manifest := map[string]any{
		"id": id, "version": version, "abi": "gw1", "kind": []string{"channel"}, "sha256": hex.EncodeToString(sum[:]),
		"tests": []any{map[string]any{"op": "send", "in": map[string]any{}, "out": map[string]any{"receipt": map[string]any{"id": version}}}},
	}
	for _, kv := range keys {
		key, value, _ := strings.Cut(kv, "=")
		manifest[key] = json.RawMessage(value)
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		return nil, err
	}
	return module.Pack(text, code, nil)
}

// goCache is where Go keeps what it has compiled; a script has another home.
func goCache() string {
	if dir := os.Getenv("GOCACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "off"
	}
	return filepath.Join(dir, "go-build")
}

func scriptPractice(ts *testscript.TestScript, _ bool, _ []string) {
	const token = "practice-token-0001"
	w := worldOf(ts)
	w.practice = practice.New(token)
	s := httptest.NewServer(w.practice)
	w.shut = append(w.shut, s.Close)
	ts.Setenv("PRACTICE", s.URL)
	ts.Check(os.WriteFile(ts.MkAbs("practice.txt"), []byte(token+"\n"), 0o600))
}

func scriptPractises(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 2, "practises WHO TEXT")
	worldOf(ts).practice.Say(a[0], a[1])
}

// scriptReplies looks at what came after the last match only.
func scriptReplies(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 1, "replies PATTERN")
	w, pattern := worldOf(ts), regexp.MustCompile(a[0])
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		said, err := w.practice.Said(ctx, w.replied)
		if err != nil {
			ts.Fatalf("the bot did not write %s", a[0])
		}
		for _, m := range said {
			w.replied++
			if found := pattern.FindStringSubmatch(m.Text); found != nil {
				if len(found) > 1 {
					ts.Setenv("HEARD", found[1])
				}
				return
			}
		}
	}
}

func scriptAppend(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 2, "append FILE LINE...")
	text := ts.ReadFile(a[0]) + strings.Join(a[1:], "\n") + "\n"
	ts.Check(os.WriteFile(ts.MkAbs(a[0]), []byte(text), 0o600))
}

func scriptReplace(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 3, "replace OLD NEW FILE")
	text := ts.ReadFile(a[2])
	if !strings.Contains(text, a[0]) {
		ts.Fatalf("%s does not hold %s", a[2], a[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(a[2]), []byte(strings.ReplaceAll(text, a[0], a[1])), 0o600))
}
