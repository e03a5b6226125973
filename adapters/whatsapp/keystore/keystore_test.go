//go:build !nowhatsapp

package keystore_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	waLog "go.mau.fi/whatsmeow/util/log"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/keystore"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// disk is a state in memory that counts commits and can fail.
type disk struct {
	mu      sync.Mutex
	rows    map[string][]byte
	commits int
	err     error
}

func (d *disk) Get(_ context.Context, key string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rows[key], d.err
}

func (d *disk) List(_ context.Context, prefix, after string, limit int) ([]channels.Write, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if limit == 0 {
		limit = 1000
	}
	var out []channels.Write
	for _, k := range slices.Sorted(maps.Keys(d.rows)) {
		if strings.HasPrefix(k, prefix) && k > after && len(out) < limit {
			out = append(out, channels.Write{Key: k, Value: d.rows[k]})
		}
	}
	return out, d.err
}

func (d *disk) Put(_ context.Context, ws ...channels.Write) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	d.commits++
	for _, w := range ws {
		if w.Value == nil {
			delete(d.rows, w.Key)
		} else {
			d.rows[w.Key] = w.Value
		}
	}
	return nil
}

// holds reports whether a row shows any of these bytes, in its name or value.
func (d *disk) holds(words ...[]byte) string {
	for k, v := range d.rows {
		for _, w := range words {
			if strings.Contains(k, string(w)) || bytes.Contains(v, w) {
				return k
			}
		}
	}
	return ""
}

