package kek_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/kek"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

// server is a transit engine in memory, after the documentation of HashiCorp
// Vault and OpenBao. What it "encrypts" is kept in a list: only its manners
// matter here.
type server struct {
	name    string // two servers do not know each other's ciphertexts
	mu      sync.Mutex
	latest  int
	oldest  int // min_decryption_version
	kept    map[string]string
	away    int // status with which everything is answered; 0: none
	token   string
	ttl     int64
	asked   []string
	renewed int
}

func newServer() *server {
	return &server{latest: 1, oldest: 1, kept: map[string]string{}, token: "s.the-token-0001"}
}

// RoundTrip implements http.RoundTripper.
func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked = append(s.asked, r.Method+" "+r.URL.Path); len(s.asked) > 10_000 {
		panic("asked without end")
	}
	if s.away == -1 {
		return nil, errors.New("connection refused")
	}
	status, data := s.serve(r)
	body, _ := json.Marshal(map[string]any{"data": data})
	if status != http.StatusOK {
		body = []byte(`{"errors":["a plaintext that must not be quoted"]}`)
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
}

func (s *server) serve(r *http.Request) (int, any) {
	var in struct {
		Plaintext, Ciphertext string
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	switch {
	case s.away != 0:
		return s.away, nil
	case r.Header.Get("X-Vault-Token") != s.token:
		return http.StatusForbidden, nil
	}
	switch path := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v1/"); path {
	case "GET transit/keys/house":
		return 200, map[string]any{"latest_version": s.latest}
	case "POST transit/keys/house/rotate":
		s.latest++
		return 200, nil
	case "POST transit/encrypt/house":
		return 200, map[string]any{"ciphertext": s.keep(in.Plaintext)}
	case "POST transit/decrypt/house", "POST transit/rewrap/house":
		plain, ok := s.kept[in.Ciphertext]
		version := 0
		_, _ = fmt.Sscanf(in.Ciphertext, "vault:v%d:", &version)
		if !ok || version < s.oldest {
			return http.StatusBadRequest, nil
		}
		if strings.Contains(path, "rewrap") {
			return 200, map[string]any{"ciphertext": s.keep(plain)}
		}
		return 200, map[string]any{"plaintext": plain}
	case "GET auth/token/lookup-self":
		return 200, map[string]any{"ttl": s.ttl, "creation_ttl": 3600, "renewable": s.ttl > 0}
	case "POST auth/token/renew-self":
		s.renewed++
		s.ttl = 3600
		return 200, nil
	}
	return http.StatusNotFound, nil
}

func (s *server) keep(plain string) string {
	id := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s%d", s.name, len(s.kept)))
	text := fmt.Sprintf("vault:v%d:%s", s.latest, id)
	s.kept[text] = plain
	return text
}

func (s *server) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *server) source(t *testing.T, log io.Writer) (*kek.Transit, vault.KeySource) {
	t.Helper()
	tr := &kek.Transit{
		Address: "https://vault" + s.name + ".example.com:8200/", Name: "house", Client: &http.Client{Transport: s},
		Token: func(context.Context) (string, error) { return "s.the-token-0001", nil },
		Log:   slog.New(slog.NewTextHandler(log, nil)),
	}
	return tr, vault.Source{Wrapper: tr, Watermark: vault.NewMarks(filepath.Join(t.TempDir(), "versions"), "")}
}

const value = "the value of the secret"

func get(t *testing.T, v *vault.Store) string {
	t.Helper()
	l, err := vaulttest.Lease(t, v, "home", "bot")
	if err != nil {
		t.Fatal(err)
	}
	return vaulttest.Value(t, l)
}

