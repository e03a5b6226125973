package wasm_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/guest/kits"
	"github.com/gatehouse-chat/gatehouse/channels/guest/kits/kitstest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/internal/module"
)

// kit is how a language's example is built.
type kit struct {
	lang  string
	needs func() error // what is missing on this machine
	build func(dir string) (wasm string, err error)
}

// ready fails where the language's tools are missing, unless the run says that
// the kits are to be left out.
func (k kit) ready(t testing.TB) {
	t.Helper()
	if os.Getenv(kitstest.Skip) == "skip" {
		t.Skip("GATEHOUSE_TEST_KITS=skip")
	}
	if err := k.needs(); err != nil {
		t.Fatalf("the tools for %s are not here: %v; run `make needs`, or set GATEHOUSE_TEST_KITS=skip to go without the kits", k.lang, err)
	}
}

func command(dir, name string, args ...string) error {
	var out bytes.Buffer
	c := exec.Command(name, args...)
	c.Dir, c.Stdout, c.Stderr = dir, &out, &out
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out.Bytes())
	}
	return nil
}

const rustTarget = "wasm32-unknown-unknown"

var rust = kit{
	lang: "rust",
	needs: func() error {
		out, err := exec.Command("rustc", "--print", "target-libdir", "--target", rustTarget).Output()
		if err == nil {
			_, err = os.Stat(strings.TrimSpace(string(out)))
		}
		return err
	},
	build: func(dir string) (string, error) {
		return filepath.Join(dir, "target", rustTarget, "release", "echo.wasm"),
			command(dir, "cargo", "build", "--quiet", "--locked", "--release", "--target", rustTarget)
	},
}

var c = kit{
	lang: "c",
	needs: func() error {
		_, err := exec.LookPath("clang")
		if err == nil {
			_, err = exec.LookPath("wasm-ld")
		}
		return err
	},
	build: func(dir string) (string, error) {
		return filepath.Join(dir, "echo.wasm"), command(dir, "make", "--silent")
	},
}

var assemblyScript = kit{
	lang:  "as",
	needs: func() error { _, err := exec.LookPath("npm"); return err },
	build: func(dir string) (string, error) {
		if err := command(dir, "npm", "install", "--silent", "--no-audit", "--no-fund"); err != nil {
			return "", err
		}
		return filepath.Join(dir, "echo.wasm"), command(dir, "npm", "run", "--silent", "build")
	},
}

var javaScript = kit{
	lang:  "js",
	needs: kitstest.Needs,
	build: func(dir string) (string, error) {
		e, err := engine()
		if err != nil {
			return "", err
		}
		script, err := os.ReadFile(filepath.Join(dir, "echo.js"))
		if err != nil {
			return "", err
		}
		code, err := kits.Script(e, script)
		if err != nil {
			return "", err
		}
		to := filepath.Join(dir, "echo.wasm")
		return to, os.WriteFile(to, code, 0o600)
	},
}

var engine = sync.OnceValues(func() ([]byte, error) { return kitstest.Engine("../..") })

// buildKit builds a language's example from the kit as it is embedded, and
// returns the package, signed, with its publisher.
func buildKit(t testing.TB, k kit) (path, publisher string) {
	t.Helper()
	k.ready(t)
	src, err := fs.Sub(kits.Files(), k.lang)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, src); err != nil {
		t.Fatal(err)
	}
	file, err := k.build(dir)
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(code)
	m["sha256"] = hex.EncodeToString(sum[:])
	text, _ = json.Marshal(m)
	public, key, _ := ed25519.GenerateKey(nil)
	b, err := module.Pack(text, code, key)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, k.lang+".gwm")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, module.Publisher(public).String()
}

// lacks is what the examples leave to their readers.
func lacks() []channeltest.Ability {
	has := []channeltest.Ability{
		channeltest.Redelivery, channeltest.Drops, channeltest.Outages, channeltest.Revocation, channeltest.Stalls, channeltest.Secrets,
		channeltest.Editing, channeltest.TextLimit, channeltest.Throttles, channeltest.Unavailables, channeltest.LostAnswers,
		channeltest.BadFormats, channeltest.ShutOuts, channeltest.Refusals,
	}
	return slices.DeleteFunc(channeltest.Abilities(), func(a channeltest.Ability) bool { return slices.Contains(has, a) })
}

