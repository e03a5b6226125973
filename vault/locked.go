package vault

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"golang.org/x/crypto/argon2"
)

var _ KeyText = (*Locked)(nil)

// ErrPassphrase: the passphrase does not open the key.
var ErrPassphrase = fmt.Errorf("%w: the passphrase is wrong, or the key is damaged", ErrWrongKey)

const (
	lockedFormat = "gatehouse-locked-v1"
	lockedSalt   = 16
)

const lockedComment = `# This file unlocks the secrets of Gatehouse, together with a passphrase.
# Keep a copy of it, and keep the passphrase: without both the secrets are lost.
`

// work is what it costs to try one passphrase.
type work struct {
	passes  uint32
	memory  uint32 // KiB
	threads uint8
}

// usualWork is what a new lock costs: some 100 ms, and 64 MiB while it lasts.
func usualWork() work { return work{passes: 3, memory: 64 << 10, threads: 4} }

// sane bounds what a file can make this process do.
func (w work) sane() bool {
	return w.passes >= 1 && w.passes <= 16 && w.memory >= 8<<10 && w.memory <= 1<<20 && w.threads >= 1 && w.threads <= 16
}

// Locked is a key's text that stands elsewhere under a passphrase. It asks for
// the passphrase once, at the first use. Its methods may be called concurrently.
type Locked struct {
	under KeyText
	ask   func(ctx context.Context, fresh bool) ([]byte, error)

	mu   sync.Mutex
	lock *lock // nil until opened
}

// lock is a derived key with what it was derived by.
type lock struct {
	work work
	salt []byte
	key  []byte
}

// NewLocked names the place. ask returns the passphrase, which is cleared after
// use; fresh says that a new lock is made, so that a person should type it
// twice.
func NewLocked(under KeyText, ask func(ctx context.Context, fresh bool) ([]byte, error)) *Locked {
	return &Locked{under: under, ask: ask}
}

// String says where the text is.
func (l *Locked) String() string { return l.under.String() }

// Load implements KeyText. It blocks for the passphrase and for the time that
// trying it takes.
func (l *Locked) Load(ctx context.Context) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text, err := l.under.Load(ctx)
	if err != nil {
		return nil, err
	}
	w, salt, sealed, err := parseLocked(text)
	if err != nil {
		return nil, fmt.Errorf("the key %s: %w", l.under, err)
	}
	k := &lock{work: w, salt: salt}
	if k.key, err = l.derive(ctx, w, salt, false); err != nil {
		return nil, err
	}
	plain, err := unwrapWith(k.key, sealed, k.bound())
	if err != nil {
		return nil, fmt.Errorf("the key %s: %w", l.under, ErrPassphrase)
	}
	l.lock = k
	return plain, nil
}

// Create implements KeyText.
func (l *Locked) Create(ctx context.Context, text []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := &lock{work: usualWork(), salt: random(lockedSalt)}
	var err error
	if k.key, err = l.derive(ctx, k.work, k.salt, true); err != nil {
		return err
	}
	sealed, err := k.seal(text)
	if err != nil {
		return err
	}
	return l.under.Create(ctx, sealed)
}

// Replace implements KeyText, under the same passphrase.
func (l *Locked) Replace(ctx context.Context, text []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lock == nil {
		return errors.New("the key was not opened yet")
	}
	sealed, err := l.lock.seal(text)
	if err != nil {
		return err
	}
	return l.under.Replace(ctx, sealed)
}

// derive asks for the passphrase and turns it into a key.
func (l *Locked) derive(ctx context.Context, w work, salt []byte, fresh bool) ([]byte, error) {
	phrase, err := l.ask(ctx, fresh)
	if err != nil {
		return nil, fmt.Errorf("the passphrase: %w", err)
	}
	defer clear(phrase)
	if len(phrase) == 0 {
		return nil, errors.New("the passphrase is empty")
	}
	return argon2.IDKey(phrase, salt, w.passes, w.memory, w.threads, keySize), nil
}

// bound ties the text to the work, so that it cannot be made cheaper.
func (k *lock) bound() []byte {
	return bind(domainLocked, fmt.Sprint(k.work.passes), fmt.Sprint(k.work.memory), fmt.Sprint(k.work.threads), string(k.salt))
}

func (k *lock) seal(text []byte) ([]byte, error) {
	sealed, err := wrapWith(k.key, text, k.bound())
	if err != nil {
		return nil, err
	}
	return fmt.Appendf([]byte(lockedComment), "%s argon2id %d %d %d %s %s\n", lockedFormat,
		k.work.passes, k.work.memory, k.work.threads,
		base64.RawURLEncoding.EncodeToString(k.salt), base64.RawURLEncoding.EncodeToString(sealed)), nil
}

// parseLocked reads what seal writes: comments, and one line with the format's
// name, the function, its passes, memory in KiB and threads, salt and text.
func parseLocked(text []byte) (w work, salt, sealed []byte, err error) {
	var found [][]byte
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			found = append(found, line)
		}
	}
	var fields [][]byte
	if len(found) == 1 {
		fields = bytes.Fields(found[0])
	}
	if len(fields) != 7 || string(fields[0]) != lockedFormat || string(fields[1]) != "argon2id" {
		return w, nil, nil, fmt.Errorf("is not of the form %q", lockedFormat+" argon2id <passes> <memory> <threads> <salt> <text>")
	}
	var n [3]uint64
	for i := range n {
		if n[i], err = strconv.ParseUint(string(fields[2+i]), 10, 32); err != nil || i == 2 && n[i] > 255 {
			return w, nil, nil, errors.New("holds numbers that cannot be")
		}
	}
	w = work{passes: uint32(n[0]), memory: uint32(n[1]), threads: uint8(n[2])} //nolint:gosec // bounded right above
	if !w.sane() {
		return w, nil, nil, errors.New("asks for more or less work than a passphrase takes")
	}
	salt, err1 := base64.RawURLEncoding.Strict().DecodeString(string(fields[5]))
	sealed, err2 := base64.RawURLEncoding.Strict().DecodeString(string(fields[6]))
	if errors.Join(err1, err2) != nil || len(salt) != lockedSalt {
		return w, nil, nil, errors.New("is damaged")
	}
	return w, salt, sealed, nil
}
