package shelf_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/module/shelf"
)

// memory is a state that fails when it is told to.
type memory struct {
	rows    map[string]kv.Entry
	fail    error
	between func() // done once, between reading and writing
}

func (m *memory) Get(_ context.Context, space, key string) (kv.Entry, error) {
	return m.rows[space+"|"+key], nil
}

func (m *memory) List(_ context.Context, space, _, after string, _ int) (out []kv.Entry, _ error) {
	for k, e := range m.rows {
		if strings.HasPrefix(k, space+"|") && e.Key > after {
			out = append(out, e)
		}
	}
	return out, nil
}

func (m *memory) Latest(context.Context, string, string, int) ([]kv.Entry, error) { return nil, nil }

func (m *memory) Write(_ context.Context, all ...kv.Write) error {
	if f := m.between; f != nil {
		m.between = nil
		f()
	}
	for _, w := range all {
		have := m.rows[w.Space+"|"+w.Key].Version
		if w.If == kv.Absent && have != 0 || w.If > 0 && have != w.If {
			return kv.ErrConflict
		}
	}
	if m.fail != nil {
		return m.fail
	}
	for _, w := range all {
		k := w.Space + "|" + w.Key
		if w.Value == nil {
			delete(m.rows, k)
			continue
		}
		m.rows[k] = kv.Entry{Key: w.Key, Version: m.rows[k].Version + 1, Value: bytes.Clone(w.Value)}
	}
	return nil
}

func newShelf() (*shelf.Shelf, *memory) {
	m := &memory{rows: map[string]kv.Entry{}}
	return shelf.New(m, time.Now), m
}

func newKey(t *testing.T) (ed25519.PrivateKey, string) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key, module.Publisher(public).String()
}

