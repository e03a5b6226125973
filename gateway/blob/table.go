package blob

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// Table keeps blobs in the durable state, cut into pieces, each of which is
// written and read by itself. Several processes may share it.
type Table struct {
	store kv.Store
	now   func() time.Time
}

var _ Shelf = (*Table)(nil)

// The spaces of the state.
const (
	rowSpace   = "blob"       // name -> row
	pieceSpace = "blob-piece" // body / number -> bytes
	loneSpace  = "blob-lone"  // body -> loneRow: its pieces belong to no row yet, or no longer
)

// pieceSize is small enough for a turn to hold one, and large enough that a
// commit for each is no burden.
const pieceSize = 256 << 10

// row is one blob.
type row struct {
	Body   string    `json:"body"` // names its pieces
	Size   int64     `json:"size"`
	Pieces int       `json:"pieces"`
	At     time.Time `json:"at"` // when it was put
}

// loneRow is a body whose pieces are to go unless somebody finishes it.
type loneRow struct {
	At time.Time `json:"at"`
}

// NewTable keeps blobs in the given state.
func NewTable(store kv.Store, now func() time.Time) *Table { return &Table{store: store, now: now} }

func pieceKey(body string, n int) string { return fmt.Sprintf("%s/%08d", body, n) }

// Put implements Shelf.
func (t *Table) Put(ctx context.Context, r io.Reader, limit int64) (ID, int64, error) {
	body := rand.Text()
	if err := t.mark(ctx, body); err != nil {
		return "", 0, fmt.Errorf("keep a file: %w", err)
	}
	m := measure(ctx, r, limit)
	n, err := t.pieces(ctx, body, m)
	if err == nil {
		failpoint.Hit(failpoint.BlobBefore)
		err = t.finish(ctx, m.id(), row{Body: body, Size: m.size, Pieces: n})
	}
	if err != nil {
		// What cannot be taken away now goes with the unfinished.
		_ = t.drop(context.WithoutCancel(ctx), body)
		return "", 0, fmt.Errorf("keep a file: %w", err)
	}
	failpoint.Hit(failpoint.BlobAfter)
	return m.id(), m.size, nil
}

// mark notes that a body's pieces belong to nothing.
func (t *Table) mark(ctx context.Context, body string) error {
	w, err := t.lone(body)
	if err != nil {
		return err
	}
	return t.store.Write(ctx, w)
}

func (t *Table) lone(body string) (kv.Write, error) {
	v, err := json.Marshal(loneRow{At: t.now()})
	return kv.Write{Space: loneSpace, Key: body, Value: v}, err
}

func (t *Table) pieces(ctx context.Context, body string, r io.Reader) (int, error) {
	buf := make([]byte, pieceSize)
	for n := 0; ; n++ {
		got, err := io.ReadFull(r, buf)
		if got > 0 {
			w := kv.Write{Space: pieceSpace, Key: pieceKey(body, n), Value: append([]byte(nil), buf[:got]...)}
			if err := t.store.Write(ctx, w); err != nil {
				return n, err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return n, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return n + 1, nil
		case err != nil:
			return n, err
		}
	}
}

// finish gives a body its name, unless the name has one.
func (t *Table) finish(ctx context.Context, id ID, r row) error {
	for {
		old, version, err := t.get(ctx, id)
		if err != nil {
			return err
		}
		next := r
		w := []kv.Write{{Space: loneSpace, Key: r.Body}}
		if version > 0 { // it is there: this body stays lone
			next, w = old, nil
		} else {
			version = kv.Absent
		}
		next.At = t.now()
		v, err := json.Marshal(next)
		if err != nil {
			return err
		}
		err = t.store.Write(ctx, append(w, kv.Write{Space: rowSpace, Key: string(id), If: version, Value: v})...)
		switch {
		case errors.Is(err, kv.ErrConflict):
			continue
		case err == nil && w == nil:
			return t.drop(ctx, r.Body)
		}
		return err
	}
}

func (t *Table) get(ctx context.Context, id ID) (row, int64, error) {
	var r row
	e, err := t.store.Get(ctx, rowSpace, string(id))
	if err != nil || e.Version == 0 {
		return r, 0, err
	}
	if err := json.Unmarshal(e.Value, &r); err != nil {
		return r, 0, fmt.Errorf("blob %s: %w", id, err)
	}
	return r, e.Version, nil
}

// drop removes the pieces of a lone body, and then its mark.
func (t *Table) drop(ctx context.Context, body string) error {
	for {
		rows, err := t.store.List(ctx, pieceSpace, body+"/", "", 16)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return t.store.Write(ctx, kv.Write{Space: loneSpace, Key: body})
		}
		w := make([]kv.Write, len(rows))
		for i, r := range rows {
			w[i] = kv.Write{Space: pieceSpace, Key: r.Key}
		}
		if err := t.store.Write(ctx, w...); err != nil {
			return err
		}
	}
}

