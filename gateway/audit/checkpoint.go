package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Outside keeps checkpoints where whoever can change the database cannot.
type Outside interface {
	// Append keeps one line, for good.
	Append(ctx context.Context, line []byte) error
}

// Signer signs checkpoints.
type Signer struct{ key ed25519.PrivateKey }

// NewSigner makes the key from a secret of 32 bytes or more.
func NewSigner(secret []byte) *Signer {
	seed := sha256.Sum256(append([]byte("gatehouse audit checkpoints 1\x00"), secret...))
	return &Signer{key: ed25519.NewKeyFromSeed(seed[:])}
}

// Public is the key that checks the signatures, in base64. Whoever has it and
// the checkpoints can check an exported log without the gateway.
func (s *Signer) Public() string {
	return base64.StdEncoding.EncodeToString(s.key.Public().(ed25519.PublicKey)) //nolint:forcetypeassert // as its documentation says
}

// Checkpoint says how far the chain had come at a time.
type Checkpoint struct {
	At        time.Time `json:"at"`
	Seq       int64     `json:"seq"`
	Hash      hash      `json:"hash"`
	Signature []byte    `json:"signature"` // Ed25519, over the text
}

// text is what is signed.
func (c Checkpoint) text() []byte {
	return fmt.Appendf(nil, "gatehouse audit checkpoint 1\n%s\n%d\n%s\n", c.At.UTC().Format(time.RFC3339Nano), c.Seq, c.Hash)
}

// checkpoint makes one if anything happened since the last.
func (l *Log) checkpoint(ctx context.Context) {
	if l.o.Outside == nil || l.o.Sign == nil {
		return
	}
	l.commit.Lock()
	defer l.commit.Unlock()
	head, _, err := l.mark(ctx, headKey)
	if err == nil && head.Seq != l.marked {
		err = l.keepOutside(ctx, Checkpoint{At: l.o.Now().UTC(), Seq: head.Seq, Hash: head.Hash})
	}
	if err == nil {
		l.marked = head.Seq
	} else if ctx.Err() == nil {
		l.o.Log.Error("cannot keep a checkpoint of the audit log outside of the database", "err", err)
	}
}

func (l *Log) keepOutside(ctx context.Context, c Checkpoint) error {
	c.Signature = ed25519.Sign(l.o.Sign.key, c.text())
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return l.o.Outside.Append(ctx, append(line, '\n'))
}

// Report is the outcome of a check.
type Report struct {
	Entries     int   `json:"entries"`
	Buried      int   `json:"buried"`
	First       int64 `json:"first"` // position of the first entry that is kept
	Last        int64 `json:"last"`
	Checkpoints int   `json:"checkpoints"` // that were compared
	Covered     int64 `json:"covered"`     // position of the last checkpoint: what follows could be cut off unnoticed
	Hash        hash  `json:"hash"`        // link of the last entry
}

// Verify checks the whole chain, and the checkpoints when there are any. The
// error is ErrTampered, with where and what, when something does not hold.
func (l *Log) Verify(ctx context.Context, checkpoints io.Reader) (Report, error) {
	var rep Report
	marks, err := l.checkpoints(checkpoints)
	if err != nil {
		return rep, err
	}
	floor, _, err := l.mark(ctx, floorKey)
	if err != nil {
		return rep, err
	}
	at := floor
	rep.First = floor.Seq + 1
	var failed error
	fail := func(_ Entry, err error) bool { failed = err; return false }
	for seq, r := range l.rows(ctx, floor.Seq, fail) {
		if seq != at.Seq+1 {
			return rep, fmt.Errorf("%w: entries %d to %d are missing", ErrTampered, at.Seq+1, seq-1)
		}
		if err := r.follows(at); err != nil {
			return rep, err
		}
		at = mark{Seq: seq, Hash: r.Hash}
		rep.Entries++
		if r.Buried != "" {
			rep.Buried++
		}
		if c, ok := marks[seq]; ok {
			if c.Hash != r.Hash {
				return rep, fmt.Errorf("%w: entry %d is not the one that the checkpoint of %s saw", ErrTampered, seq, c.At.Format(time.DateTime))
			}
			rep.Checkpoints++
			rep.Covered = seq
		}
	}
	if failed != nil {
		return rep, failed
	}
	rep.Last, rep.Hash = at.Seq, at.Hash
	return rep, l.ends(ctx, at, marks)
}

// ends checks that nothing was cut off behind the last entry.
func (l *Log) ends(ctx context.Context, at mark, marks map[int64]Checkpoint) error {
	head, _, err := l.mark(ctx, headKey)
	if err != nil {
		return err
	}
	if head.Seq < at.Seq || head.Seq == at.Seq && head.Hash != at.Hash {
		return fmt.Errorf("%w: its head is not its last entry", ErrTampered)
	}
	// A gateway may have appended since we read; the head may be ahead only if
	// those entries are there.
	if head.Seq > at.Seq {
		x, err := l.o.Store.Get(ctx, rowSpace, rowKey(at.Seq+1))
		if err != nil {
			return err
		}
		if x.Version == 0 {
			return fmt.Errorf("%w: entries %d to %d were cut off", ErrTampered, at.Seq+1, head.Seq)
		}
	}
	for seq, c := range marks {
		if seq > head.Seq {
			return fmt.Errorf("%w: entries %d to %d were cut off; the checkpoint of %s saw them", ErrTampered,
				head.Seq+1, seq, c.At.Format(time.DateTime))
		}
	}
	return nil
}

// checkpoints reads lines of checkpoints and checks their signatures.
func (l *Log) checkpoints(r io.Reader) (map[int64]Checkpoint, error) {
	if r == nil || l.o.Sign == nil {
		return nil, nil
	}
	public := l.o.Sign.key.Public().(ed25519.PublicKey) //nolint:forcetypeassert // as its documentation says
	marks := map[int64]Checkpoint{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var c Checkpoint
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return nil, fmt.Errorf("%w: line %d of the checkpoints cannot be read", ErrTampered, n)
		}
		if !ed25519.Verify(public, c.text(), c.Signature) {
			return nil, fmt.Errorf("%w: the checkpoint on line %d was not signed by this gateway", ErrTampered, n)
		}
		marks[c.Seq] = c
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the checkpoints: %w", err)
	}
	return marks, nil
}

// File keeps checkpoints in a file that only grows. Set the append-only
// attribute on it, or let another machine collect it, to make that hold against
// whoever becomes the gateway's user.
type File string

var _ Outside = File("")

// Append implements [Outside].
func (f File) Append(_ context.Context, line []byte) error {
	out, err := os.OpenFile(string(f), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = out.Write(line)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}