// packed is a package of some version, signed by key if there is one.
func packed(t *testing.T, id, version string, key ed25519.PrivateKey, hosts ...string) []byte {
	t.Helper()
	code := bytes.Repeat([]byte(version), 300_000) // more than one piece
	var http []string
	for _, h := range hosts {
		http = append(http, fmt.Sprintf(`{"scheme":"https","host":%q,"methods":["POST"],"path":"/"}`, h))
	}
	manifest := fmt.Appendf(nil, `{"id":%q,"version":%q,"abi":"gw1","kind":["channel"],"sha256":"%x","http":[%s]}`,
		id, version, sha256.Sum256(code), strings.Join(http, ","))
	b, err := module.Pack(manifest, code, key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t *testing.T, s *shelf.Shelf, pkg []byte, dev bool) shelf.Module {
	t.Helper()
	p, err := s.Plan(t.Context(), pkg, dev)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Install(t.Context(), pkg, p.Sum, dev)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func refuses(t *testing.T, s *shelf.Shelf, pkg []byte, dev bool, want string) {
	t.Helper()
	_, planned := s.Plan(t.Context(), pkg, dev)
	_, installed := s.Install(t.Context(), pkg, shelf.Sum(pkg), dev)
	for _, err := range []error{planned, installed} {
		if !errors.Is(err, shelf.ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("it says %v, want a refusal with %q", err, want)
		}
	}
}

func TestOnlyTrustedPublishers(t *testing.T) {
	s, _ := newShelf()
	key, who := newKey(t)
	pkg := packed(t, "a", "1.0.0", key)
	refuses(t, s, pkg, false, "is not trusted here")
	refuses(t, s, packed(t, "a", "1.0.0", nil), false, "it is not signed")
	if err := s.Trust(t.Context(), who, "Ada"); err != nil {
		t.Fatal(err)
	}
	m := put(t, s, pkg, false)
	got, err := s.Package(t.Context(), m.Current)
	if err != nil || !bytes.Equal(got, pkg) || m.Dev {
		t.Errorf("%v, the package is the same: %v, dev %v", err, bytes.Equal(got, pkg), m.Dev)
	}
	if err := s.Revoke(t.Context(), who); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Find(t.Context(), "a"); err != nil || m.Quarantined == "" {
		t.Errorf("after the revocation: %+v, %v", m, err)
	}
	refuses(t, s, packed(t, "b", "1.0.0", key), true, "revoked")
	if err := s.Trust(t.Context(), who, ""); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Find(t.Context(), "a"); err != nil || m.Quarantined != "" {
		t.Errorf("trusted again: %+v, %v", m, err)
	}
	if err := s.Trust(t.Context(), "ed25519:short", ""); !errors.Is(err, shelf.ErrRefused) {
		t.Errorf("a key that is none: %v", err)
	}
}

func TestUpgrade(t *testing.T) {
	s, _ := newShelf()
	key, who := newKey(t)
	other, whoElse := newKey(t)
	for _, k := range []string{who, whoElse} {
		if err := s.Trust(t.Context(), k, ""); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, packed(t, "a", "1.9.0", key, "one.example"), false)
	refuses(t, s, packed(t, "a", "1.10.0", other), false, "is by "+who)
	refuses(t, s, packed(t, "a", "1.10.0", nil), true, "is by "+who)
	refuses(t, s, packed(t, "a", "1.8.9", key), false, "not newer")
	refuses(t, s, packed(t, "a", "1.9.0", key, "one.example"), false, "in use already")

	p, err := s.Plan(t.Context(), packed(t, "a", "1.10.0", key, "two.example"), false)
	if err != nil {
		t.Fatal(err)
	}
	want := shelf.Plan{
		From: "1.9.0", More: []string{"sends POST to https://two.example/..."}, Less: []string{"sends POST to https://one.example/..."},
	}
	if d := cmp.Diff(want, shelf.Plan{From: p.From, More: p.More, Less: p.Less}); d != "" {
		t.Error(d)
	}
	if _, err := s.Install(t.Context(), packed(t, "a", "1.10.0", key), p.Sum, false); !errors.Is(err, shelf.ErrRefused) {
		t.Errorf("another package than was agreed to: %v", err)
	}
}

func TestRollback(t *testing.T) {
	s, store := newShelf()
	key, who := newKey(t)
	if err := s.Trust(t.Context(), who, ""); err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0"} {
		put(t, s, packed(t, "a", v, key), false)
	}
	if _, err := s.Rollback(t.Context(), "a", "1.0.0"); !errors.Is(err, shelf.ErrRefused) {
		t.Errorf("a version that is kept no longer: %v", err)
	}
	m, err := s.Rollback(t.Context(), "a", "")
	if err != nil || m.Current.Version != "1.3.0" {
		t.Fatalf("%+v, %v", m, err)
	}
	if b, err := s.Package(t.Context(), m.Current); err != nil || !bytes.Equal(b, packed(t, "a", "1.3.0", key)) {
		t.Errorf("the package of the version before: %v", err)
	}
	if m, err = s.Rollback(t.Context(), "a", "1.4.0"); err != nil || m.Current.Version != "1.4.0" {
		t.Errorf("forward again: %+v, %v", m, err)
	}
	if err := s.Remove(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	for k := range store.rows {
		if !strings.HasPrefix(k, "publisher|") {
			t.Errorf("%s is left behind", k)
		}
	}
}

// TestDevStays: that nobody vouched for a version is remembered beyond it.
func TestDevStays(t *testing.T) {
	s, _ := newShelf()
	key, who := newKey(t)
	put(t, s, packed(t, "a", "1.0.0", nil), true)
	put(t, s, packed(t, "a", "1.0.0", nil, "more.example"), true) // while it is developed the version stays
	if err := s.Trust(t.Context(), who, ""); err != nil {
		t.Fatal(err)
	}
	if m := put(t, s, packed(t, "a", "1.1.0", key), false); !m.Dev {
		t.Error("a signed version has made it forget")
	}
}

// TestFailedCommit: what cannot be written as a whole changes nothing.
func TestFailedCommit(t *testing.T) {
	s, store := newShelf()
	put(t, s, packed(t, "a", "1.0.0", nil), true)
	store.fail = errors.New("the disk is full")
	pkg := packed(t, "a", "1.1.0", nil)
	if _, err := s.Install(t.Context(), pkg, shelf.Sum(pkg), true); !errors.Is(err, store.fail) {
		t.Fatal(err)
	}
	store.fail = nil
	m, err := s.Find(t.Context(), "a")
	if err != nil || m.Current.Version != "1.0.0" || len(m.Before) != 0 {
		t.Fatalf("%+v, %v", m, err)
	}
	if _, err := s.Package(t.Context(), m.Current); err != nil {
		t.Error(err)
	}
}

// TestTakeBack: a version that broke at its start gives way to the last one that
// has worked, and to no other.
func TestTakeBack(t *testing.T) {
	ctx := t.Context()
	s, _ := newShelf()
	key, publisher := newKey(t)
	if err := s.Trust(ctx, publisher, ""); err != nil {
		t.Fatal(err)
	}
	install := func(version string) shelf.Module {
		t.Helper()
		return put(t, s, packed(t, "mychat", version, key), false)
	}
	takeBack := func(m shelf.Module, want string) shelf.Module {
		t.Helper()
		got, err := s.TakeBack(ctx, m.ID, m.Current.Sum, "trap")
		if err != nil {
			t.Fatal(err)
		}
		if got.Current.Version != want {
			t.Errorf("after %s broke, %s is in use, want %s", m.Current.Version, got.Current.Version, want)
		}
		return got
	}
	first := takeBack(install("1.0.0"), "1.0.0") // there is no other
	if err := s.Worked(ctx, first.ID, "another"); err != nil {
		t.Fatal(err)
	}
	second := takeBack(install("1.1.0"), "1.1.0") // the first was never seen to work
	third := install("1.2.0")
	if err := s.Worked(ctx, second.ID, second.Current.Sum); err != nil { // noted when it was replaced already
		t.Fatal(err)
	}
	fourth := install("1.3.0")
	back := takeBack(fourth, "1.1.0") // past the third, which did not work
	if b := back.Before[0]; b.Version != "1.3.0" || b.Broke != "trap" {
		t.Errorf("on the shelf first: %+v", b)
	}
	takeBack(third, "1.1.0") // which is not in use any more
}

// TestChangedMeanwhile: a gateway that notes that a version has worked is in the
// way of nobody who changes the module, and the other way round.
func TestChangedMeanwhile(t *testing.T) {
	key, who := newKey(t)
	old, pkg := packed(t, "a", "1.0.0", key), packed(t, "a", "1.1.0", key)
	for name, change := range map[string]func(context.Context, *shelf.Shelf) error{
		"upgrade": func(ctx context.Context, s *shelf.Shelf) error {
			_, err := s.Install(ctx, pkg, shelf.Sum(pkg), false)
			return err
		},
		"remove": func(ctx context.Context, s *shelf.Shelf) error { return s.Remove(ctx, "a") },
		"worked": func(ctx context.Context, s *shelf.Shelf) error { return s.Worked(ctx, "a", shelf.Sum(old)) },
	} {
		t.Run(name, func(t *testing.T) {
			s, store := newShelf()
			if err := s.Trust(t.Context(), who, "Ada"); err != nil {
				t.Fatal(err)
			}
			m := put(t, s, old, false)
			store.between = func() {
				if err := s.Worked(t.Context(), "a", m.Current.Sum); err != nil {
					t.Error(err)
				}
			}
			if err := change(t.Context(), s); err != nil {
				t.Error(err)
			}
			m, err := s.Find(t.Context(), "a")
			if _, worked := m.Works(shelf.Sum(old)); err == nil && !worked {
				t.Error("nobody knows that it has worked")
			}
		})
	}
	s, store := newShelf()
	if err := s.Trust(t.Context(), who, "Ada"); err != nil {
		t.Fatal(err)
	}
	put(t, s, old, false)
	store.between = func() { put(t, s, pkg, false) }
	if _, err := s.Install(t.Context(), pkg, shelf.Sum(pkg), false); err == nil || !strings.Contains(err.Error(), "in use already") {
		t.Errorf("what somebody else installed meanwhile is installed again: %v", err)
	}
}
