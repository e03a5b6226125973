package wasm_test

import (
	"testing"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
)

// TestCredentialsInBodies: a secret goes where the manifest says, into every
// element of a list where it says so, and nowhere else.
func TestCredentialsInBodies(t *testing.T) {
	for _, c := range []struct{ body, pointer, want string }{
		{`{"d":{}}`, "/d/token", `{"d":{"token":"S"}}`},
		{`{"d":{"token":"x"},"n":12345678901234567890}`, "/d/token", `{"d":{"token":"S"},"n":12345678901234567890}`},
		{`{"d":[]}`, "/d/token", ""},
		{`{}`, "/d/token", ""},
		{`[]`, "/token", ""},
		{`{"a":[{"c":{}},{"c":{"token":"x"}},{}]}`, "/a/*/c/token", `{"a":[{"c":{"token":"S"}},{"c":{"token":"S"}},{}]}`},
		{`{"a":[{"b":[{"c":{}}]}]}`, "/a/*/b/*/c/token", `{"a":[{"b":[{"c":{"token":"S"}}]}]}`},
		{`{"text":"no list"}`, "/a/*/c/token", `{"text":"no list"}`},
		{`{"a":{"c":{}}}`, "/a/*/c/token", `{"a":{"c":{}}}`},
		{`{"a":["x"]}`, "/a/*", `{"a":["x"]}`},
		{`{"a":[{},{"c":1}]}`, "/a/1/c", `{"a":[{},{"c":"S"}]}`},
		{`{"a":[{}]}`, "/a/1/c", ""},
		{`{"a":[{}]}`, "/a/-1/c", ""},
		{`{"a":[{}]}`, "/a/99999999999999999999/c", ""},
		{`{"a":["x"]}`, "/a/0", ""},
		{`{"a":{"0":{}}}`, "/a/0/c", `{"a":{"0":{"c":"S"}}}`},
	} {
		got, err := wasm.SetAt([]byte(c.body), c.pointer, "S")
		if (err != nil) != (c.want == "") || string(got) != c.want {
			t.Errorf("%s at %s: %s, %v; want %s", c.body, c.pointer, got, err, c.want)
		}
	}
}
