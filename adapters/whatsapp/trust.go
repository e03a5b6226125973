//go:build !nowhatsapp

package whatsapp

import (
	"errors"
	"sync"

	"go.mau.fi/whatsmeow"
)

// anchor is the key by which servers prove themselves. whatsmeow has one for the
// whole process, so that the first channel decides, and another one that wants
// another key is not opened: a process never trusts two.
type anchor struct {
	mu       sync.Mutex
	set      bool
	replaced bool // it is not WhatsApp's own
}

var trusted anchor //nolint:gochecknoglobals // guards whatsmeow's own global

var errTrust = errors.New("channels with `trust` and without it cannot run in one gateway: whatsmeow trusts one key")

// use makes the key count; nil means WhatsApp's own. It fails when another
// counts already.
func (a *anchor) use(key []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	want := whatsmeow.WACertPubKey
	if key != nil {
		want = [32]byte(key)
	}
	switch {
	case !a.set && want != whatsmeow.WACertPubKey:
		whatsmeow.WACertPubKey = want
	case key == nil && a.replaced, want != whatsmeow.WACertPubKey:
		return errTrust
	}
	a.set = true
	a.replaced = a.replaced || key != nil
	return nil
}