func open(t testing.TB, d *disk) *keystore.Store {
	t.Helper()
	s, err := keystore.New(d, channels.NewSecret("the vault's key for this channel"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newDisk() *disk { return &disk{rows: map[string][]byte{}} }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// linked stores a device, as linking does.
func linked(t testing.TB, s *keystore.Store) *store.Device {
	t.Helper()
	dev := s.NewDevice(waLog.Noop)
	id := types.JID{User: "491700000001", Device: 7, Server: types.DefaultUserServer}
	dev.ID, dev.LID, dev.PushName = &id, types.JID{User: "100000000000001", Device: 7, Server: types.HiddenUserServer}, "Olga Owner"
	dev.Account = &waAdv.ADVSignedDeviceIdentity{Details: []byte("details"), DeviceSignature: []byte("signature")}
	must(t, dev.Save(t.Context()))
	if early, err := s.Device(t.Context(), waLog.Noop); early != nil || err != nil {
		t.Errorf("a device that is not confirmed counts: %v", err)
	}
	must(t, s.Confirm(t.Context(), dev))
	return dev
}

var (
	alice    = types.JID{User: "491700000002", Server: types.DefaultUserServer}
	aliceLID = types.JID{User: "100000000000002", Server: types.HiddenUserServer}
)

// TestNothingReadableAtRest: no key, no name and no text is in the state in the
// clear, and a device is read back as it was.
func TestNothingReadableAtRest(t *testing.T) {
	d := newDisk()
	s, ctx := open(t, d), t.Context()
	dev := linked(t, s)
	must(t, s.PutSession(ctx, alice.SignalAddress().String(), []byte("a session's keys")))
	must(t, s.PutIdentity(ctx, alice.SignalAddress().String(), [32]byte([]byte("0123456789abcdef0123456789abcdef"))))
	must(t, s.PutSenderKey(ctx, "120363000000000001@g.us", alice.SignalAddress().String(), []byte("a sender's keys")))
	must(t, s.PutLIDMapping(ctx, aliceLID, alice))
	must(t, s.PutBufferedEvent(ctx, [32]byte(bytes.Repeat([]byte{0xab}, 32)), []byte("what somebody wrote"), time.Now()))
	must(t, s.PutPrivacyTokens(ctx, store.PrivacyToken{User: alice, Token: []byte("a token"), Timestamp: time.Now()}))
	must(t, s.PutAppStateSyncKey(ctx, []byte{1}, store.AppStateSyncKey{Data: []byte("a sync key"), Timestamp: 1}))
	pre, err := s.GetOrGenPreKeys(ctx, 3)
	must(t, err)
	words := [][]byte{
		dev.NoiseKey.Priv[:], dev.IdentityKey.Priv[:], dev.SignedPreKey.Priv[:], dev.AdvSecretKey, pre[0].Priv[:], pre[2].Priv[:],
		[]byte("4917000"), []byte("1000000000000"), []byte("120363"), []byte("Olga"), []byte("session's"), []byte("sender's"),
		[]byte("somebody wrote"), []byte("a token"), []byte("a sync key"), []byte("0123456789abcdef"), []byte("noise"),
	}
	if k := d.holds(words...); k != "" {
		t.Errorf("the row %s can be read", k)
	}
	got, err := open(t, d).Device(ctx, waLog.Noop)
	must(t, err)
	if *got.ID != *dev.ID || got.LID != dev.LID || *got.NoiseKey.Priv != *dev.NoiseKey.Priv || *got.IdentityKey.Pub != *dev.IdentityKey.Pub ||
		*got.SignedPreKey.Signature != *dev.SignedPreKey.Signature || !bytes.Equal(got.AdvSecretKey, dev.AdvSecretKey) ||
		got.RegistrationID != dev.RegistrationID || got.PushName != dev.PushName || string(got.Account.GetDetails()) != "details" {
		t.Errorf("the device is %+v", got)
	}
	must(t, got.Delete(ctx))
	if len(d.rows) != 0 {
		t.Errorf("%d rows are left of a device that was deleted", len(d.rows))
	}
	if dev, err := open(t, d).Device(ctx, waLog.Noop); dev != nil || err != nil {
		t.Errorf("a device that was deleted is %v, %v", dev, err)
	}
}

// TestRowsCannotBeMovedOrRead: a value opens under its own name and with its own
// key alone.
func TestRowsCannotBeMovedOrRead(t *testing.T) {
	d, ctx := newDisk(), t.Context()
	s := open(t, d)
	must(t, s.PutSession(ctx, "1:0", []byte("one")))
	must(t, s.PutSession(ctx, "2:0", []byte("two")))
	names := slices.Sorted(maps.Keys(d.rows))
	d.rows[names[0]], d.rows[names[1]] = d.rows[names[1]], d.rows[names[0]]
	if b, err := s.GetSession(ctx, "1:0"); err == nil {
		t.Errorf("a row that was moved opens as %q", b)
	}
	other, err := keystore.New(d, channels.NewSecret("another key"))
	must(t, err)
	if b, err := other.GetSession(ctx, "1:0"); b != nil || err != nil {
		t.Errorf("with another key a session is %q, %v", b, err)
	}
	if _, err := keystore.New(d, channels.Secret{}); err == nil {
		t.Error("a store without a key was made")
	}
}

// TestDecryptionIsOneCommit: what a decryption changes stands together, or
// nothing of it.
func TestDecryptionIsOneCommit(t *testing.T) {
	d, ctx := newDisk(), t.Context()
	s := open(t, d)
	must(t, s.PutSession(ctx, "1:0", []byte("before")))
	work := func(ctx context.Context) error {
		if err := s.PutSession(ctx, "1:0", []byte("after")); err != nil {
			return err
		}
		if b, err := s.GetSession(ctx, "1:0"); string(b) != "after" || err != nil {
			t.Errorf("within it the session is %q, %v", b, err)
		}
		return s.PutBufferedEvent(ctx, [32]byte{9}, []byte("text"), time.Now())
	}
	broken := errors.New("the ciphertext is broken")
	if err := s.DoDecryptionTxn(ctx, func(ctx context.Context) error { return errors.Join(work(ctx), broken) }); !errors.Is(err, broken) {
		t.Errorf("a failure is %v", err)
	}
	if b, _ := s.GetSession(ctx, "1:0"); string(b) != "before" {
		t.Errorf("after a failure the session is %q", b)
	}
	before := d.commits
	must(t, s.DoDecryptionTxn(ctx, work))
	if n := d.commits - before; n != 1 {
		t.Errorf("%d commits, want one", n)
	}
	if b, err := s.GetBufferedEvent(ctx, [32]byte{9}); err != nil || string(b.Plaintext) != "text" {
		t.Errorf("buffered is %v, %v", b, err)
	}
	must(t, s.ClearBufferedEventPlaintext(ctx, [32]byte{9}))
	if b, err := s.GetBufferedEvent(ctx, [32]byte{9}); err != nil || b == nil || b.Plaintext != nil {
		t.Errorf("what was handed on is %v, %v; want to know of it, and no text", b, err)
	}
	must(t, s.DeleteOldBufferedHashes(ctx))
	if b, err := s.GetBufferedEvent(ctx, [32]byte{9}); err != nil || b == nil {
		t.Errorf("a recent hash is forgotten: %v", err)
	}
	if b, err := s.GetBufferedEvent(ctx, [32]byte{8}); b != nil || err != nil {
		t.Errorf("an unknown one is %v, %v", b, err)
	}
}

// TestSendBesideMessages: a send that read a session before a message moved it on
// does not put it back, and one that read it afterwards is made.
func TestSendBesideMessages(t *testing.T) {
	ctx := t.Context()
	for what, between := range map[string]func(s *keystore.Store) error{
		"a message": func(s *keystore.Store) error {
			return s.DoDecryptionTxn(ctx, func(ctx context.Context) error { return s.PutSession(ctx, "1:0", []byte("received")) })
		},
		"a session anew":  func(s *keystore.Store) error { return s.PutSession(ctx, "1:0", []byte("received")) },
		"a removal":       func(s *keystore.Store) error { return s.DeleteSession(ctx, "1:0") },
		"all are removed": func(s *keystore.Store) error { return s.DeleteAllSessions(ctx, "1") },
		"a move":          func(s *keystore.Store) error { return s.MigratePNToLID(ctx, alice, aliceLID) },
	} {
		t.Run(what, func(t *testing.T) {
			s := open(t, newDisk())
			must(t, s.PutSession(ctx, "1:0", []byte("before")))
			send := func(during func(*keystore.Store) error) error {
				if _, err := s.GetManySessions(ctx, []string{"1:0", "2:0"}); err != nil {
					t.Fatal(err)
				}
				must(t, during(s))
				return s.PutManySessions(ctx, map[string][]byte{"1:0": []byte("sent"), "2:0": []byte("sent")})
			}
			if err := send(between); !errors.Is(err, keystore.ErrMoved) {
				t.Errorf("the send ends with %v", err)
			}
			for _, address := range []string{"1:0", "2:0"} {
				if b, _ := s.GetSession(ctx, address); string(b) == "sent" {
					t.Errorf("%s is written by a send that was too late", address)
				}
			}
			must(t, send(func(s *keystore.Store) error { return s.PutSession(ctx, "3:0", []byte("of somebody else")) }))
			if b, _ := s.GetSession(ctx, "1:0"); string(b) != "sent" {
				t.Errorf("afterwards the session is %q", b)
			}
		})
	}
}

// TestSendWaitsForADecryption: what a decryption has read is not written by a send
// before the decryption has written it.
func TestSendWaitsForADecryption(t *testing.T) {
	ctx := t.Context()
	s := open(t, newDisk())
	must(t, s.PutSession(ctx, "1:0", []byte("before")))
	if _, err := s.GetManySessions(ctx, []string{"1:0"}); err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	must(t, s.DoDecryptionTxn(ctx, func(inside context.Context) error {
		if _, err := s.GetSession(inside, "1:0"); err != nil {
			return err
		}
		go func() { sent <- s.PutManySessions(ctx, map[string][]byte{"1:0": []byte("sent")}) }()
		return s.PutSession(inside, "1:0", []byte("received"))
	}))
	if err := <-sent; !errors.Is(err, keystore.ErrMoved) {
		t.Errorf("the send ends with %v", err)
	}
	if b, _ := s.GetSession(ctx, "1:0"); string(b) != "received" {
		t.Errorf("the session is %q", b)
	}
}

// TestFailureLooksLikeCancellation: whatsmeow neither acknowledges nor asks
// again for a message that our disk could not keep, and the channel hears of it.
func TestFailureLooksLikeCancellation(t *testing.T) {
	d, ctx := newDisk(), t.Context()
	s := open(t, d)
	full := errors.New("disk full")
	d.err = full
	var heard error
	s.OnFailure(func(err error) { heard = err })
	err := s.DoDecryptionTxn(ctx, func(ctx context.Context) error { return s.PutSession(ctx, "1:0", []byte("x")) })
	if !errors.Is(err, context.Canceled) || !errors.Is(err, full) || !errors.Is(heard, full) {
		t.Errorf("the failure is %v, the channel heard %v", err, heard)
	}
}

// TestPreKeys: each key has a number of its own, is given to the server once,
// and is gone when it was used.
func TestPreKeys(t *testing.T) {
	d, ctx := newDisk(), t.Context()
	s := open(t, d)
	first, err := s.GetOrGenPreKeys(ctx, 3)
	must(t, err)
	again, err := s.GetOrGenPreKeys(ctx, 5)
	must(t, err)
	ids := func(n int) (out []uint32) {
		for i := range n {
			out = append(out, again[i].KeyID)
		}
		return out
	}
	if diff := cmp.Diff([]uint32{1, 2, 3, 4, 5}, ids(5)); diff != "" || *first[0].Priv != *again[0].Priv {
		t.Errorf("keys that were not uploaded are made anew:\n%s", diff)
	}
	must(t, s.MarkPreKeysAsUploaded(ctx, 4))
	if n, err := s.UploadedPreKeyCount(ctx); n != 4 || err != nil {
		t.Errorf("%d are uploaded, %v", n, err)
	}
	k, err := s.GetPreKey(ctx, 2)
	must(t, err)
	if k == nil || *k.Priv != *again[1].Priv {
		t.Errorf("key 2 is %v", k)
	}
	must(t, s.RemovePreKey(ctx, 2))
	if k, err := s.GetPreKey(ctx, 2); k != nil || err != nil {
		t.Errorf("a key that was used is %v, %v", k, err)
	}
	one, err := s.GenOnePreKey(ctx)
	must(t, err)
	if one.KeyID != 6 {
		t.Errorf("a single key has the number %d, want 6", one.KeyID)
	}
}

// TestMoveToLID: what is kept under a number moves to the LID, and never over
// what is there already.
func TestMoveToLID(t *testing.T) {
	ctx := t.Context()
	s := open(t, newDisk())
	second, secondLID := alice, aliceLID
	second.Device, secondLID.Device = 3, 3
	must(t, s.PutSession(ctx, alice.SignalAddress().String(), []byte("old phone")))
	must(t, s.PutSession(ctx, second.SignalAddress().String(), []byte("laptop")))
	must(t, s.PutSession(ctx, aliceLID.SignalAddress().String(), []byte("phone")))
	must(t, s.PutSenderKey(ctx, "g", alice.SignalAddress().String(), []byte("group")))
	must(t, s.MigratePNToLID(ctx, alice, aliceLID))
	got, err := s.GetManySessions(ctx, []string{
		alice.SignalAddress().String(), second.SignalAddress().String(), aliceLID.SignalAddress().String(), secondLID.SignalAddress().String(),
	})
	must(t, err)
	want := map[string][]byte{
		alice.SignalAddress().String(): nil, second.SignalAddress().String(): nil,
		aliceLID.SignalAddress().String(): []byte("phone"), secondLID.SignalAddress().String(): []byte("laptop"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
	if b, err := s.GetSenderKey(ctx, "g", aliceLID.SignalAddress().String()); string(b) != "group" || err != nil {
		t.Errorf("the sender key is %q, %v", b, err)
	}
	must(t, s.PutLIDMapping(ctx, aliceLID, alice))
	lid, err := s.GetLIDForPN(ctx, second)
	must(t, err)
	pn, err := s.GetPNForLID(ctx, secondLID)
	must(t, err)
	if lid != secondLID || pn != second {
		t.Errorf("the LID is %s, the number %s", lid, pn)
	}
	must(t, s.DeleteAllSessions(ctx, aliceLID.SignalAddressUser()))
	if ok, err := s.HasSession(ctx, secondLID.SignalAddress().String()); ok || err != nil {
		t.Errorf("a session is left: %v", err)
	}
}

// BenchmarkDecryption is what the store costs for each message that comes in.
func BenchmarkDecryption(b *testing.B) {
	s, ctx := open(b, newDisk()), b.Context()
	session := bytes.Repeat([]byte("s"), 2000)
	for i := 0; b.Loop(); i++ {
		hash := [32]byte{byte(i), byte(i >> 8), byte(i >> 16)}
		must(b, s.DoDecryptionTxn(ctx, func(ctx context.Context) error {
			if _, err := s.GetSession(ctx, "1:0"); err != nil {
				return err
			}
			return errors.Join(s.PutSession(ctx, "1:0", session), s.PutBufferedEvent(ctx, hash, session[:500], time.Time{}))
		}))
		must(b, s.ClearBufferedEventPlaintext(ctx, hash))
	}
}
