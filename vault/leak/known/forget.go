package known

import (
	"crypto/sha256"
	"time"
)

// lesson is one value that was learnt under a name, without the value.
type lesson struct {
	sum    [16]byte  // keyed hash of the whole value
	hashes []uint64  // of its windows, each once for the entry that counts it
	ends   time.Time // when it is forgotten; zero: never
}

// Learn adds a value under a name, which may have several. The caller clears
// plain. The empty name is for what is never forgotten.
func (b *Book) Learn(name string, plain []byte) {
	sum := b.sealWhole(plain)
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.lessons[name] {
		if l := &b.lessons[name][i]; l.sum == sum {
			l.ends = time.Time{}
			return
		}
	}
	all, exact := windowsOf(plain)
	if len(all) == 0 {
		return
	}
	defer clear(all)
	b.exact = b.exact || exact
	b.grow(len(b.known) + len(all))
	l := lesson{sum: sum, hashes: make([]uint64, 0, len(all))}
	for _, w := range all {
		h := b.hash(w.text[:])
		e, is := b.known[h]
		b.known[h] = entry{sum: b.seal(w.text[:]), weak: w.weak && (e.weak || !is), held: e.held + 1}
		l.hashes = append(l.hashes, h)
		b.set(h)
	}
	b.lessons[name] = append(b.lessons[name], l)
}

// Forget lets what was learnt under a name be forgotten at a time to come. A
// value that is learnt again before that stays known.
func (b *Book) Forget(name string, at time.Time) {
	if name == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.lessons[name] {
		if l := &b.lessons[name][i]; l.ends.IsZero() {
			l.ends = at
		}
	}
	b.scheduleLocked()
}

// expire forgets what is due.
func (b *Book) expire() {
	next := b.next.Load()
	if next == 0 || time.Now().UnixNano() < next {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for name, all := range b.lessons {
		var left []lesson
		for _, l := range all {
			if l.ends.IsZero() || now.Before(l.ends) {
				left = append(left, l)
				continue
			}
			b.dropLocked(l)
		}
		b.lessons[name] = left
		if left == nil {
			delete(b.lessons, name)
		}
	}
	clear(b.bits)
	for h := range b.known {
		b.set(h)
	}
	b.scheduleLocked()
}

// dropLocked takes away the windows that no other value has.
func (b *Book) dropLocked(l lesson) {
	for _, h := range l.hashes {
		e := b.known[h]
		if e.held--; e.held > 0 {
			b.known[h] = e
			continue
		}
		delete(b.known, h)
	}
}

// scheduleLocked notes when something is due next.
func (b *Book) scheduleLocked() {
	var next int64
	for _, all := range b.lessons {
		for _, l := range all {
			if at := l.ends.UnixNano(); !l.ends.IsZero() && (next == 0 || at < next) {
				next = at
			}
		}
	}
	b.next.Store(next)
}

// sealWhole is the keyed hash of a whole value.
func (b *Book) sealWhole(plain []byte) [16]byte {
	h := sha256.New()
	h.Write(b.key[:])
	h.Write(plain)
	return [16]byte(h.Sum(nil)[:16])
}
