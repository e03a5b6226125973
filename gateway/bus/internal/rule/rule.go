// Package rule holds what all engines of the bus decide alike before they touch
// their storage: which calls are malformed, how a key is hashed, what a zero
// value of a request means.
package rule

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

// DefaultLease is how long a lease lasts when a Want does not say.
const DefaultLease = 30 * time.Second

// DefaultLimit is how many rows a listing returns when it is not told.
const DefaultLimit = 1000

// Check reports the first fault of a batch: a call that no engine accepts.
func Check(records []bus.Record, state []bus.Write) error {
	for i := range records {
		if err := checkRecord(&records[i]); err != nil {
			return err
		}
	}
	for i := range state {
		if err := checkWrite(&state[i]); err != nil {
			return err
		}
	}
	return nil
}

func checkRecord(r *bus.Record) error {
	if err := CheckQueue(r.Queue); err != nil {
		return err
	}
	if r.Channel == "" || r.Key == "" || r.Order == "" {
		return errors.New("bus: a record needs a channel, a key and an order")
	}
	for _, s := range [...]string{r.Workspace, r.Channel, r.Account, r.Key, r.Order} {
		if !storable(s) {
			return errors.New("bus: a record's names must be valid UTF-8 without NUL")
		}
	}
	return nil
}

func checkWrite(w *bus.Write) error {
	if w.Space == "" || w.Key == "" {
		return errors.New("bus: a write needs a space and a key")
	}
	if !storable(w.Space) || !storable(w.Key) {
		return errors.New("bus: a write's names must be valid UTF-8 without NUL")
	}
	if w.If < bus.Absent {
		return fmt.Errorf("bus: a write cannot ask for version %d", w.If)
	}
	return nil
}

// storable: Postgres takes neither NUL nor broken UTF-8 in its texts, so no
// engine does.
func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// CheckQueue reports a queue that does not exist.
func CheckQueue(q string) error {
	switch q {
	case bus.Inbox, bus.Urgent, bus.Outbox:
		return nil
	}
	return fmt.Errorf("bus: no queue %q", q)
}

// CheckWant reports a malformed request for leases.
func CheckWant(w bus.Want) error {
	if w.N < 0 || w.Max < 0 || w.For < 0 {
		return errors.New("bus: a want cannot be negative")
	}
	return CheckQueue(w.Queue)
}

// CheckOutcome reports the first fault of an outcome.
func CheckOutcome(o bus.Outcome) error {
	for _, v := range o.Verdicts {
		switch v.Fate {
		case bus.Ack, bus.Retry, bus.Release, bus.Dead:
		case bus.Park:
			if v.Tag == "" || !storable(v.Tag) {
				return errors.New("bus: a parked record needs a tag")
			}
		default:
			return fmt.Errorf("bus: no fate %q", v.Fate)
		}
		if !storable(v.Reason) {
			return errors.New("bus: a reason must be valid UTF-8 without NUL")
		}
	}
	return Check(o.Emit, o.State)
}

// Filled returns w with its zero values replaced by what they mean.
func Filled(w bus.Want) bus.Want {
	if w.N == 0 {
		w.N = 1
	}
	if w.For == 0 {
		w.For = DefaultLease
	}
	return w
}

// ErrNotLeased is what a verdict or a progress earns that names a record which
// the lease does not hold.
var ErrNotLeased = errors.New("bus: the lease does not hold that record")

// Seqs maps each key of the lease to its positions: two accounts may use the
// same key within one order. It reports a key that the lease does not hold.
func Seqs[V any](l *bus.Lease, byKey map[string]V) (map[string][]int64, error) {
	if len(byKey) == 0 {
		return nil, nil
	}
	at := make(map[string][]int64, len(l.Records))
	for i := range l.Records {
		r := &l.Records[i]
		at[r.Key] = append(at[r.Key], r.Seq)
	}
	for key := range byKey {
		if len(at[key]) == 0 {
			return nil, ErrNotLeased
		}
	}
	return at, nil
}

// Hash is what is kept of a key after its record has gone: 16 bytes of SHA-256
// over the length-prefixed parts that make the key unique.
func Hash(queue, channel, account, key string) [16]byte {
	buf := make([]byte, 0, len(queue)+len(channel)+len(account)+len(key)+16)
	for _, s := range [...]string{queue, channel, account, key} {
		buf = binary.AppendUvarint(buf, uint64(len(s)))
		buf = append(buf, s...)
	}
	sum := sha256.Sum256(buf)
	return [16]byte(sum[:16])
}

// Limit returns n, or what zero and less mean.
func Limit(n int) int {
	if n <= 0 {
		return DefaultLimit
	}
	return n
}

// Keys returns how long keys are kept: never less than bodies. Zero keeps for ever.
func Keys(r bus.Retention) time.Duration {
	if r.Keys == 0 {
		return 0
	}
	return max(r.Keys, r.Bodies)
}

// Beyond returns the least string that is greater than everything that begins
// with prefix, in byte order; empty when there is none. It is valid UTF-8 when
// prefix is.
func Beyond(prefix string) string {
	for prefix != "" {
		r, n := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-n]
		switch {
		case r == utf8.MaxRune: // no rune follows: carry
		case r == 0xd7ff: // surrogates are not in UTF-8
			return prefix + "\ue000"
		default:
			return prefix + string(r+1)
		}
	}
	return ""
}
