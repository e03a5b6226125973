package blob_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/blob"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

// sealing encrypts with a key of its own.
func sealing(t *testing.T, on bool) *blob.Seal {
	t.Helper()
	return &blob.Seal{Seals: vaulttest.Open(t, &vaulttest.State{}, vaulttest.NewKey(t)), On: on, Workspace: "home"}
}

// sizes lie around the ends of pieces.
func sizes() []int { return []int{0, 1, 40, 64<<10 - 1, 64 << 10, 64<<10 + 1, 3 * 64 << 10, 200_000} }

// onlyFile is the one file of a shelf.
func onlyFile(t *testing.T, dir string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil || len(all) != 1 {
		t.Fatalf("%d files, %v", len(all), err)
	}
	return all[0]
}

// TestSealedFiles: a file is not readable in its folder, is converted there and
// back with its time, and anything that was done to it is noticed.
func TestSealedFiles(t *testing.T) {
	seal := sealing(t, false)
	for _, size := range sizes() {
		dir, c := filepath.Join(t.TempDir(), "blobs"), newClock()
		s, err := blob.NewFolder(dir, c.Now, seal)
		if err != nil {
			t.Fatal(err)
		}
		content := bytes.Repeat([]byte("a quiet sentence. "), size/18+1)[:size]
		id, _, err := s.Put(t.Context(), bytes.NewReader(content), int64(size))
		if err != nil {
			t.Fatal(err)
		}
		path := onlyFile(t, dir)
		put := time.Date(2029, 1, 2, 3, 4, 5, 0, time.UTC)
		if err := os.Chtimes(path, put, put); err != nil {
			t.Fatal(err)
		}
		for _, on := range []bool{false, true, true, false, true} {
			seal.On = on
			if err := s.Convert(t.Context()); err != nil {
				t.Fatal(err)
			}
			got, err := read(s, id)
			if err != nil || !bytes.Equal(got, content) {
				t.Fatalf("%d bytes, sealed %v: %d came back, %v", size, on, len(got), err)
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if size >= 40 && bytes.Contains(raw, []byte("quiet sentence")) == on {
				t.Errorf("%d bytes, sealed %v: readable %v", size, on, !on)
			}
			if i, err := os.Stat(path); err != nil || !i.ModTime().Equal(put) {
				t.Errorf("it was put at %v, %v", i.ModTime(), err)
			}
			if onlyFile(t, dir) != path {
				t.Error("it has another name")
			}
		}
		tamper(t, s, id, path)
		seal.On = false
	}
}

func tamper(t *testing.T, s *blob.Folder, id blob.ID, path string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	spoilt := map[string][]byte{
		"cut by one":      raw[:len(raw)-1],
		"cut to its head": raw[:24],
		"longer":          append(bytes.Clone(raw), 0),
		"changed":         append(bytes.Clone(raw[:len(raw)-1]), raw[len(raw)-1]^1),
	}
	if piece := 64<<10 + 53; len(raw) > 24+piece {
		spoilt["without its last pieces"] = raw[:24+piece]
		spoilt["without its first piece"] = append(bytes.Clone(raw[:24]), raw[24+piece:]...)
	}
	for how, b := range spoilt {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := read(s, id); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("%s: %v", how, err)
		}
		if err := s.Convert(t.Context()); err != nil {
			t.Errorf("%s stops a conversion: %v", how, err)
		}
	}
}