func TestConformance(t *testing.T) {
	s := newServer()
	_, key := s.source(t, io.Discard)
	state := &vaulttest.State{}
	v := vaulttest.Open(t, state, key)
	if _, err := v.Set(t.Context(), "home", "bot", []byte(value), nil); err != nil {
		t.Fatal(err)
	}
	if got := get(t, vaulttest.Open(t, state, key)); got != value {
		t.Errorf("got %q", got)
	}

	// The key is replaced: everything is locked with the new version, inside
	// the server, and the old version is needed no longer.
	s.set(func() { s.asked = nil })
	if err := v.RotateKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(s.asked, "\n"); !strings.Contains(all, "rotate") || !strings.Contains(all, "rewrap") || strings.Contains(all, "decrypt") {
		t.Errorf("asked:\n%s", all)
	}
	s.set(func() { s.oldest = 2 })
	if got := get(t, vaulttest.Open(t, state, key)); got != value {
		t.Errorf("got %q", got)
	}

	// Somebody rotates it in the server: the next start follows.
	s.set(func() { s.latest++ })
	vaulttest.Open(t, state, key)
	s.set(func() { s.oldest = 3 })
	v = vaulttest.Open(t, state, key)

	// An outage ends nothing that is there, and says what cannot be done.
	for _, away := range []int{-1, 503, 403, 500} {
		s.set(func() { s.away = away })
		if got := get(t, v); got != value {
			t.Errorf("%d: got %q", away, got)
		}
		if _, err := v.Set(t.Context(), "home", "other", []byte("another value"), nil); err != nil {
			t.Errorf("%d: a known workspace: %v", away, err)
		}
		_, err := v.Set(t.Context(), "new", "bot", []byte("another value"), nil)
		if err == nil || strings.Contains(err.Error(), "must not be quoted") {
			t.Errorf("%d: a new workspace: %v", away, err)
		}
		if _, err := vault.Open(t.Context(), vault.Options{State: state, Key: key}); err == nil || errors.Is(err, vault.ErrWrongKey) {
			t.Errorf("%d: a start: %v", away, err)
		}
	}
	s.set(func() { s.away = 0; s.kept = map[string]string{} })
	if _, err := vault.Open(t.Context(), vault.Options{State: state, Key: key}); !errors.Is(err, vault.ErrWrongKey) {
		t.Errorf("another server's key: %v", err)
	}
	s.set(func() { s.token = "another" })
	if _, err := vault.Open(t.Context(), vault.Options{State: state, Key: key}); err == nil || !strings.Contains(err.Error(), "policy") {
		t.Errorf("a token that is refused: %v", err)
	}
}

// From a file to the server and back.
func TestMoves(t *testing.T) {
	s := newServer()
	_, far := s.source(t, io.Discard)
	another := newServer()
	another.name = "another"
	_, farther := another.source(t, io.Discard)
	near, state := vaulttest.NewKey(t), &vaulttest.State{}
	if _, err := vaulttest.Open(t, state, near).Set(t.Context(), "home", "bot", []byte(value), nil); err != nil {
		t.Fatal(err)
	}
	for _, way := range []struct{ from, to vault.KeySource }{{near, far}, {far, farther}, {farther, far}, {far, near}} {
		if _, err := vault.Open(t.Context(), vault.Options{State: state, Key: way.to}); err == nil {
			t.Error("opened with a source that never locked it")
		}
		if _, err := vault.Open(t.Context(), vault.Options{State: state, Key: way.to, From: way.from}); err != nil {
			t.Fatal(err)
		}
		if got := get(t, vaulttest.Open(t, state, way.to)); got != value {
			t.Errorf("got %q", got)
		}
	}
}