// Open implements Shelf.
func (t *Table) Open(ctx context.Context, id ID) (io.ReadCloser, error) {
	r, version, err := t.get(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("open a kept file: %w", err)
	}
	if version == 0 {
		return nil, ErrNotFound
	}
	return verify(&pieceReader{ctx: ctx, t: t, row: r}, id), nil
}

// pieceReader reads the pieces of a body, one after the other.
type pieceReader struct {
	ctx  context.Context //nolint:containedctx // of the call of Open that it belongs to
	t    *Table
	row  row
	next int
	left []byte
}

// Read implements io.Reader.
func (r *pieceReader) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		if r.next >= r.row.Pieces {
			return 0, io.EOF
		}
		e, err := r.t.store.Get(r.ctx, pieceSpace, pieceKey(r.row.Body, r.next))
		if err != nil {
			return 0, fmt.Errorf("read a kept file: %w", err)
		}
		if e.Version == 0 {
			return 0, ErrNotFound
		}
		r.left = e.Value
		r.next++
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// Close implements io.Closer.
func (*pieceReader) Close() error { return nil }

// Touch implements Shelf.
func (t *Table) Touch(ctx context.Context, id ID) error {
	for {
		r, version, err := t.get(ctx, id)
		if err != nil {
			return fmt.Errorf("touch a kept file: %w", err)
		}
		if version == 0 {
			return ErrNotFound
		}
		r.At = t.now()
		v, err := json.Marshal(r)
		if err == nil {
			err = t.store.Write(ctx, kv.Write{Space: rowSpace, Key: string(id), If: version, Value: v})
		}
		if !errors.Is(err, kv.ErrConflict) {
			return err
		}
	}
}

// Old implements Shelf.
func (t *Table) Old(ctx context.Context, after ID, before time.Time, limit int) ([]ID, error) {
	var old []ID
	for len(old) < limit {
		rows, err := t.store.List(ctx, rowSpace, "", string(after), limit)
		if err != nil {
			return nil, fmt.Errorf("list the kept files: %w", err)
		}
		for _, e := range rows {
			var r row
			after = ID(e.Key)
			if json.Unmarshal(e.Value, &r) == nil && r.At.Before(before) && len(old) < limit {
				old = append(old, after)
			}
		}
		if len(rows) < limit {
			break
		}
	}
	return old, nil
}

// Remove implements Shelf. The name goes first, in one commit with the mark
// that lets the pieces follow whatever happens.
func (t *Table) Remove(ctx context.Context, id ID, before time.Time) (bool, error) {
	r, version, err := t.get(ctx, id)
	if err != nil || version == 0 || !r.At.Before(before) {
		return false, err
	}
	lone, err := t.lone(r.Body)
	if err != nil {
		return false, err
	}
	err = t.store.Write(ctx, kv.Write{Space: rowSpace, Key: string(id), If: version}, lone)
	if errors.Is(err, kv.ErrConflict) {
		return false, nil
	}
	if err == nil {
		err = t.drop(ctx, r.Body)
	}
	if err != nil {
		return false, fmt.Errorf("remove a kept file: %w", err)
	}
	return true, nil
}

// Unfinished implements Shelf.
func (t *Table) Unfinished(ctx context.Context, before time.Time) error {
	after := ""
	for {
		rows, err := t.store.List(ctx, loneSpace, "", after, 0)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, e := range rows {
			var l loneRow
			after = e.Key
			if json.Unmarshal(e.Value, &l) != nil || !l.At.Before(before) {
				continue
			}
			if err := t.drop(ctx, e.Key); err != nil {
				return err
			}
		}
	}
}
