package image_test

import (
	"bytes"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox/image"
)

const (
	page  = 64 << 10
	limit = 64 * page
)

// contents are one that is copied and one that is mapped, where that works.
func contents() map[string][]byte {
	small, large := make([]byte, page), make([]byte, 16*page)
	for _, b := range [][]byte{small, large} {
		copy(b[100:], "hello")
		b[len(b)-1] = 7
	}
	return map[string][]byte{"small": small, "large": large}
}

func newImage(t *testing.T, content []byte) image.Image {
	t.Helper()
	im, err := image.New(bytes.Clone(content), limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(im.Close)
	return im
}

func memory(t *testing.T, im image.Image) image.Memory {
	t.Helper()
	m, err := im.Memory()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEveryMemoryBeginsAsTheImage(t *testing.T) {
	for name, content := range contents() {
		t.Run(name, func(t *testing.T) {
			im := newImage(t, content)
			for round := range 5 {
				m := memory(t, im)
				b := m.Reallocate(uint64(len(content)))
				if !bytes.Equal(b, content) {
					t.Fatalf("round %d: an earlier instance left something behind", round)
				}
				for i := range b {
					b[i] = 0xee
				}
				m.Free()
			}
		})
	}
}

func TestMemoriesAreApart(t *testing.T) {
	for name, content := range contents() {
		t.Run(name, func(t *testing.T) {
			im := newImage(t, content)
			a, b := memory(t, im), memory(t, im)
			a.Reallocate(page)[100] = 'X'
			if got := b.Reallocate(page)[100]; got != 'h' {
				t.Errorf("one memory shows %q, written into the other", got)
			}
			a.Free()
			b.Free()
		})
	}
}

func TestGrowth(t *testing.T) {
	for name, content := range contents() {
		t.Run(name, func(t *testing.T) {
			im := newImage(t, content)
			for range 3 {
				m := memory(t, im)
				b := m.Reallocate(32 * page)
				if len(b) != 32*page || !bytes.Equal(b[:len(content)], content) {
					t.Fatalf("%d bytes after growth, or another content", len(b))
				}
				if rest := b[len(content):]; !bytes.Equal(rest, make([]byte, len(rest))) {
					t.Fatal("what is beyond the image is not zero")
				}
				for i := range b {
					b[i] = 0xee
				}
				if m.Reallocate(limit+1) != nil {
					t.Error("a memory grew past its limit")
				}
				if m.Size() < 32*page {
					t.Errorf("Size is %d after growth to %d", m.Size(), 32*page)
				}
				m.Free()
			}
		})
	}
}

func TestCloseLeavesMemoriesInUse(t *testing.T) {
	for name, content := range contents() {
		t.Run(name, func(t *testing.T) {
			im := newImage(t, content)
			m := memory(t, im)
			im.Close()
			if !bytes.Equal(m.Reallocate(uint64(len(content))), content) {
				t.Error("the memory in use lost its content")
			}
			m.Free()
		})
	}
}

func TestConcurrentUse(t *testing.T) {
	for name, content := range contents() {
		t.Run(name, func(t *testing.T) {
			im := newImage(t, content)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 50 {
						m, err := im.Memory()
						if err != nil {
							t.Error(err)
							return
						}
						b := m.Reallocate(page)
						if string(b[100:105]) != "hello" {
							t.Error("not the image")
						}
						copy(b[100:], "other")
						m.Free()
					}
				})
			}
			wg.Wait()
		})
	}
}

// TestResetForgets: whatever a guest writes and wherever, often or once, a memory
// that was reset is the image again.
func TestResetForgets(t *testing.T) {
	for name, content := range contents() {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				im, err := image.New(bytes.Clone(content), limit)
				if err != nil {
					t.Fatal(err)
				}
				defer im.Close()
				m, err := im.Memory()
				if err != nil {
					t.Fatal(err)
				}
				defer m.Free()
				b := m.Reallocate(uint64(len(content)))
				habit := rapid.SliceOfN(rapid.IntRange(0, len(content)-1), 0, 40).Draw(t, "habit")
				for range rapid.IntRange(1, 20).Draw(t, "calls") {
					once := rapid.SliceOfN(rapid.IntRange(0, len(content)-1), 0, 5).Draw(t, "once")
					for _, at := range append(once, habit...) {
						b[at] ^= 0x55
					}
					if !m.Reset() {
						t.Fatal("it cannot be reset")
					}
					if !bytes.Equal(b, content) {
						t.Fatal("something was left behind")
					}
				}
			})
		})
	}
}

// TestResetOfMuch: more pages than an instance keeps for itself are put back, too.
func TestResetOfMuch(t *testing.T) {
	const size = 48 * page
	content := make([]byte, size)
	copy(content[size-10:], "the end")
	im, err := image.New(bytes.Clone(content), limit)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	m := memory(t, im)
	defer m.Free()
	b := m.Reallocate(size)
	for _, step := range []int{page / 16, 3 * page, page / 16, page, size - 1} {
		for at := 0; at < size; at += step {
			b[at] ^= 0xaa
		}
		if !m.Reset() {
			t.Fatal("it cannot be reset")
		}
		if !bytes.Equal(b, content) {
			t.Fatalf("something was left behind of writes %d bytes apart", step)
		}
	}
}

// TestResetManyTimes: from time to time a memory gives all its pages back.
func TestResetManyTimes(t *testing.T) {
	for name, content := range contents() {
		t.Run(name, func(t *testing.T) {
			m := memory(t, newImage(t, content))
			defer m.Free()
			b := m.Reallocate(uint64(len(content)))
			for i := range 600 {
				b[(i*7919)%len(b)] ^= 0xaa
				if !m.Reset() {
					t.Fatal("it cannot be reset")
				}
				if !bytes.Equal(b, content) {
					t.Fatalf("reset %d left something behind", i)
				}
			}
		})
	}
}

// TestResetAfterGrowth: a memory that has grown is not used again.
func TestResetAfterGrowth(t *testing.T) {
	for name, content := range contents() {
		t.Run(name, func(t *testing.T) {
			m := memory(t, newImage(t, content))
			defer m.Free()
			m.Reallocate(uint64(len(content)) + page)
			if m.Reset() {
				t.Error("it was reset")
			}
		})
	}
}

// BenchmarkReset is what a call costs that writes 40 pages here and there in a
// memory of 4 MiB, and its end: the pages' faults included.
func BenchmarkReset(b *testing.B) {
	const size = 64 * page
	im, err := image.New(make([]byte, size), limit)
	if err != nil {
		b.Fatal(err)
	}
	defer im.Close()
	m, err := im.Memory()
	if err != nil {
		b.Fatal(err)
	}
	defer m.Free()
	mem := m.Reallocate(size)
	for b.Loop() {
		for i := range 40 {
			mem[i*size/40]++
		}
		if !m.Reset() {
			b.Fatal("it cannot be reset")
		}
	}
}
