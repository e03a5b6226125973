// Package kek holds the places from which the vault's key can come, besides a
// file: the system's keyring, and a server that keeps the key to itself. What
// else can lock data keys, such as a cloud's key management, implements
// vault.Wrapper.
package kek

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/gatehouse-chat/gatehouse/vault"
)

var _ vault.KeyText = (*Keyring)(nil)

// keyringService is under which the keyring lists the key.
const keyringService = "gatehouse"

// noticeAfter is how long a call waits before somebody is told that it does.
const noticeAfter = 2 * time.Second

// Patience says how long the keyring is waited for, and who hears of it. The
// zero value waits as long as the call's context stands and tells nobody.
type Patience struct {
	Most time.Duration // then a call fails with a Silence; 0: when its context ends
	Say  func(string)  // called once in a call that waits for longer than a moment; nil: nobody
}

// Silence is a keyring that did not answer in time. What was asked of it may
// still happen.
type Silence struct {
	Keyring string // what was asked
	After   time.Duration
}

// Error says what to do, too.
func (s *Silence) Error() string {
	return fmt.Sprintf("the key %s: no answer within %s: %s", s.Keyring, s.After, s.Fix())
}

// Fix is what a person does about it.
func (s *Silence) Fix() string {
	return "a dialog that asks for the keyring's password may be open: answer it, or unlock the keyring in that session and try again; " +
		"without a session use another source of the key, such as a passphrase"
}

// store is what a system's keyring can do. It blocks for as long as it likes.
type store interface {
	Get(service, name string) (string, error)
	Set(service, name, value string) error
}

// system is the keyring of this system.
type system struct{}

func (system) Get(service, name string) (string, error) { return keyring.Get(service, name) }
func (system) Set(service, name, value string) error    { return keyring.Set(service, name, value) }

// Keyring keeps a key in the keyring of the operating system: the Secret Service
// on Linux, the Keychain on macOS, the Credential Manager on Windows. It is open
// only while the person is logged in, so it is for gateways that run in a
// session. A call that opens a dialog waits for that person; the system's side
// of it cannot be ended, so that a call which nobody waits for any more stays
// behind, one at most, and the next one begins when it has ended.
type Keyring struct {
	name     string
	store    store
	patience Patience
	turn     chan struct{} // full while a call is under way
}

// NewKeyring makes a keyring that asks nothing yet. The name tells several
// gateways of one person apart.
func NewKeyring(name string, p Patience) *Keyring { return newKeyring(name, system{}, p) }

func newKeyring(name string, s store, p Patience) *Keyring {
	return &Keyring{name: name, store: s, patience: p, turn: make(chan struct{}, 1)}
}

// String says where the key is.
func (k *Keyring) String() string { return "in the keyring, " + keyringService + "/" + k.name }

// Load implements vault.KeyText.
func (k *Keyring) Load(ctx context.Context) ([]byte, error) {
	text, err := k.ask(ctx, func() (string, error) { return k.store.Get(keyringService, k.name) })
	if errors.Is(err, keyring.ErrNotFound) {
		return nil, fmt.Errorf("%w: %s", vault.ErrNoKey, k)
	}
	if err != nil {
		return nil, err
	}
	return []byte(text), nil
}

// Create implements vault.KeyText. Between looking and writing, another process
// could write as well; the data folder's lock keeps other gateways out.
func (k *Keyring) Create(ctx context.Context, text []byte) error {
	_, err := k.Load(ctx)
	switch {
	case err == nil:
		return fs.ErrExist
	case !errors.Is(err, vault.ErrNoKey):
		return err
	}
	return k.Replace(ctx, text)
}

// Replace implements vault.KeyText. When it fails because ctx has ended, the text
// may still be exchanged, but never after that of a later call.
func (k *Keyring) Replace(ctx context.Context, text []byte) error {
	value := string(text) // the caller clears text, also while the call goes on
	_, err := k.ask(ctx, func() (string, error) { return "", k.store.Set(keyringService, k.name, value) })
	return err
}

// answer is what the keyring said.
type answer struct {
	text string
	err  error
}

// ask makes a call when the one before it has ended, and waits for its end or
// that of ctx.
func (k *Keyring) ask(ctx context.Context, call func() (string, error)) (string, error) {
	waits := ctx
	if k.patience.Most > 0 {
		var cancel context.CancelFunc
		waits, cancel = context.WithTimeout(ctx, k.patience.Most)
		defer cancel()
	}
	said := make(chan answer, 1)
	go func() {
		select {
		case k.turn <- struct{}{}:
			defer func() { <-k.turn }()
		case <-waits.Done():
			return
		}
		if waits.Err() == nil {
			text, err := call()
			said <- answer{text, err}
		}
	}()
	notice := time.NewTimer(noticeAfter)
	defer notice.Stop()
	for {
		select {
		case a := <-said:
			if a.err != nil {
				return "", fmt.Errorf("the keyring (does this session have one?): %w", a.err)
			}
			return a.text, nil
		case <-notice.C:
			k.notice()
		case <-waits.Done():
			if err := ctx.Err(); err != nil {
				return "", fmt.Errorf("waited for the key %s: %w", k, err)
			}
			return "", &Silence{Keyring: k.String(), After: k.patience.Most}
		}
	}
}

// notice tells somebody that a call waits.
func (k *Keyring) notice() {
	if k.patience.Say != nil {
		k.patience.Say(fmt.Sprintf("waiting for the key %s; a dialog that asks for the keyring's password may be open", k))
	}
}
