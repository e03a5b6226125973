package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/gateway/blob"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/postgres"
	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
)

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const limit = 8 << 20

// shelf is one kind of shelf under test, and its bytes as they lie there.
type shelf struct {
	blob.Shelf
	clock *clock
	store bus.Engine
	spoil func(t *testing.T)     // changes a byte of everything that is kept
	count func(t *testing.T) int // things that are there, unfinished ones included
}

// everyShelf runs a test on each kind.
func everyShelf(t *testing.T, f func(t *testing.T, s shelf)) {
	t.Helper()
	t.Run("folder", func(t *testing.T) { f(t, folderShelf(t, nil)) })
	t.Run("sealed folder", func(t *testing.T) { f(t, folderShelf(t, sealing(t, true))) })
	t.Run("table", func(t *testing.T) {
		e := inprocess.New(inprocess.Options{})
		t.Cleanup(func() { _ = e.Close() })
		f(t, tableShelf(e))
	})
	t.Run("table in postgres", func(t *testing.T) {
		e, err := postgres.Open(t.Context(), pgtest.DSN(t), postgres.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		f(t, tableShelf(e))
	})
}

func folderShelf(t *testing.T, seal *blob.Seal) shelf {
	t.Helper()
	c, dir := newClock(), filepath.Join(t.TempDir(), "blobs")
	s, err := blob.NewFolder(dir, c.Now, seal)
	if err != nil {
		t.Fatal(err)
	}
	e := inprocess.New(inprocess.Options{})
	t.Cleanup(func() { _ = e.Close() })
	each := func(t *testing.T, f func(path string)) {
		t.Helper()
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				f(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return shelf{
		Shelf: s, clock: c, store: e,
		spoil: func(t *testing.T) {
			each(t, func(path string) {
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				b[len(b)/2] ^= 1
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
			})
		},
		count: func(t *testing.T) int {
			n := 0
			each(t, func(path string) {
				i, err := os.Stat(path)
				if err != nil || i.Mode().Perm() != 0o600 {
					t.Errorf("%s: %v, %v", filepath.Base(path), i.Mode(), err)
				}
				n++
			})
			return n
		},
	}
}

func tableShelf(e bus.Engine) shelf {
	c := newClock()
	rows := func(t *testing.T, space string) []bus.Entry {
		t.Helper()
		all, err := e.List(context.Background(), space, "", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	return shelf{
		Shelf: blob.NewTable(e, c.Now), clock: c, store: e,
		spoil: func(t *testing.T) {
			for _, r := range rows(t, "blob-piece") {
				b := bytes.Clone(r.Value)
				b[len(b)/2] ^= 1
				if err := e.Write(t.Context(), bus.Write{Space: "blob-piece", Key: r.Key, Value: b}); err != nil {
					t.Fatal(err)
				}
			}
		},
		count: func(t *testing.T) int {
			if len(rows(t, "blob")) == 0 {
				return len(rows(t, "blob-piece")) + len(rows(t, "blob-lone"))
			}
			return len(rows(t, "blob")) + len(rows(t, "blob-lone"))
		},
	}
}

func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b)
	return b
}

func put(t *testing.T, s blob.Shelf, content []byte) blob.ID {
	t.Helper()
	id, n, err := s.Put(t.Context(), bytes.NewReader(content), limit)
	if err != nil || n != int64(len(content)) || !id.Valid() {
		t.Fatalf("put %d bytes: %q, %d, %v", len(content), id, n, err)
	}
	return id
}

func read(s blob.Shelf, id blob.ID) ([]byte, error) {
	r, err := s.Open(context.Background(), id)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return io.ReadAll(r)
}

func TestPutAndOpen(t *testing.T) {
	everyShelf(t, func(t *testing.T, s shelf) {
		for _, size := range []int{0, 1, 256<<10 - 1, 256 << 10, 256<<10 + 1, 3 << 20} {
			content := noise(size, uint64(size))
			id := put(t, s, content)
			if again := put(t, s, content); again != id {
				t.Errorf("the same content is %s and %s", id, again)
			}
			if got, err := read(s, id); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes come back as %d, %v", size, len(got), err)
			}
		}
		if got := s.count(t); got != 6 {
			t.Errorf("%d things are kept, want 6", got)
		}
	})
}

func TestAbsent(t *testing.T) {
	everyShelf(t, func(t *testing.T, s shelf) {
		for _, id := range []blob.ID{"", "..", "../../etc/passwd", blob.ID(strings.Repeat("a", 64)), blob.ID(strings.Repeat("A", 64)), blob.ID(strings.Repeat("/", 64))} {
			if _, err := read(s, id); !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("open %q: %v", id, err)
			}
			if err := s.Touch(t.Context(), id); !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("touch %q: %v", id, err)
			}
			if gone, err := s.Remove(t.Context(), id, s.clock.Now()); gone || err != nil {
				t.Errorf("remove %q: %t, %v", id, gone, err)
			}
		}
	})
}

