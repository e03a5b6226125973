// Package lent makes links under which a platform can fetch a file that is on
// its way to a person, and finds the file behind one.
//
// A link's token names a loan, which is a row of the durable state: the file, and
// the message that it goes out with. So a link dies when its time is over, and
// when the loan is removed with the person whom it belongs to. A message
// authentication code ties the token to its channel and its end: who can only
// read the state, or guesses, makes none, and costs no more than a hash.
package lent

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/blob"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// Space holds the loans: name in hexadecimal digits -> Loan.
const Space = "lent"

// Purpose is what a channel's key for links is derived for.
const Purpose = "lent files"

// Longest is how long a link can last.
const Longest = 7 * 24 * time.Hour

// ErrNone: there is no such link, or there is none any more.
var ErrNone = errors.New("this is no link to a file")

var (
	errKey  = errors.New("a link cannot be signed: the vault gives no key")
	errTime = errors.New("a link lasts longer than nothing, and a week at most")
)

// Loan is a file that can be fetched for a time.
type Loan struct {
	File  channels.File    `json:"file"`
	To    channels.Address `json:"to"`   // where it goes out
	Part  string           `json:"part"` // the key of the message that it goes out with
	Until time.Time        `json:"until"`
}

// Over reports whether the loan in a row of the Space is over.
func Over(e kv.Entry, now time.Time) bool {
	var l Loan
	return json.Unmarshal(e.Value, &l) == nil && !now.Before(l.Until)
}

// Book keeps loans. Its methods may be called concurrently.
type Book struct {
	Store kv.Store
	Now   func() time.Time
}

// Lend notes a loan whose file is kept until its end, and returns the token of
// its link and when it ends. key is the channel's own for this purpose.
func (b Book) Lend(ctx context.Context, key channels.Secret, l Loan, keep time.Duration) (string, time.Time, error) {
	switch {
	case key.Empty():
		return "", time.Time{}, errKey
	case keep <= 0 || keep > Longest:
		return "", time.Time{}, errTime
	}
	now := b.Now()
	l.Until = now.Add(keep).UTC().Truncate(time.Second)
	var t ticket
	_, _ = rand.Read(t.name[:]) // it never fails
	t.until = l.Until.Unix()
	v, err := json.Marshal(l)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("lend a file: %w", err)
	}
	row := kv.Write{Space: Space, Key: t.key(), If: kv.Absent, Value: v}
	ref, err := blob.Refer(blob.ID(l.File.Blob), blob.Holder{Space: row.Space, Key: row.Key}, now)
	if err == nil {
		err = b.Store.Write(ctx, row, ref)
	}
	if err != nil {
		return "", time.Time{}, fmt.Errorf("lend a file: %w", err)
	}
	return t.sign(key, l.To.Channel), l.Until, nil
}

// Find is the loan behind a channel's token; [ErrNone] when there is none.
func (b Book) Find(ctx context.Context, key channels.Secret, id channels.ID, token string) (Loan, error) {
	var l Loan
	t, ok := parse(key, id, token)
	if !ok || !b.Now().Before(time.Unix(t.until, 0)) {
		return l, ErrNone
	}
	e, err := b.Store.Get(ctx, Space, t.key())
	switch {
	case err != nil:
		return l, fmt.Errorf("find a lent file: %w", err)
	case e.Version == 0 || json.Unmarshal(e.Value, &l) != nil || l.To.Channel != id || l.Until.Unix() != t.until:
		return Loan{}, ErrNone
	}
	return l, nil
}

// ticket is what a token says.
type ticket struct {
	name  [16]byte // random
	until int64    // in seconds since 1970
}

const ticketSize = 16 + 8

func (t ticket) key() string { return hex.EncodeToString(t.name[:]) }

func (t ticket) bytes() []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, ticketSize+sha256.Size), t.name[:]...), uint64(t.until)) //nolint:gosec // the bits
}

var encoding = base64.RawURLEncoding.Strict()

// sign is the token in the form of a URL's segment.
func (t ticket) sign(key channels.Secret, id channels.ID) string {
	b := t.bytes()
	return encoding.EncodeToString(append(b, code(key, id, b)...))
}

// code authenticates a ticket of a channel.
func code(key channels.Secret, id channels.ID, ticket []byte) []byte {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	_, _ = fmt.Fprintf(mac, "gatehouse lent file 1\x00%s\x00", id) // a hash takes everything
	mac.Write(ticket)
	return mac.Sum(nil)
}

// parse reads a token that was signed for a channel. Each ticket has one token.
func parse(key channels.Secret, id channels.ID, token string) (t ticket, ok bool) {
	const size = ticketSize + sha256.Size
	if key.Empty() || len(token) != encoding.EncodedLen(size) {
		return t, false
	}
	b, err := encoding.DecodeString(token)
	if err != nil || len(b) != size || !hmac.Equal(b[ticketSize:], code(key, id, b[:ticketSize])) {
		return t, false
	}
	copy(t.name[:], b)
	t.until = int64(binary.BigEndian.Uint64(b[len(t.name):])) //nolint:gosec // the bits
	return t, true
}
