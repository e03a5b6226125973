package sqlite

import (
	"context"
	"strings"

	db "github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// Put implements store.Engine.
func (e *Engine) Put(ctx context.Context, rows []store.Row) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var gone []gone
	err := e.change(ctx, func(tx *db.Tx) error {
		gone = gone[:0]
		x, err := indexOf(tx)
		if err != nil {
			return err
		}
		for i := range rows {
			was, ok, err := cleared(x, &rows[i])
			if err != nil {
				return err
			}
			gone = append(gone, was...)
			if !ok {
				continue
			}
			if err := insert(x, &rows[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		e.unsign(gone)
	}
	return err
}

// cleared removes what stands in an item's place, and reports whether the item
// may be put there.
func cleared(x index, r *store.Row) ([]gone, bool, error) {
	row, found, err := x.tx.One(`SELECT seq, body FROM memory_item WHERE id = ?`, r.ID)
	if err != nil || !found {
		return nil, r.Was == nil, err
	}
	if r.Was != nil && string(row.Blob(1)) != string(r.Was) {
		return nil, false, nil
	}
	was, err := remove(x, row.Int(0))
	return was, true, err
}

func insert(x index, r *store.Row) error {
	tx := x.tx
	_, seq, err := tx.Exec(`INSERT INTO memory_item (id, unit, kind, label, member, at, until, tags, sealed, body, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.ID, r.Unit, string(r.Kind), string(r.Label), r.Member, r.At, r.Until, strings.Join(r.Tags, ","), bit(r.Sealed), r.Body, blob(r.Text))
	if err != nil {
		return err
	}
	total := int64(0)
	for _, c := range r.Chunks {
		_, id, err := tx.Exec(`INSERT INTO memory_chunk (item, unit, n, first, last, words, sealed, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			seq, r.Unit, c.Index, c.Start, c.End, len(c.Words), bit(r.Sealed), c.Body)
		if err != nil {
			return err
		}
		total += int64(len(c.Words))
		if r.Sealed {
			continue
		}
		if err := x.add(id, r.Unit, c.Words); err != nil {
			return err
		}
	}
	n := int64(len(r.Chunks))
	return tally(tx, r.Unit, n, total, n*bit(r.Sealed))
}

// blob is nil for NULL.
func blob(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// gone is a chunk that was removed.
type gone struct{ unit, chunk int64 }

// remove removes an item by its number.
func remove(x index, seq int64) ([]gone, error) {
	tx := x.tx
	type chunk struct {
		gone
		words, sealed int64
		body          []byte
	}
	var all []chunk
	err := tx.Query(func(r db.Row) error {
		all = append(all, chunk{gone: gone{r.Int(1), r.Int(0)}, words: r.Int(2), sealed: r.Int(3), body: r.Blob(4)})
		return nil
	}, `SELECT id, unit, words, sealed, body FROM memory_chunk WHERE item = ?`, seq)
	if err != nil {
		return nil, err
	}
	out := make([]gone, 0, len(all))
	for _, c := range all {
		if c.sealed == 0 {
			if err := x.drop(c.chunk, c.unit, c.body); err != nil {
				return nil, err
			}
		}
		if _, _, err := tx.Exec(`DELETE FROM memory_vector WHERE chunk = ?`, c.chunk); err != nil {
			return nil, err
		}
		if err := tally(tx, c.unit, -1, -c.words, -c.sealed); err != nil {
			return nil, err
		}
		out = append(out, c.gone)
	}
	if _, _, err := tx.Exec(`DELETE FROM memory_chunk WHERE item = ?`, seq); err != nil {
		return nil, err
	}
	_, _, err = tx.Exec(`DELETE FROM memory_item WHERE seq = ?`, seq)
	return out, err
}

// removeAtOnce is how many items are removed in one commit.
const removeAtOnce = 200

// Remove implements store.Engine.
func (e *Engine) Remove(ctx context.Context, f store.Filter) (int, error) {
	n := 0
	f.Limit = removeAtOnce
	for {
		some, err := e.removeSome(ctx, f)
		n += some
		if err != nil || some < removeAtOnce {
			return n, err
		}
	}
}

func (e *Engine) removeSome(ctx context.Context, f store.Filter) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	where, args := condition(f)
	var was []gone
	n := 0
	err := e.change(ctx, func(tx *db.Tx) error {
		was, n = was[:0], 0
		x, err := indexOf(tx)
		if err != nil {
			return err
		}
		var seqs []int64
		err = tx.Query(func(r db.Row) error {
			seqs = append(seqs, r.Int(0))
			return nil
		}, `SELECT i.seq FROM memory_item i WHERE `+where+` LIMIT 200`, args...)
		if err != nil {
			return err
		}
		for _, seq := range seqs {
			some, err := remove(x, seq)
			if err != nil {
				return err
			}
			was, n = append(was, some...), n+1
		}
		return nil
	})
	if err == nil {
		e.unsign(was)
	}
	return n, err
}

// condition is a filter in SQL, one of few texts.
func condition(f store.Filter) (string, []any) {
	var parts []string
	var args []any
	add := func(text string, arg any) { parts, args = append(parts, text), append(args, arg) }
	if !f.All {
		add(`i.unit IN (SELECT value FROM json_each(?))`, list(f.Units))
	}
	if len(f.IDs) > 0 {
		add(`i.id IN (SELECT value FROM json_each(?))`, list(f.IDs))
	}
	if len(f.Kinds) > 0 {
		add(`i.kind IN (SELECT value FROM json_each(?))`, list(f.Kinds))
	}
	if f.Member != "" {
		add(`i.member = ?`, f.Member)
	}
	if f.ExpiredAt > 0 {
		add(`i.until > 0 AND i.until <= ?`, f.ExpiredAt)
	}
	if f.Wrong != nil {
		add(`i.sealed = ?`, 1-bit(*f.Wrong))
	}
	if f.After != "" {
		add(`i.id > ?`, f.After)
	}
	if len(parts) == 0 {
		return `1 = 1`, nil
	}
	return strings.Join(parts, ` AND `), args
}