func TestDamageIsFound(t *testing.T) {
	everyShelf(t, func(t *testing.T, s shelf) {
		content := noise(600<<10, 7)
		id := put(t, s, content)
		s.spoil(t)
		if _, err := read(s, id); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("read: %v", err)
		}
	})
}

var errBroken = errors.New("broken")

// TestRefusedLeavesNothing: what is too big, breaks off or is given up is not
// kept, in no part.
func TestRefusedLeavesNothing(t *testing.T) {
	everyShelf(t, func(t *testing.T, s shelf) {
		_, _, err := s.Put(t.Context(), bytes.NewReader(noise(limit+1, 1)), limit)
		if !errors.Is(err, blob.ErrTooBig) {
			t.Errorf("too big: %v", err)
		}
		_, _, err = s.Put(t.Context(), io.MultiReader(bytes.NewReader(noise(700<<10, 2)), failing{}), limit)
		if !errors.Is(err, errBroken) {
			t.Errorf("broken: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, _, err = s.Put(ctx, io.MultiReader(bytes.NewReader(noise(700<<10, 3)), cancelling(cancel), bytes.NewReader(noise(9, 9))), limit)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
		if got := s.count(t); got != 0 {
			t.Errorf("%d things are left", got)
		}
	})
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }

type cancelling context.CancelFunc

func (c cancelling) Read([]byte) (int, error) { c(); return 0, io.EOF }

func TestSweep(t *testing.T) {
	everyShelf(t, func(t *testing.T, s shelf) {
		ctx := t.Context()
		holders := map[string]bool{"kept": true, "done": false}
		sweeper := &blob.Sweeper{Shelf: s, State: s.store, Now: s.clock.Now, Holds: func(_ context.Context, h blob.Holder) (bool, error) {
			return holders[h.Channel+h.Space+h.Key], nil
		}}
		refer := func(id blob.ID, h blob.Holder) {
			w, err := blob.Refer(id, h, s.clock.Now())
			if err == nil {
				err = s.store.Write(ctx, w)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		sweep := func() int {
			n, err := sweeper.Sweep(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		lone, kept, done := put(t, s, []byte("lone")), put(t, s, []byte("kept")), put(t, s, []byte("done"))
		twice := put(t, s, []byte("twice"))
		refer(kept, blob.Holder{Key: "kept"})
		refer(done, blob.Holder{Channel: "d", Key: "one"})
		refer(twice, blob.Holder{Space: "do", Key: "ne"})
		refer(twice, blob.Holder{Key: "kept"})
		if n := sweep(); n != 0 {
			t.Fatalf("a sweep removed %d things that are new", n)
		}
		s.clock.pass(blob.Grace + time.Minute)
		late := put(t, s, []byte("late"))
		touched := put(t, s, []byte("touched"))
		s.clock.pass(blob.Grace - time.Minute)
		if err := s.Touch(ctx, touched); err != nil {
			t.Fatal(err)
		}
		if n := sweep(); n != 2 {
			t.Errorf("a sweep removed %d things, want the lone one and the one that is done with", n)
		}
		var there []string
		for name, id := range map[string]blob.ID{"lone": lone, "kept": kept, "done": done, "twice": twice, "late": late, "touched": touched} {
			if got, err := read(s, id); err == nil && string(got) == name {
				there = append(there, name)
			}
		}
		want := map[string]bool{"kept": true, "twice": true, "late": true, "touched": true}
		for _, name := range there {
			if !want[name] {
				t.Errorf("%s is still there", name)
			}
			delete(want, name)
		}
		if len(want) > 0 {
			t.Errorf("gone: %v", want)
		}
		holders["kept"] = false
		s.clock.pass(2 * blob.Grace)
		if n := sweep(); n != 4 {
			t.Errorf("the last sweep removed %d, want 4", n)
		}
		if got := s.count(t); got != 0 {
			t.Errorf("%d things are left", got)
		}
		if refs, err := s.store.List(ctx, "blob-ref", "", "", 0); err != nil || len(refs) != 0 {
			t.Errorf("%d references are left, %v", len(refs), err)
		}
	})
}

// TestDoubtRemovesNothing: when nobody can tell whether a holder is there, the
// blob stays.
func TestDoubtRemovesNothing(t *testing.T) {
	s := folderShelf(t, nil)
	id := put(t, s, []byte("x"))
	w, err := blob.Refer(id, blob.Holder{Key: "k"}, s.clock.Now())
	if err == nil {
		err = s.store.Write(t.Context(), w)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.clock.pass(2 * blob.Grace)
	sweeper := &blob.Sweeper{Shelf: s, State: s.store, Now: s.clock.Now, Holds: func(context.Context, blob.Holder) (bool, error) {
		return false, errBroken
	}}
	if n, err := sweeper.Sweep(t.Context()); n != 0 || !errors.Is(err, errBroken) {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := read(s, id); err != nil {
		t.Error(err)
	}
}

// mortal is a state whose process dies at the nth write, before or after it.
type mortal struct {
	bus.Engine
	left   int
	before bool
}

func (m *mortal) Write(ctx context.Context, w ...bus.Write) error {
	m.left--
	switch {
	case m.left < 0, m.left == 0 && m.before:
		return errBroken
	}
	err := m.Engine.Write(ctx, w...)
	if m.left == 0 {
		return errBroken
	}
	return err
}

// TestTableDies lets a process die at every write of a put and of a removal.
// Afterwards a name has its content or is not there, and sweeps leave nothing.
func TestTableDies(t *testing.T) {
	content := noise(600<<10, 5)
	for n := 1; n <= 9; n++ {
		for _, before := range []bool{true, false} {
			c := newClock()
			e := inprocess.New(inprocess.Options{})
			id, _, err := blob.NewTable(&mortal{e, n, before}, c.Now).Put(t.Context(), bytes.NewReader(content), limit)
			whole := blob.NewTable(e, c.Now)
			if err == nil {
				c.pass(2 * blob.Grace)
				dying := blob.NewTable(&mortal{e, max(1, n-5), before}, c.Now)
				_, _ = dying.Remove(t.Context(), id, c.Now())
				if got, err := read(whole, id); !errors.Is(err, blob.ErrNotFound) && !bytes.Equal(got, content) {
					t.Errorf("removal, write %d: half of it is there: %v", n, err)
				}
			} else {
				id = put(t, whole, content) // the other try of whoever died
				if got, err := read(whole, id); err != nil || !bytes.Equal(got, content) {
					t.Errorf("write %d: %d bytes, %v", n, len(got), err)
				}
			}
			c.pass(2 * blob.Grace)
			s := &blob.Sweeper{Shelf: whole, State: e, Now: c.Now}
			if _, err := s.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			var left []string
			for _, space := range []string{"blob", "blob-piece", "blob-lone"} {
				rows, err := e.List(t.Context(), space, "", "", 0)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range rows {
					left = append(left, space+" "+r.Key)
				}
			}
			if d := cmp.Diff([]string(nil), left); d != "" {
				t.Errorf("write %d, before %t: left (-want +got):\n%s", n, before, d)
			}
			_ = e.Close()
		}
	}
}

// TestFolderDies: a file that was being written is no blob, and goes.
func TestFolderDies(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	s, err := blob.NewFolder(dir, c.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(dir, "tmp-123")
	if err := os.WriteFile(half, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(half, c.Now(), c.Now()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		after time.Duration
		there bool
	}{{time.Hour, true}, {blob.Grace, false}} {
		c.pass(tt.after)
		if err := s.Unfinished(t.Context(), c.Now().Add(-blob.Grace)); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(half); (err == nil) != tt.there {
			t.Errorf("after %s: %v", tt.after, err)
		}
	}
}

// TestOldGoesOn lists in steps, whatever the folders are.
func TestOldGoesOn(t *testing.T) {
	everyShelf(t, func(t *testing.T, s shelf) {
		all := map[blob.ID]bool{}
		for i := range 40 {
			all[put(t, s, noise(10, uint64(i)))] = true
		}
		s.clock.pass(time.Hour)
		after := blob.ID("")
		for {
			some, err := s.Old(t.Context(), after, s.clock.Now(), 7)
			if err != nil {
				t.Fatal(err)
			}
			if len(some) == 0 {
				break
			}
			for _, id := range some {
				if id <= after || !all[id] {
					t.Errorf("%s comes after %s", id, after)
				}
				delete(all, id)
				after = id
			}
		}
		if len(all) > 0 {
			t.Errorf("%d were not listed", len(all))
		}
	})
}