// TestKits: what an author begins with passes the suite that holds every
// adapter, on the platform that the suite brings.
func TestKits(t *testing.T) {
	d := wasm.NewDriver(wasm.Options{CacheDir: cacheDir(t), Watch: 10 * time.Millisecond})
	t.Cleanup(func() { _ = d.Close() })
	for _, k := range []kit{rust, c, assemblyScript, javaScript} {
		t.Run(k.lang, func(t *testing.T) {
			path, publisher := buildKit(t, k)
			section := func(more json.RawMessage) json.RawMessage {
				m := map[string]any{"module": path, "publisher": publisher}
				_ = json.Unmarshal(more, &m)
				b, _ := json.Marshal(m)
				return b
			}
			cfg := section(nil)
			if err := d.Ready(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			loop := channeltest.LoopSuite()
			channeltest.Run(t, channeltest.Suite{
				Driver: d.For(cfg), Lacks: lacks(), Golden: "../../channels/channeltest/testdata/format",
				New: func(t testing.TB, name string) *channeltest.Harness {
					h := loop.New(t, name)
					h.Config = section(h.Config)
					h.Rooms, h.Threads, h.Joins = false, false, false
					h.Edit, h.Delete, h.React, h.Press, h.Commands = nil, nil, nil, nil, nil
					h.Reacted, h.Typed, h.Answered = nil, nil, nil
					return h
				},
			})
		})
	}
}

// TestTwoForms: a manifest may ask for a text in two forms, and is told who is
// mentioned. What goes out as plain text has one form.
func TestTwoForms(t *testing.T) {
	javaScript.ready(t)
	e, err := engine()
	if err != nil {
		t.Fatal(err)
	}
	d := wasm.NewDriver(wasm.Options{CacheDir: cacheDir(t)})
	t.Cleanup(func() { _ = d.Close() })
	code, err := kits.Script(e, []byte(`export default {
  send: ({ part }) => ({ receipt: { id: JSON.stringify([part.text, part.alternative ?? null, part.mentions ?? []]) } }),
};`))
	if err != nil {
		t.Fatal(err)
	}
	body := markup.Parse("so **be** it, [Ada](mention:u1) and [Ada](mention:u1)")
	for _, c := range []struct {
		name, features string
		plain          bool
		want           string
	}{
		{"one form", `{"dialect":"commonmark"}`, false, `["so **be** it, [Ada](mention:u1) and [Ada](mention:u1)",null,["u1"]]`},
		{"two forms", `{"dialect":"whatsapp","alternative":"plain"}`, false, `["so *be* it, @u1 and @u1","so be it, Ada and Ada",["u1"]]`},
		{"as plain text", `{"dialect":"whatsapp","alternative":"plain"}`, true, `["so be it, Ada and Ada",null,["u1"]]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			ch := openGuest(t, d, channeltest.NewHost(t), code, `"features":`+c.features)
			r, err := ch.Send(t.Context(), channels.Part{Key: "k", Body: body, Plain: c.plain})
			if err != nil || string(r.ID) != c.want {
				t.Errorf("it got %s, want %s; %v", r.ID, c.want, err)
			}
		})
	}
}

// TestIdempotentByManifest: a platform that knows a part again by its key is told by
// the manifest, and so is for how long.
func TestIdempotentByManifest(t *testing.T) {
	d := wasm.NewDriver(wasm.Options{})
	t.Cleanup(func() { _ = d.Close() })
	for _, c := range []struct {
		features string
		is       bool
		lasts    time.Duration
	}{
		{`{}`, false, 0},
		{`{"abilities":["idempotent"]}`, true, 0},
		{`{"abilities":["idempotent"],"idempotent_ms":120000}`, true, 2 * time.Minute},
	} {
		ch := openGuest(t, d, channeltest.NewHost(t), asks("https://api.example.org/v1/"), `"features":`+c.features)
		i, is := channels.As[channels.Idempotent](ch)
		if is != c.is || is && i.Idempotent() != c.lasts {
			t.Errorf("%s: %t", c.features, is)
		}
	}
}

// TestScriptErrors: what a script throws says where, in the author's lines.
func TestScriptErrors(t *testing.T) {
	javaScript.ready(t)
	e, err := engine()
	if err != nil {
		t.Fatal(err)
	}
	d := wasm.NewDriver(wasm.Options{CacheDir: cacheDir(t)})
	t.Cleanup(func() { _ = d.Close() })
	code, err := kits.Script(e, []byte(`
const helper = (x) => x.no.such;
export default {
  send(call) { return helper(call); },
  async react() { await 1; throw new gw.Failure("gone", "no such message"); },
};
`))
	if err != nil {
		t.Fatal(err)
	}
	ch := openGuest(t, d, channeltest.NewHost(t), code)
	_, err = ch.Send(t.Context(), channels.Part{Key: "k"})
	if err == nil || !strings.Contains(err.Error(), "script.js:2") || !strings.Contains(err.Error(), "helper") || !strings.Contains(err.Error(), "script.js:4") {
		t.Errorf("an exception: %v", err)
	}
	for _, bad := range []string{"export default {", "throw new Error('no')", "const x = 1"} {
		code, err := kits.Script(e, []byte(bad))
		if err != nil {
			t.Fatal(err)
		}
		host := channeltest.NewHost(t)
		if _, err := openGuest(t, d, host, code).Send(t.Context(), channels.Part{Key: "k"}); err == nil {
			t.Errorf("%s: it can be called", bad)
		}
	}
}
