package audit

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// The spaces of the state. Rows lie under their position in hexadecimal, so that
// their keys sort as they do.
const (
	rowSpace  = "audit"
	markSpace = "audit-mark"
	headKey   = "head"  // mark of the last entry
	floorKey  = "floor" // mark of the last entry that retention removed
)

// hash is a link of the chain.
type hash [sha256.Size]byte

func (h hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *hash) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(h) {
		return fmt.Errorf("audit: %q is no hash", text)
	}
	copy(h[:], b)
	return nil
}

// mark is a position in the chain and its link.
type mark struct {
	Seq  int64 `json:"seq"`
	Hash hash  `json:"hash"`
}

// row is an entry as it is kept. The link covers the sum and not the body, so
// that a body can be buried without breaking the chain; the salt keeps a buried
// body from being guessed.
type row struct {
	Sum    hash            `json:"sum"` // of salt and body
	Salt   []byte          `json:"salt,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
	Buried string          `json:"buried,omitempty"` // why there is no body any more
	Hash   hash            `json:"hash"`
}

func newRow(e Entry, before mark) (row, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return row{}, fmt.Errorf("audit: %w", err)
	}
	r := row{Salt: make([]byte, 16), Body: body}
	_, _ = rand.Read(r.Salt) // never fails; see crypto/rand
	r.Sum = r.sum()
	r.Hash = link(before, r.Sum)
	return r, nil
}

func (r row) sum() hash {
	h := sha256.New()
	h.Write(r.Salt)
	h.Write(r.Body)
	return hash(h.Sum(nil))
}

// link chains an entry to the one before.
func link(before mark, sum hash) hash {
	h := sha256.New()
	h.Write([]byte("gatehouse audit 1"))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(before.Seq+1))) //nolint:gosec // positions are positive
	h.Write(before.Hash[:])
	h.Write(sum[:])
	return hash(h.Sum(nil))
}

// follows checks a row against the one before.
func (r row) follows(before mark) error {
	switch {
	case r.Hash != link(before, r.Sum):
		return fmt.Errorf("%w: entry %d does not follow the one before it", ErrTampered, before.Seq+1)
	case r.Buried == "" && r.Sum != r.sum():
		return fmt.Errorf("%w: the content of entry %d was changed", ErrTampered, before.Seq+1)
	}
	return nil
}

// entry decodes a row. Of a buried one only the position is left.
func (r row) entry(seq int64) (Entry, error) {
	if r.Buried != "" {
		return Entry{Seq: seq, Kind: Record, Do: "buried", Err: r.Buried}, nil
	}
	var e Entry
	err := json.Unmarshal(r.Body, &e)
	e.Seq = seq
	return e, err
}

func rowKey(seq int64) string { return fmt.Sprintf("%016x", seq) }

func decodeRow(x kv.Entry) (seq int64, r row, err error) {
	seq, err = strconv.ParseInt(x.Key, 16, 64)
	if err == nil {
		err = json.Unmarshal(x.Value, &r)
	}
	if err != nil {
		return 0, row{}, fmt.Errorf("%w: entry %s cannot be read", ErrTampered, x.Key)
	}
	return seq, r, nil
}

func put(space, key string, v any, cond int64) (kv.Write, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return kv.Write{}, fmt.Errorf("audit: %w", err)
	}
	return kv.Write{Space: space, Key: key, If: cond, Value: b}, nil
}

// maxText bounds each text of an entry, so that nobody fills the log with one.
const maxText = 512

// tidy bounds an entry's texts and sets its time.
func (e Entry) tidy(now time.Time) (Entry, error) {
	if e.Kind == "" || e.Do == "" {
		return e, errKind
	}
	if e.At.IsZero() {
		e.At = now
	}
	e.At = e.At.UTC()
	for _, s := range []*string{&e.On, &e.To, &e.For, &e.Turn, &e.Err} {
		*s = cut(*s)
	}
	if len(e.Facts) > 0 {
		facts := make(Facts, len(e.Facts))
		for k, v := range e.Facts {
			facts[cut(k)] = cut(v)
		}
		e.Facts = facts
	}
	return e, nil
}

func cut(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}
