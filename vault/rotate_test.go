package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/gateway/bus/sqlite"
	"github.com/gatehouse-chat/gatehouse/internal/cputest"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

// town is a vault with three workspaces of some secrets each.
func town(t testing.TB, each int) (*vault.Store, *vaulttest.State, *vault.KeyFile) {
	t.Helper()
	state, key := &vaulttest.State{}, vaulttest.NewKey(t)
	v := vaulttest.Open(t, state, key)
	for _, w := range []string{"away", "home", "work"} {
		for i := range each {
			if _, err := v.Set(context.Background(), w, fmt.Sprintf("s%d", i), townValue(w, i), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	return v, state, key
}

func townValue(workspace string, i int) []byte {
	return fmt.Appendf(nil, "the value %d of %s", i, workspace)
}

// whole checks that every secret of a town is what it was.
func whole(t *testing.T, v *vault.Store, each int) {
	t.Helper()
	for _, w := range []string{"away", "home", "work"} {
		for i := range each {
			if got := read(t, v, w, fmt.Sprintf("s%d", i)); got != string(townValue(w, i)) {
				t.Errorf("%s/s%d is %q", w, i, got)
			}
		}
	}
}

// keysOf lists the ids of the keys in a file.
func keysOf(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "gatehouse-key-v1" {
			ids = append(ids, f[1])
		}
	}
	return ids
}

// lockedWith lists the distinct ids of keys that the stored data keys name.
func lockedWith(state *vaulttest.State) []string {
	var ids []string
	for key, text := range rows(state) {
		if strings.HasPrefix(key, "key/") {
			_, rest, _ := strings.Cut(string(text), `"source":"`)
			id, _, _ := strings.Cut(rest, `"`)
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func TestTheKeyIsReplaced(t *testing.T) {
	v, state, key := town(t, 3)
	old := keysOf(t, key.Path())
	lease, err := vaulttest.Lease(t, v, "home", "s1")
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(t.TempDir(), "old")
	copyFile(t, key.Path(), kept)
	if err := v.RotateKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := vaulttest.Value(t, lease); got != string(townValue("home", 1)) {
		t.Errorf("a lease from before gives %q", got)
	}
	fresh := keysOf(t, key.Path())
	if len(fresh) != 1 || fresh[0] == old[0] {
		t.Errorf("the file held %v and holds %v", old, fresh)
	}
	if got := lockedWith(state); !slices.Equal(got, fresh) {
		t.Errorf("locked with %v", got)
	}
	whole(t, v, 3)
	whole(t, vaulttest.Open(t, state, vault.NewKeyFile(key.Path(), "")), 3)
	if _, err := vault.Open(t.Context(), vault.Options{State: state, Key: vault.NewKeyFile(kept, "")}); !errors.Is(err, vault.ErrWrongKey) {
		t.Errorf("the old key still unlocks: %v", err)
	}
	if _, err := v.Set(t.Context(), "new", "s", []byte("of a new workspace"), nil); err != nil {
		t.Error(err)
	}
	if got := read(t, vaulttest.Open(t, state, key), "new", "s"); got != "of a new workspace" {
		t.Errorf("got %q", got)
	}
}

// The process dies at each write of a rotation of the key.
func TestDeathInARotationOfTheKey(t *testing.T) {
	for _, committed := range []bool{false, true} {
		v, state, key := town(t, 2)
		old := keysOf(t, key.Path())
		state.CrashAt(1, committed)
		if err := v.RotateKey(t.Context()); !errors.Is(err, vaulttest.ErrCrash) {
			t.Fatalf("got %v", err)
		}
		if got := keysOf(t, key.Path()); len(got) != 2 || got[1] != old[0] {
			t.Errorf("the file holds %v", got)
		}
		next := state.Restart()
		whole(t, vaulttest.Open(t, next, vault.NewKeyFile(key.Path(), "")), 2)
		fresh := keysOf(t, key.Path())
		if len(fresh) != 1 || fresh[0] == old[0] {
			t.Errorf("after the restart the file holds %v", fresh)
		}
		if got := lockedWith(next); !slices.Equal(got, fresh) {
			t.Errorf("after the restart locked with %v", got)
		}
	}
}

// stiff is a text that cannot be replaced from the n-th time on.
type stiff struct {
	vault.KeyText
	after int
}

func (s *stiff) Replace(ctx context.Context, text []byte) error {
	if s.after--; s.after < 0 {
		return vaulttest.ErrCrash
	}
	return s.KeyText.Replace(ctx, text)
}

func TestAKeyThatCannotBeWritten(t *testing.T) {
	for after, keys := range []int{1, 2} {
		_, state, key := town(t, 2)
		text := &stiff{KeyText: vault.NewFile(key.Path(), ""), after: after}
		v, err := vault.Open(t.Context(), vault.Options{State: state, Key: vault.Source{Wrapper: vault.NewRing(text), Watermark: key}})
		if err != nil {
			t.Fatal(err)
		}
		if err := v.RotateKey(t.Context()); !errors.Is(err, vaulttest.ErrCrash) {
			t.Errorf("got %v", err)
		}
		if got := keysOf(t, key.Path()); len(got) != keys {
			t.Errorf("the file holds %v", got)
		}
		whole(t, v, 2)
		whole(t, vaulttest.Open(t, state.Restart(), vault.NewKeyFile(key.Path(), "")), 2)
		if got := keysOf(t, key.Path()); len(got) != 1 {
			t.Errorf("in the end the file holds %v", got)
		}
	}
}

// fixed is a source that cannot replace its key.
type fixed struct{ vault.Wrapper }

func TestAKeyThatCannotBeReplaced(t *testing.T) {
	_, state, key := town(t, 1)
	v, err := vault.Open(t.Context(), vault.Options{State: state, Key: vault.Source{Wrapper: fixed{key.Ring}, Watermark: key.Marks}})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.RotateKey(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

// A move from one source to another needs both once, and then the new one alone.
// Whoever keeps a record is told of each workspace that another key locks, also
// when it is a later start that completes the work.
func TestInvariant08ReplacedKeysAreTold(t *testing.T) {
	_, state, from := town(t, 2)
	var told []string
	note := func(_ context.Context, workspace, old, next string) {
		if old == "" || next == "" || old == next {
			t.Errorf("from %q to %q", old, next)
		}
		told = append(told, workspace)
	}
	to := vaulttest.NewKey(t)
	crashed := state.Restart()
	crashed.CrashAt(1, false)
	_, err := vault.Open(t.Context(), vault.Options{State: crashed, Key: to, From: from, Relocked: note})
	if err == nil || len(told) != 0 {
		t.Fatalf("told of %v, %v", told, err)
	}
	for _, want := range []int{3, 3} { // the second start has nothing to do
		_, err := vault.Open(t.Context(), vault.Options{State: state, Key: to, From: from, Relocked: note})
		if err != nil || len(told) != want {
			t.Fatalf("told of %v, %v", told, err)
		}
	}
	v, err := vault.Open(t.Context(), vault.Options{State: state, Key: to, Relocked: note})
	if err == nil {
		err = v.RotateKey(t.Context())
	}
	if err != nil || len(told) != 6 {
		t.Errorf("told of %v, %v", told, err)
	}
}

func TestTheKeyMoves(t *testing.T) {
	_, state, from := town(t, 2)
	highest := func(k vault.Watermark) (sum int64) {
		for key, text := range rows(state) {
			if strings.HasPrefix(key, "key/") {
				_, rest, _ := strings.Cut(string(text), `"id":"`)
				n, err := k.Highest(t.Context(), rest[:16])
				if err != nil {
					t.Fatal(err)
				}
				sum += n
			}
		}
		return sum
	}
	for _, dies := range []int{0, 1} {
		for _, committed := range []bool{false, true} {
			state, to := state.Restart(), vaulttest.NewKey(t)
			state.CrashAt(dies, committed)
			v, err := vault.Open(t.Context(), vault.Options{State: state, Key: to, From: from})
			if dies > 0 {
				if !errors.Is(err, vaulttest.ErrCrash) {
					t.Fatalf("got %v", err)
				}
				state = state.Restart()
				v, err = vault.Open(t.Context(), vault.Options{State: state, Key: vault.NewKeyFile(to.Path(), ""), From: vault.NewKeyFile(from.Path(), "")})
			}
			if err != nil {
				t.Fatal(err)
			}
			whole(t, v, 2)
			whole(t, vaulttest.Open(t, state, vault.NewKeyFile(to.Path(), "")), 2)
			if highest(to) != highest(from) {
				t.Errorf("the counters did not move: %d, %d", highest(to), highest(from))
			}
			if _, err := vault.Open(t.Context(), vault.Options{State: state, Key: from}); !errors.Is(err, vault.ErrWrongKey) {
				t.Errorf("the old source still unlocks: %v", err)
			}
		}
	}
}

// A database from before the move is older for the new source as well.
func TestAMoveKeepsTheCounters(t *testing.T) {
	v, state, from := town(t, 2)
	yesterday := state.Restart()
	if _, err := v.Set(t.Context(), "home", "s0", []byte("a newer value"), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Open(t.Context(), vault.Options{State: yesterday, Key: vaulttest.NewKey(t), From: from}); !errors.Is(err, vault.ErrRolledBack) {
		t.Errorf("got %v", err)
	}
}

func TestADataKeyIsReplaced(t *testing.T) {
	v, state, key := town(t, 3)
	sealed, err := v.Seal(t.Context(), "home", "via", []byte("a token"))
	if err != nil {
		t.Fatal(err)
	}
	derived, err := v.Derive(t.Context(), "home", "webhook")
	if err != nil {
		t.Fatal(err)
	}
	lease, err := vaulttest.Lease(t, v, "home", "s1")
	if err != nil {
		t.Fatal(err)
	}
	yesterday, before := state.Restart(), rows(state)
	for range 2 {
		if err := v.RotateData(t.Context(), "home"); err != nil {
			t.Fatal(err)
		}
	}
	if got := vaulttest.Value(t, lease); got != string(townValue("home", 1)) {
		t.Errorf("a lease from before gives %q", got)
	}
	after := rows(state)
	for name, text := range after {
		if changed := !bytes.Equal(before[name], text); changed != strings.Contains(name, "/home") {
			t.Errorf("%s changed: %v", name, changed)
		}
	}
	for _, x := range []*vault.Store{v, vaulttest.Open(t, state, vault.NewKeyFile(key.Path(), ""))} {
		whole(t, x, 3)
		if got, err := x.Open(t.Context(), "home", "via", sealed); err != nil || string(got) != "a token" {
			t.Errorf("what was sealed before is %q, %v", got, err)
		}
		if got, err := x.Derive(t.Context(), "home", "webhook"); err != nil || !bytes.Equal(got, derived) {
			t.Errorf("what was derived before is another now, %v", err)
		}
		again, err := x.Seal(t.Context(), "home", "via", []byte("another"))
		if err != nil || bytes.Equal(again[1:9], sealed[1:9]) {
			t.Errorf("sealed under the old key, %v", err)
		}
		if got, err := x.Open(t.Context(), "home", "via", again); err != nil || string(got) != "another" {
			t.Errorf("what was sealed after is %q, %v", got, err)
		}
		for _, bad := range [][]byte{nil, again[:8], again[:9], append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0}, again[9:]...)} {
			if _, err := x.Open(t.Context(), "home", "via", bad); !errors.Is(err, vault.ErrCorrupt) {
				t.Errorf("%d bytes: %v", len(bad), err)
			}
		}
	}
	if _, err := vault.Open(t.Context(), vault.Options{State: yesterday, Key: vault.NewKeyFile(key.Path(), "")}); !errors.Is(err, vault.ErrRolledBack) {
		t.Errorf("the database from before: %v", err)
	}
	if err := v.RotateData(t.Context(), "none"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("an unknown workspace: %v", err)
	}
}

// The process dies at each write of a rotation of a data key, of more secrets
// than one commit takes.
func TestDeathInARotationOfADataKey(t *testing.T) {
	const each = 501
	state, key := &vaulttest.State{}, vaulttest.NewKey(t)
	v := vaulttest.Open(t, state, key)
	for i := range each {
		if _, err := v.Set(t.Context(), "home", fmt.Sprintf("s%d", i), townValue("home", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	versions, err := os.ReadFile(key.Path() + ".version")
	if err != nil {
		t.Fatal(err)
	}
	for _, committed := range []bool{false, true} {
		for n := 1; ; n++ {
			if err := os.WriteFile(key.Path()+".version", versions, 0o600); err != nil {
				t.Fatal(err)
			}
			here := state.Restart()
			v = vaulttest.Open(t, here, key)
			here.CrashAt(n, committed)
			err := v.RotateData(t.Context(), "home")
			if !here.Crashed() {
				if err != nil || n != 4 {
					t.Errorf("%d writes, %v", n-1, err)
				}
				break
			}
			if err == nil {
				t.Error("no error although the process died")
			}
			next := here.Restart()
			v = vaulttest.Open(t, next, key)
			done := n > 1 || committed
			under := map[string]int{}
			for name, text := range rows(next) {
				if _, sealed, ok := strings.Cut(string(text), `"sealed":"`); ok && strings.HasPrefix(name, "secret/") {
					under[sealed[:10]]++
				}
			}
			if len(under) != 1 {
				t.Errorf("write %d, committed %v: secrets are under %d keys", n, committed, len(under))
			}
			if got := bytes.Contains(rows(next)["key/home"], []byte(`"older"`)); got != done {
				t.Errorf("write %d, committed %v: a new key is there: %v", n, committed, got)
			}
			for i := range each {
				if got := read(t, v, "home", fmt.Sprintf("s%d", i)); got != string(townValue("home", i)) {
					t.Fatalf("write %d, committed %v: s%d is %q", n, committed, i, got)
				}
			}
		}
	}
}

// Two processes on one database: the one that did not rotate goes on.
func TestChangesBesideARotation(t *testing.T) {
	v, state, key := town(t, 2)
	other := vaulttest.Open(t, state, key)
	if err := v.RotateData(t.Context(), "home"); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Set(t.Context(), "home", "s0", []byte("of the other process"), nil); err != nil {
		t.Fatal(err)
	}
	if err := v.RotateData(t.Context(), "home"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, vaulttest.Open(t, state, key), "home", "s0"); got != "of the other process" {
		t.Errorf("got %q", got)
	}
}

func BenchmarkOpenASecret(b *testing.B) {
	v, _, _ := home(b)
	l, err := vaulttest.Lease(b, v, "home", "bot")
	if err != nil {
		b.Fatal(err)
	}
	cputest.Loop(b, func() {
		if err := l.Use(func([]byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkSealAndOpen(b *testing.B) {
	v, _, _ := home(b)
	message := bytes.Repeat([]byte("a message "), 50)
	b.ReportAllocs()
	b.SetBytes(int64(len(message)))
	for b.Loop() {
		sealed, err := v.Seal(b.Context(), "home", "message", message)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := v.Open(b.Context(), "home", "message", sealed); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRotate gives new keys to 10,000 secrets of 20 workspaces on the
// embedded database.
func BenchmarkRotate(b *testing.B) {
	state, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "x.db"), sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = state.Close() })
	v := vaulttest.Open(b, state, vaulttest.NewKey(b))
	for i := range 10_000 {
		if _, err := v.Set(b.Context(), fmt.Sprintf("w%d", i%20), fmt.Sprintf("s%d", i), townValue("home", i), nil); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("key", func(b *testing.B) {
		cputest.Loop(b, func() {
			if err := v.RotateKey(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("data", func(b *testing.B) {
		cputest.Loop(b, func() {
			for i := range 20 {
				if err := v.RotateData(b.Context(), fmt.Sprintf("w%d", i)); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}
