package module_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/internal/module"
)

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "conf", "publisher.key")
	p, err := module.NewKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := module.NewKey(path); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("a second key in the same file: %v", err)
	}
	key, err := module.ReadKey(path)
	if err != nil || module.PublisherOf(key).String() != p.String() {
		t.Errorf("%v; read back as %s, want %s", err, module.PublisherOf(key), p)
	}
	if back, err := module.ParsePublisher(p.String()); err != nil || !bytes.Equal(back, p) {
		t.Errorf("%s was read as %s, %v", p, back, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := module.ReadKey(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read: %v", err)
	}
}

func TestSign(t *testing.T) {
	plain, err := module.Pack([]byte(manifest()), code, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key")
	p, err := module.NewKey(path)
	if err != nil {
		t.Fatal(err)
	}
	key, err := module.ReadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := module.Sign(plain, key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := module.Open(signed)
	if err != nil || got.Publisher.String() != p.String() {
		t.Errorf("signed by %s, %v", got.Publisher, err)
	}
	direct, err := module.Pack([]byte(manifest()), code, key)
	if err != nil || !bytes.Equal(direct, signed) {
		t.Error("signed later it is another package", err)
	}
}
