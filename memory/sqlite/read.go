package sqlite

import (
	"context"
	"database/sql"
	"strings"

	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// heads are the columns of an item without its text, and scanning them.
const heads = `i.seq, i.id, i.unit, u.workspace, u.reach, u.name, i.kind, i.label, i.member, i.at, i.until, i.tags, i.sealed, i.body`

func scanHead(r *store.Row, seq *int64, tags *string) []any {
	return []any{
		seq, &r.ID, &r.Unit, &r.Of.Workspace, &r.Of.Reach, &r.Of.Name, &r.Kind, &r.Label, &r.Member, &r.At, &r.Until, tags, &r.Sealed, &r.Body,
	}
}

func split(tags string) []string {
	if tags == "" {
		return nil
	}
	return strings.Split(tags, ",")
}

// Rows implements store.Engine.
func (e *Engine) Rows(ctx context.Context, f store.Filter) ([]store.Row, error) {
	where, args := condition(f)
	limit := f.Limit
	if limit <= 0 {
		limit = -1
	}
	rows, err := e.db.Reader().QueryContext(ctx, `SELECT `+heads+`, CASE WHEN ? THEN i.text END FROM memory_item i JOIN memory_unit u ON u.id = i.unit
		WHERE `+where+` ORDER BY i.id LIMIT ?`, append(append([]any{f.Whole}, args...), limit)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []store.Row
	var seqs []int64
	for rows.Next() {
		var r store.Row
		var seq int64
		var tags string
		if err := rows.Scan(append(scanHead(&r, &seq, &tags), &r.Text)...); err != nil {
			return nil, err
		}
		r.Tags = split(tags)
		out, seqs = append(out, r), append(seqs, seq)
	}
	if err := rows.Err(); err != nil || !f.Whole {
		return out, err
	}
	return out, e.chunksOf(ctx, out, seqs)
}

// chunksOf gives items their chunks.
func (e *Engine) chunksOf(ctx context.Context, items []store.Row, seqs []int64) error {
	at := make(map[int64]int, len(seqs))
	for i, seq := range seqs {
		at[seq] = i
	}
	rows, err := e.db.Reader().QueryContext(ctx, `SELECT item, id, n, first, last, body FROM memory_chunk
		WHERE item IN (SELECT value FROM json_each(?)) ORDER BY item, n`, list(seqs))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var item int64
		var c store.Chunk
		if err := rows.Scan(&item, &c.ID, &c.Index, &c.Start, &c.End, &c.Body); err != nil {
			return err
		}
		i, ok := at[item]
		if !ok {
			continue
		}
		items[i].Chunks = append(items[i].Chunks, c)
	}
	return rows.Err()
}

const chunkColumns = `c.id, c.n, c.first, c.last, c.body, ` + heads

func scanChunk(rows *sql.Rows, more ...any) (store.Chunk, error) {
	c := store.Chunk{Item: &store.Row{}}
	var seq int64
	var tags string
	err := rows.Scan(append(append([]any{&c.ID, &c.Index, &c.Start, &c.End, &c.Body}, scanHead(c.Item, &seq, &tags)...), more...)...)
	c.Item.Tags = split(tags)
	return c, err
}

const chunksByID = `SELECT ` + chunkColumns + ` FROM json_each(?) w CROSS JOIN memory_chunk c ON c.id = w.value
	CROSS JOIN memory_item i ON i.seq = c.item CROSS JOIN memory_unit u ON u.id = c.unit
	WHERE c.unit IN (SELECT value FROM json_each(?))`

// Chunks implements store.Engine.
func (e *Engine) Chunks(ctx context.Context, units []int64, ids []int64) ([]store.Chunk, error) {
	q, err := e.db.Prepared(ctx, chunksByID) //nolint:sqlclosecheck // the database closes it
	if err != nil {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, list(ids), list(units))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make([]store.Chunk, 0, len(ids))
	for rows.Next() {
		c, err := scanChunk(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// Sealed implements store.Engine.
func (e *Engine) Sealed(ctx context.Context, units []int64, model store.Model, each func(store.Chunk) error) error {
	rows, err := e.db.Reader().QueryContext(ctx, `SELECT `+chunkColumns+`, v.code FROM memory_chunk c
		JOIN memory_item i ON i.seq = c.item JOIN memory_unit u ON u.id = c.unit
		LEFT JOIN memory_vector v ON v.chunk = c.id AND v.model = ? AND v.sealed = 1
		WHERE c.sealed = 1 AND c.unit IN (SELECT value FROM json_each(?)) ORDER BY c.id`, model.ID, list(units))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var code []byte
		c, err := scanChunk(rows, &code)
		if err != nil {
			return err
		}
		c.Vector = code
		if err := each(c); err != nil {
			return err
		}
	}
	return rows.Err()
}
