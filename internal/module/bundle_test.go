package module_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/internal/module"
)

// TestBundle: several guests that are one program come out of a bundle as
// packages like any other.
func TestBundle(t *testing.T) {
	other := strings.ReplaceAll(manifest(), `mychat`, `otherchat`)
	b, err := module.Bundle([][]byte{[]byte(manifest()), []byte(other)}, code)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"mychat", "otherchat"}, module.Bundled(b)); d != "" {
		t.Error(d)
	}
	for _, id := range []string{"mychat", "otherchat"} {
		pkg, err := module.Unbundle(b, id)
		if err != nil {
			t.Fatal(err)
		}
		p, err := module.Open(pkg)
		if err != nil || p.Manifest.ID != id || string(p.Module) != string(code) {
			t.Errorf("%s: %+v, %v", id, p, err)
		}
	}
	for _, x := range []struct {
		b  []byte
		id string
	}{{b, "nochat"}, {b, "../mychat/x"}, {nil, "mychat"}, {[]byte("no bundle"), "mychat"}} {
		if _, err := module.Unbundle(x.b, x.id); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s of %d bytes: %v", x.id, len(x.b), err)
		}
	}
	if _, err := module.Bundle([][]byte{[]byte(manifest())}, []byte("another module")); err == nil {
		t.Error("a manifest for another module was taken")
	}
}