func TestBinding(t *testing.T) {
	s := newServer()
	tr, _ := s.source(t, io.Discard)
	wrapped, err := tr.Wrap(t.Context(), []byte("a data key"), []byte("bound"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tr.Unwrap(t.Context(), wrapped, []byte("bound")); err != nil || string(got) != "a data key" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := tr.Unwrap(t.Context(), wrapped, []byte("elsewhere")); !errors.Is(err, vault.ErrCorrupt) || got != nil {
		t.Errorf("bound elsewhere: %v", err)
	}
	s.set(func() { s.kept["vault:v1:short"] = "AAAA" })
	if _, err := tr.Unwrap(t.Context(), []byte("vault:v1:short"), nil); !errors.Is(err, vault.ErrCorrupt) {
		t.Errorf("too short: %v", err)
	}
	tr.Name = "none"
	if _, err := tr.KeyID(t.Context()); !errors.Is(err, vault.ErrNoKey) {
		t.Errorf("no such key: %v", err)
	}
}

func TestTheTokenIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.ttl = 3600
		var log bytes.Buffer
		tr, _ := s.source(t, &log)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- tr.Run(ctx) }()
		synctest.Wait()
		if s.renewed != 0 {
			t.Error("a fresh token was renewed at once")
		}
		s.set(func() { s.ttl = 1800 })
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if s.renewed != 1 {
			t.Errorf("renewed %d times after half its time", s.renewed)
		}
		s.set(func() { s.away = 503 })
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := strings.Count(log.String(), "goes on with the keys in memory"); n != 1 {
			t.Errorf("said %d times: %s", n, log.String())
		}
		s.set(func() { s.away = 0; s.ttl = 100 })
		time.Sleep(time.Minute)
		synctest.Wait()
		if s.renewed != 2 || !strings.Contains(log.String(), "answers again") {
			t.Errorf("renewed %d times, said %s", s.renewed, log.String())
		}
		if strings.Contains(log.String(), "s.the-token") {
			t.Error("the token is in the log")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestATokenThatLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		tr, _ := s.source(t, io.Discard)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- tr.Run(ctx) }()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil || s.renewed != 0 {
			t.Errorf("renewed %d times, %v", s.renewed, err)
		}
	})
}

// memoryRing is a keyring that keeps its entries in memory; locked fails.
type memoryRing struct {
	entries map[string]string
	locked  bool
}

var errRingLocked = errors.New("locked")

func (m *memoryRing) Get(service, name string) (string, error) {
	value, ok := m.entries[service+"/"+name]
	switch {
	case m.locked:
		return "", errRingLocked
	case !ok:
		return "", keyring.ErrNotFound
	}
	return value, nil
}

func (m *memoryRing) Set(service, name, value string) error {
	if m.locked {
		return errRingLocked
	}
	m.entries[service+"/"+name] = value
	return nil
}

func TestTheKeyring(t *testing.T) {
	ring := &memoryRing{entries: map[string]string{}}
	marks := vault.NewMarks(filepath.Join(t.TempDir(), "versions"), "")
	source := func(name string) vault.Source {
		return vault.Source{Wrapper: vault.NewRing(kek.NewKeyringOf(name, ring, kek.Patience{})), Watermark: marks}
	}
	state := &vaulttest.State{}
	v := vaulttest.Open(t, state, source("one"))
	if _, err := v.Set(t.Context(), "home", "bot", []byte(value), nil); err != nil {
		t.Fatal(err)
	}
	if err := v.RotateKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := get(t, vaulttest.Open(t, state, source("one"))); got != value {
		t.Errorf("got %q", got)
	}
	if _, err := vault.Open(t.Context(), vault.Options{State: state, Key: source("two")}); !errors.Is(err, vault.ErrNoKey) {
		t.Errorf("another entry: %v", err)
	}
	if err := kek.NewKeyringOf("one", ring, kek.Patience{}).Create(t.Context(), []byte("x")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
	ring.locked = true
	k := kek.NewKeyringOf("one", ring, kek.Patience{})
	if _, err := k.Load(t.Context()); !errors.Is(err, errRingLocked) || errors.Is(err, vault.ErrNoKey) {
		t.Errorf("load: %v", err)
	}
	if err := k.Create(t.Context(), nil); err == nil || errors.Is(err, fs.ErrExist) {
		t.Errorf("create: %v", err)
	}
	if err := k.Replace(t.Context(), nil); err == nil {
		t.Error("replace: no error")
	}
}
