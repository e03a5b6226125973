package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/internal/cputest"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

// read returns the value of a secret, "" when there is none.
func read(t *testing.T, v *vault.Store, workspace, name string) string {
	t.Helper()
	l, err := vaulttest.Lease(t, v, workspace, name)
	if errors.Is(err, vault.ErrNotFound) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return vaulttest.Value(t, l)
}

// The process dies at each write of each change, before or after the commit.
// The next one finds what stood before or what was asked for.
func TestDeathAtEachWrite(t *testing.T) {
	changes := []struct {
		name     string
		change   func(v *vault.Store) error
		old, new string // of home/bot
	}{
		{"a new value", func(v *vault.Store) error {
			_, err := v.Set(context.Background(), "home", "bot", []byte("the new value"), nil)
			return err
		}, secret, "the new value"},
		{"a rotation", func(v *vault.Store) error {
			_, err := v.Rotate(context.Background(), "home", "bot", func(b []byte) ([]byte, error) { return append(b, '!'), nil })
			return err
		}, secret, secret + "!"},
		{"a deletion", func(v *vault.Store) error { return v.Delete(context.Background(), "home", "bot") }, secret, ""},
		{"a grant", func(v *vault.Store) error {
			return v.Grant(context.Background(), "home", "bot", vault.Grant{Kind: "tool", Name: "x"})
		}, secret, secret},
		{"a workspace's first secret", func(v *vault.Store) error {
			_, err := v.Set(context.Background(), "new", "bot", []byte("its value"), nil)
			return err
		}, secret, secret},
	}
	for _, c := range changes {
		for _, committed := range []bool{false, true} {
			for n := 1; ; n++ {
				v, state, key := home(t)
				state.CrashAt(n, committed)
				err := c.change(v)
				if !state.Crashed() {
					if err != nil {
						t.Errorf("%s: %v without a crash", c.name, err)
					}
					if n == 1 {
						t.Errorf("%s writes nothing", c.name)
					}
					break
				}
				if err == nil {
					t.Errorf("%s: no error although the process died at write %d", c.name, n)
				}
				next, err := vault.Open(t.Context(), vault.Options{State: state.Restart(), Key: vault.NewKeyFile(key.Path(), "")})
				if err != nil {
					t.Fatalf("%s, write %d, committed %v: %v", c.name, n, committed, err)
				}
				want := c.old
				if committed {
					want = c.new
				}
				if got := read(t, next, "home", "bot"); got != want {
					t.Errorf("%s, write %d, committed %v: %q, want %q", c.name, n, committed, got, want)
				}
				if err := c.change(next); err != nil && !errors.Is(err, vault.ErrNotFound) {
					t.Errorf("%s cannot be done after the restart: %v", c.name, err)
				}
			}
		}
	}
}

// lame is a key source whose counter cannot be written, as when the process dies
// between the commit and the counter.
type lame struct {
	vault.KeySource
	broken bool
}

func (l *lame) Raise(ctx context.Context, id string, n int64) error {
	if l.broken {
		return vaulttest.ErrCrash
	}
	return l.KeySource.Raise(ctx, id, n)
}

func TestDeathBetweenTheCommitAndTheCounter(t *testing.T) {
	state, key := &vaulttest.State{}, &lame{KeySource: vaulttest.NewKey(t)}
	v := vaulttest.Open(t, state, key)
	if _, err := v.Set(t.Context(), "home", "bot", []byte("the first value"), nil); err != nil {
		t.Fatal(err)
	}
	yesterday := state.Restart()
	key.broken = true
	if _, err := v.Set(t.Context(), "home", "bot", []byte("the second value"), nil); !errors.Is(err, vaulttest.ErrCrash) {
		t.Fatalf("got %v", err)
	}
	if got := read(t, v, "home", "bot"); got != "the second value" {
		t.Errorf("what was committed is not seen: %q", got)
	}
	key.broken = false
	if got := read(t, vaulttest.Open(t, state.Restart(), key), "home", "bot"); got != "the second value" {
		t.Errorf("after a restart: %q", got)
	}
	if _, err := vault.Open(t.Context(), vault.Options{State: yesterday, Key: key}); !errors.Is(err, vault.ErrRolledBack) {
		t.Errorf("the counter was not caught up: %v", err)
	}
}

