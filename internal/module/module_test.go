package module_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

var code = []byte("a module")

func manifest() string {
	return asJSON(fmt.Sprintf(`
id: mychat
version: 1.2.3
abi: gw1
kind: [channel]
sha256: %x
webhooks:
  - path: /events
    methods: [POST]
    verify: {kind: hmac, secret: signing, name: X-Signature}
poll: {min_interval: 2s}
sockets:
  - url: wss://chat.example.org/ws
    credential: {secret: token, in: frame, pointer: /d/token}
http:
  - scheme: https
    host: ${config.base_url}
    methods: [GET, POST]
    path: /api/
    credential: {secret: token, in: header, name: Authorization, template: "Bearer {}"}
kv: {prefix: state, max_bytes: 65536}
emit: {rate: 20}
links: {hours: 24}
limits: {memory_mb: 16, fuel: 500000000, wall_ms: 3000, host_calls: 8}
config_schema: {type: object, anything: {goes: here}}
tests:
  - {op: probe, in: {}, out: {}}
`, sha256.Sum256(code)))
}

// asJSON lets the tests write manifests as people do.
func asJSON(text string) string {
	b, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		panic(err)
	}
	return string(b)
}

func key(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func TestManifest(t *testing.T) {
	m, err := module.ParseManifest([]byte(manifest()))
	if err != nil {
		t.Fatal(err)
	}
	want := sandbox.Config{Name: "mychat", Limits: sandbox.Limits{MemoryPages: 256, Fuel: 5e8, Wall: 3 * time.Second, HostCalls: 8}}
	if diff := cmp.Diff(want, m.Config()); diff != "" {
		t.Error(diff)
	}
	words := []string{
		"mychat 1.2.3 is a channel",
		`receives POST calls on /events, verified with the secret "signing"`,
		"is called every 2s at most, to look for messages",
		`keeps a connection to wss://chat.example.org/ws, with the secret "token" put in by the gateway`,
		`sends GET, POST to https://${config.base_url}/api/..., with the secret "token" put in by the gateway`,
		"keeps state of its own, up to 65536 bytes",
		"hands in up to 20 events a second",
		"lends each file that it sends under a link of the gateway, for 24 hours: whoever has the link can fetch the file",
	}
	if diff := cmp.Diff(words, m.Describe()); diff != "" {
		t.Error(diff)
	}
}

// TestAllFaultsAtOnce: whoever writes a manifest sees everything that is wrong.
func TestAllFaultsAtOnce(t *testing.T) {
	_, err := module.ParseManifest([]byte(asJSON(`
id: My Chat
version: "1"
abi: gw9
kind: [robot]
enigne: auto
webhooks: [{path: events, methods: [], verify: {}}]
poll: {min_interval: 1ms}
sockets: [{url: "https://example.org"}]
http: [{scheme: ftp, host: "*.org", port: 70000, methods: [CONNECT], path: api, credential: {secret: "", in: header, template: "{}{}"}}]
emit: {rate: 0}
links: {hours: 169}
kv: {prefix: a, max_bytes: -1, size: 3}
limits: {memory_mb: 64, fuel: -1}
`)))
	if err == nil {
		t.Fatal("no faults")
	}
	var places []string
	for line := range strings.Lines(err.Error()) {
		place, _, _ := strings.Cut(line, ": ")
		places = append(places, place)
	}
	want := []string{
		"enigne", "kv.size", "id", "version", "abi", "kind[0]", "sha256", "webhooks[0].path", "webhooks[0].methods", "webhooks[0].verify",
		"poll.min_interval", "sockets[0].url", "http[0].scheme", "http[0].host", "http[0].port", "http[0].methods[0]", "http[0].path",
		"http[0].credential.secret", "http[0].credential.name", "http[0].credential.template", "kv.max_bytes", "emit.rate", "links.hours",
		"limits.memory_mb", "limits.fuel",
	}
	if diff := cmp.Diff(want, places); diff != "" {
		t.Error(diff)
	}
}

// TestForm: a key that nobody knows, and a value of another kind, is said with its
// place and in words.
func TestForm(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"mistyped", `{"webhoks": []}`, `webhoks: unknown key; did you mean "webhooks"?`},
		{"in capitals", `{"http": [{"Host": "a"}]}`, `http[0].Host: unknown key; did you mean "host"?`},
		{"unlike any", `{"poll": {"every": "2s"}}`, "poll.every: unknown key; here can stand min_interval"},
		{"a list, not an object", `[]`, "a list, want an object"},
		{"an object, not a list", `{"http": {}}`, "http: an object, want a list"},
		{"a text, not a list", `{"http": [{"methods": "GET"}]}`, "http[0].methods: a text, want a list"},
		{"a text, not a number", `{"http": [{"port": "443"}]}`, "http[0].port: a text, want a whole number"},
		{"a fraction", `{"limits": {"memory_mb": 1.5}}`, "limits.memory_mb: a number, want a whole number"},
		{"a number, not a text", `{"tests": [{"state": {"offset": 7}}]}`, "tests[0].state.offset: a number, want a text"},
		{"two at once", `{"version": 1, "kind": "channel"}`, "kind: a text, want a list\nversion: a number, want a text"},
		{"too large a number", `{"limits": {"fuel": 1e300}}`, "the manifest: json: cannot unmarshal number 1e300"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := module.ParseManifest([]byte(tt.text))
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("it says\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}

// TestLine: a place of a manifest is on a line of it.
func TestLine(t *testing.T) {
	const text = `{
  "id": "mychat",
  "http": [
    {"host": "a", "methods": ["GET"]}, {
      "host": "b",
      "methods": [
        "POST",
        "BREW"
      ]
    }
  ],
  "poll":
    {"min_interval": "1s"}
}`
	tests := []struct {
		place string
		want  int
	}{
		{"", 1},
		{"id", 2},
		{"http", 3},
		{"http[0].methods[0]", 4},
		{"http[1]", 4},
		{"http[1].host", 5},
		{"http[1].methods[1]", 8},
		{"poll.min_interval", 13},
		{"http[1].port", 4}, // it is not there
		{"http[7].port", 3},
		{"version", 1},
		{"id.of[x]", 2},
	}
	for _, tt := range tests {
		if got := module.Line([]byte(text), tt.place); got != tt.want {
			t.Errorf("%s is on line %d, want %d", tt.place, got, tt.want)
		}
	}
}

// FuzzLine: every place of every text is on one of its lines.
func FuzzLine(f *testing.F) {
	f.Add(manifest(), "http[0].credential.secret")
	f.Add("{\n\"a\": [1,\n2]", "a[1]")
	f.Fuzz(func(t *testing.T, text, place string) {
		if n := module.Line([]byte(text), place); n < 1 || n > 1+strings.Count(text, "\n") {
			t.Errorf("line %d", n)
		}
	})
}

// TestChosenProof: a manifest may leave the proof to the operator, and then says
// nothing more of it. A signature is told from a secret that is shown.
func TestChosenProof(t *testing.T) {
	text := func(verify string) []byte {
		return []byte(`{"id":"a","version":"1.0.0","abi":"gw1","kind":["channel"],"sha256":"` + strings.Repeat("0", 64) + `",
			"webhooks":[{"path":"/","methods":["POST"],"verify":` + verify + `}],
			"http":[{"scheme":"https","host":"${config.to.origin}","methods":["POST"],"path":"/","credential":{"secret":"s","in":"signature"}}]}`)
	}
	m, err := module.ParseManifest(text(`{"kind":"${config.verify}"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"receives POST calls on /, verified with what the configuration says",
		`sends POST to https://${config.to.origin}/..., signed by the gateway with the secret "s"`,
	}
	if diff := cmp.Diff(want, m.Wishes()); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{`{"kind":"${config.verify}","secret":"s"}`, `{"kind":"${verify}"}`, `{"kind":"bearer"}`} {
		if _, err := module.ParseManifest(text(bad)); err == nil || !strings.Contains(err.Error(), "webhooks[0].verify") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func pack(t *testing.T, k ed25519.PrivateKey) []byte {
	t.Helper()
	b, err := module.Pack([]byte(manifest()), code, k)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPackage(t *testing.T) {
	b := pack(t, key(1))
	if !bytes.Equal(b, pack(t, key(1))) {
		t.Error("the same package has other bytes")
	}
	p, err := module.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	public, _ := key(1).Public().(ed25519.PublicKey)
	if !bytes.Equal(p.Publisher, public) || string(p.Module) != string(code) || p.Manifest.ID != "mychat" {
		t.Errorf("opened %+v", p)
	}
}

// trust is a Trust that thinks of all publishers alike.
type trust module.Standing

func (s trust) Standing(context.Context, module.Publisher) (module.Standing, error) {
	return module.Standing(s), nil
}

func TestTrust(t *testing.T) {
	for _, test := range []struct {
		name  string
		key   ed25519.PrivateKey
		trust module.Standing
		want  error
	}{
		{"trusted", key(1), module.Trusted, nil},
		{"unknown", key(1), module.Unknown, module.ErrUntrusted},
		{"revoked", key(1), module.Revoked, module.ErrRevoked},
		{"unsigned", nil, module.Trusted, module.ErrUnsigned},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := module.Open(pack(t, test.key))
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Check(t.Context(), trust(test.trust)); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// repack writes a package from files as they are.
func repack(t *testing.T, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// content reads one file of a package.
func content(t *testing.T, b []byte, name string) string {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out bytes.Buffer
	if _, err := out.ReadFrom(f); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestOpenRefuses(t *testing.T) {
	signature := content(t, pack(t, key(1)), "signature.json")
	const m, w, s = "manifest.json", "module.wasm", "signature.json"
	for _, test := range []struct {
		name string
		in   []byte
		want string
	}{
		{"no archive", []byte("hello"), "not a package"},
		{"another module", repack(t, m, manifest(), w, "another", s, signature), "the manifest is for another module"},
		{"a changed manifest", repack(t, m, manifest()+"\n", w, string(code), s, signature), "not of this manifest and module"},
		{"another order", repack(t, w, string(code), m, manifest()), `file 1 of the package is "module.wasm"`},
		{"a file more", repack(t, m, manifest(), w, string(code), s, signature, "x", "y"), "a package of 4 files"},
		{"a broken signature", repack(t, m, manifest(), w, string(code), s, `{"publisher":"AAAA"}`), "the signature cannot be read"},
		{"a large module", repack(t, m, manifest(), w, strings.Repeat("x", 8<<20+1)), "module.wasm: more than 8388608 bytes"},
		{"a manifest with faults", repack(t, m, `{"id":"x"}`, w, string(code)), "version:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := module.Open(test.in); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open: %v, want %q", err, test.want)
			}
		})
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(manifest()))
	f.Add([]byte(`{"http":[{"host":1}]}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if m, err := module.ParseManifest(b); err == nil {
			m.Describe()
			m.Config()
		}
	})
}

func FuzzOpen(f *testing.F) {
	b, err := module.Pack([]byte(manifest()), code, key(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := module.Open(b); err == nil && p.Manifest == nil {
			t.Error("a package without a manifest")
		}
	})
}