func TestYesterdaysDatabase(t *testing.T) {
	v, state, key := home(t)
	yesterday := state.Restart()
	if _, err := v.Set(t.Context(), "home", "bot", []byte("the rotated value"), nil); err != nil {
		t.Fatal(err)
	}
	_, err := vault.Open(t.Context(), vault.Options{State: yesterday, Key: key})
	if !errors.Is(err, vault.ErrRolledBack) || strings.Contains(err.Error(), secret) {
		t.Fatalf("got %v", err)
	}
	var log bytes.Buffer
	v, err = vault.Open(t.Context(), vault.Options{
		State: yesterday, Key: key, AcceptOlder: true, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "an older database is accepted") {
		t.Errorf("nothing was said: %s", log.String())
	}
	if got := read(t, v, "home", "bot"); got != secret {
		t.Errorf("got %q", got)
	}
	// From now on it is the newest, and the one that was newer is not.
	_ = vaulttest.Open(t, yesterday.Restart(), key)
	if _, err := vault.Open(t.Context(), vault.Options{State: state.Restart(), Key: key}); !errors.Is(err, vault.ErrRolledBack) {
		t.Errorf("the other database: %v", err)
	}
}

func TestAnotherDatabaseWithTheSameKey(t *testing.T) {
	_, state, key := home(t)
	other := vaulttest.Open(t, &vaulttest.State{}, key)
	if _, err := other.Set(t.Context(), "home", "bot", []byte("of another folder"), nil); err != nil {
		t.Fatal(err)
	}
	if got := read(t, vaulttest.Open(t, state, key), "home", "bot"); got != secret {
		t.Errorf("got %q", got)
	}
}

func TestACounterThatWasLost(t *testing.T) {
	v, state, key := home(t)
	if _, err := v.Set(t.Context(), "home", "bot", []byte("the second value"), nil); err != nil {
		t.Fatal(err)
	}
	moved := vaulttest.NewKey(t)
	copyFile(t, key.Path(), moved.Path())
	var log bytes.Buffer
	v, err := vault.Open(t.Context(), vault.Options{State: state, Key: moved, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, v, "home", "bot"); got != "the second value" || !strings.Contains(log.String(), "behind") {
		t.Errorf("%q, said %s", got, log.String())
	}
}

// rows are the stored values by key.
func rows(state *vaulttest.State) map[string][]byte {
	out := map[string][]byte{}
	state.Tamper(func(_ string, e kv.Entry) []byte { out[e.Key] = e.Value; return e.Value })
	return out
}

// edit changes the readable part of a stored secret.
func edit(t *testing.T, text []byte, f func(head map[string]any)) []byte {
	t.Helper()
	var row, head map[string]any
	if err := json.Unmarshal(text, &row); err != nil {
		t.Fatal(err)
	}
	head = row["head"].(map[string]any)
	f(head)
	out, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Whoever can write to the database but has no key changes rows in every way.
// The vault must not open, and must not lend what was not stored.
func TestTampering(t *testing.T) {
	const bot, other, away = "secret/home/bot", "secret/home/other", "secret/away/bot"
	var old map[string][]byte // before bot was set again
	tests := []struct {
		name string
		f    func(t *testing.T, key string, all map[string][]byte) []byte
	}{
		{"two secrets exchanged", func(_ *testing.T, key string, all map[string][]byte) []byte {
			switch key {
			case bot:
				return all[other]
			case other:
				return all[bot]
			}
			return all[key]
		}},
		{"another secret's ciphertext", func(t *testing.T, key string, all map[string][]byte) []byte {
			return only(key, bot, all, func(text []byte) []byte {
				var a, b map[string]json.RawMessage
				_ = json.Unmarshal(text, &a)
				_ = json.Unmarshal(all[other], &b)
				a["sealed"] = b["sealed"]
				out, _ := json.Marshal(a)
				return out
			})
		}},
		{"another workspace's secret", func(_ *testing.T, key string, all map[string][]byte) []byte {
			return only(key, bot, all, func([]byte) []byte { return all[away] })
		}},
		{"the old version of one row", func(_ *testing.T, key string, all map[string][]byte) []byte {
			return only(key, bot, all, func([]byte) []byte { return old[bot] })
		}},
		{"the old list", func(_ *testing.T, key string, all map[string][]byte) []byte {
			return only(key, "manifest/home", all, func([]byte) []byte { return old["manifest/home"] })
		}},
		{"the old row and the old list", func(_ *testing.T, key string, all map[string][]byte) []byte {
			if key == bot || key == "manifest/home" {
				return old[key]
			}
			return all[key]
		}},
		{"another workspace's list", func(_ *testing.T, key string, all map[string][]byte) []byte {
			return only(key, "manifest/home", all, func([]byte) []byte { return all["manifest/away"] })
		}},
		{"another workspace's key", func(_ *testing.T, key string, all map[string][]byte) []byte {
			return only(key, "key/home", all, func([]byte) []byte { return all["key/away"] })
		}},
		{"a deleted row", func(_ *testing.T, key string, all map[string][]byte) []byte {
			return only(key, bot, all, func([]byte) []byte { return nil })
		}},
		{"a deleted list", func(_ *testing.T, key string, all map[string][]byte) []byte {
			return only(key, "manifest/home", all, func([]byte) []byte { return nil })
		}},
		{"a host added", func(t *testing.T, key string, all map[string][]byte) []byte {
			return only(key, bot, all, func(text []byte) []byte {
				return edit(t, text, func(h map[string]any) { h["hosts"] = []string{"evil.example:443"} })
			})
		}},
		{"a grant added", func(t *testing.T, key string, all map[string][]byte) []byte {
			return only(key, bot, all, func(text []byte) []byte {
				return edit(t, text, func(h map[string]any) { h["grants"] = []vault.Grant{{Kind: "tool", Name: "http"}} })
			})
		}},
		{"a version changed", func(t *testing.T, key string, all map[string][]byte) []byte {
			return only(key, bot, all, func(text []byte) []byte {
				return edit(t, text, func(h map[string]any) { h["version"] = 7 })
			})
		}},
		{"a row that is no row", func(_ *testing.T, key string, all map[string][]byte) []byte {
			return only(key, bot, all, func([]byte) []byte { return []byte("{}") })
		}},
		{"a key that is no key", func(_ *testing.T, key string, all map[string][]byte) []byte {
			return only(key, "key/home", all, func([]byte) []byte { return []byte("{}") })
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, state, key := home(t)
			for _, w := range []string{"home", "away"} {
				if _, err := v.Set(t.Context(), w, "other", []byte("the other value"), nil); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := v.Set(t.Context(), "away", "bot", []byte("the value of another workspace"), nil); err != nil {
				t.Fatal(err)
			}
			old = rows(state)
			if _, err := v.Set(t.Context(), "home", "bot", []byte("the newest value"), nil); err != nil {
				t.Fatal(err)
			}
			all := rows(state)
			state.Tamper(func(_ string, e kv.Entry) []byte { return tt.f(t, e.Key, all) })
			_, err := vault.Open(t.Context(), vault.Options{State: state, Key: vault.NewKeyFile(key.Path(), "")})
			if err == nil {
				t.Error("the vault opens")
			}
			if err != nil && !errors.Is(err, vault.ErrRolledBack) && !errors.Is(err, vault.ErrCorrupt) && !errors.Is(err, vault.ErrWrongKey) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func only(key, which string, all map[string][]byte, f func([]byte) []byte) []byte {
	if key != which {
		return all[key]
	}
	return f(all[key])
}

// A running vault lends what it has verified, whatever happens to the rows.
func TestTamperingWhileRunning(t *testing.T) {
	v, state, _ := home(t)
	state.Tamper(func(string, kv.Entry) []byte { return nil })
	if got := read(t, v, "home", "bot"); got != secret {
		t.Errorf("got %q", got)
	}
}

func TestSealing(t *testing.T) {
	v, _, _ := home(t)
	sealed, err := v.Seal(t.Context(), "home", "via", []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	again, err := v.Seal(t.Context(), "home", "via", []byte(secret))
	if err != nil || bytes.Equal(sealed, again) || bytes.Contains(sealed, []byte(secret)) || len(sealed) != len(secret)+69 {
		t.Errorf("sealed %d bytes, %v", len(sealed), err)
	}
	if _, err := v.Seal(t.Context(), "away", "via", nil); err != nil {
		t.Fatal(err)
	}
	flip := func(i int) []byte {
		b := bytes.Clone(sealed)
		b[i] ^= 1
		return b
	}
	tests := []struct {
		name, workspace, domain string
		blob                    []byte
	}{
		{"another workspace", "away", "via", sealed},
		{"an unknown workspace", "none", "via", sealed},
		{"another domain", "home", "session", sealed},
		{"no domain", "home", "", sealed},
		{"nothing", "home", "via", nil},
		{"too short", "home", "via", sealed[:68]},
		{"cut off", "home", "via", sealed[:len(sealed)-1]},
		{"longer", "home", "via", append(bytes.Clone(sealed), 0)},
	}
	for i := range sealed {
		tests = append(tests, struct {
			name, workspace, domain string
			blob                    []byte
		}{fmt.Sprintf("byte %d changed", i), "home", "via", flip(i)})
	}
	for _, tt := range tests {
		if got, err := v.Open(t.Context(), tt.workspace, tt.domain, tt.blob); !errors.Is(err, vault.ErrCorrupt) || got != nil {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
	if _, err := v.Seal(t.Context(), "home", "", []byte(secret)); err == nil {
		t.Error("sealed without a domain")
	}
	if _, err := v.Seal(t.Context(), "", "via", []byte(secret)); err == nil {
		t.Error("sealed without a workspace")
	}
}

func TestDeriving(t *testing.T) {
	v, _, _ := home(t)
	known := map[string]string{}
	for _, of := range [][]string{
		{"home", "webhook"},
		{"home", "webhook", "support"},
		{"home", "webhooksupport"},
		{"home", "webhook", "supp", "ort"},
		{"home", "webhook", ""},
		{"away", "webhook"},
		{"home", "other"},
	} {
		got, err := v.Derive(t.Context(), of[0], of[1:]...)
		if err != nil || len(got) != 32 {
			t.Fatalf("%q: %d bytes, %v", of, len(got), err)
		}
		if twin, ok := known[string(got)]; ok {
			t.Errorf("%q gives what %s gives", of, twin)
		}
		known[string(got)] = fmt.Sprint(of)
	}
	if _, err := v.Derive(t.Context(), "home"); err == nil {
		t.Error("derived for nothing")
	}
}

func FuzzOpenSealed(f *testing.F) {
	v, _, _ := home(f)
	sealed, err := v.Seal(context.Background(), "home", "via", []byte(secret))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(sealed[:53])
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, blob []byte) {
		plain, err := v.Open(context.Background(), "home", "via", blob)
		if (err == nil) != bytes.Equal(blob, sealed) || (err != nil && plain != nil) {
			t.Errorf("%d bytes: %v", len(blob), err)
		}
	})
}

// FuzzStoredSecret replaces a stored row with anything at all.
func FuzzStoredSecret(f *testing.F) {
	_, state, key := home(f)
	good := rows(state)["secret/home/bot"]
	f.Add(good)
	f.Add([]byte("{}"))
	f.Add(bytes.Replace(good, []byte(`"version":1`), []byte(`"version":2`), 1))
	f.Add(bytes.Replace(good, []byte(`"name":"bot"`), []byte(`"name":"bot","hosts":["evil:1"]`), 1))
	f.Add(bytes.ReplaceAll(good, []byte(`{`), []byte(`{ `)))
	f.Fuzz(func(t *testing.T, text []byte) {
		now := state.Restart()
		now.Tamper(func(_ string, e kv.Entry) []byte {
			if e.Key == "secret/home/bot" {
				return append([]byte{}, text...)
			}
			return e.Value
		})
		v, err := vault.Open(context.Background(), vault.Options{State: now, Key: vault.NewKeyFile(key.Path(), "")})
		if err != nil {
			return
		}
		if got := read(t, v, "home", "bot"); got != secret {
			t.Errorf("%q", got)
		}
		all, _ := v.List(context.Background(), "home")
		if len(all) != 1 || len(all[0].Hosts)+len(all[0].Grants) != 0 || all[0].Version != 1 {
			t.Errorf("%+v", all)
		}
	})
}

func BenchmarkLeaseAndUse(b *testing.B) {
	v, _, _ := home(b)
	if _, err := vaulttest.Lease(b, v, "home", "bot"); err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	cputest.Loop(b, func() {
		l, err := v.LeaseConfigured(ctx, "home", "secret://bot", vaulttest.Bot)
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Use(func([]byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkLeaseByScope opens a secret the whole way: it is looked up by the
// scope of a turn, its grants are checked, and it is decrypted.
func BenchmarkLeaseByScope(b *testing.B) {
	v, _, _ := home(b)
	ctx := context.Background()
	p := vault.Purpose{Kind: "tool", Name: "http"}
	if err := v.Grant(ctx, "home", "bot", vault.Grant{Kind: p.Kind, Name: p.Name}); err != nil {
		b.Fatal(err)
	}
	s := scope.New(scope.Principal{Workspace: "home", Member: "anna", Role: scope.Ordinary})
	cputest.Loop(b, func() {
		l, err := v.Lease(ctx, s, "secret://bot", p)
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Use(func([]byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	v, _, _ := home(b)
	ctx, plain := context.Background(), []byte(secret)
	b.ReportAllocs()
	for b.Loop() {
		sealed, err := v.Seal(ctx, "home", "via", plain)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := v.Open(ctx, "home", "via", sealed); err != nil {
			b.Fatal(err)
		}
	}
}
