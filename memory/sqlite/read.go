package sqlite

import (
	"context"

	"github.com/gatehouse-chat/gatehouse/memory/internal/column"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// Rows implements store.Engine.
func (e *Engine) Rows(ctx context.Context, f store.Filter) ([]store.Row, error) {
	where, args := condition(f)
	limit := f.Limit
	if limit <= 0 {
		limit = -1
	}
	//nolint:rowserrcheck // column checks it
	rows, err := e.db.Reader().QueryContext(ctx, `SELECT `+column.Heads+`, CASE WHEN ? THEN i.text END FROM memory_item i JOIN memory_unit u ON u.id = i.unit
		WHERE `+where+` ORDER BY i.id LIMIT ?`, append(append([]any{f.Whole}, args...), limit)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out, seqs, err := column.Items(rows)
	if err != nil || !f.Whole {
		return out, err
	}
	return out, e.chunksOf(ctx, out, seqs)
}

// chunksOf gives items their chunks.
func (e *Engine) chunksOf(ctx context.Context, items []store.Row, seqs []int64) error {
	//nolint:rowserrcheck // column checks it
	rows, err := e.db.Reader().QueryContext(ctx, `SELECT `+column.Parts+` FROM memory_chunk
		WHERE item IN (SELECT value FROM json_each(?)) ORDER BY item, n`, list(seqs))
	if err != nil {
		return err
	}
	defer rows.Close()
	return column.Share(rows, items, seqs)
}

const chunksByID = `SELECT ` + column.Chunk + ` FROM json_each(?) w CROSS JOIN memory_chunk c ON c.id = w.value
	CROSS JOIN memory_item i ON i.seq = c.item CROSS JOIN memory_unit u ON u.id = c.unit
	WHERE c.unit IN (SELECT value FROM json_each(?))`

// Chunks implements store.Engine.
func (e *Engine) Chunks(ctx context.Context, units []int64, ids []int64) ([]store.Chunk, error) {
	q, err := e.db.Prepared(ctx, chunksByID) //nolint:sqlclosecheck // the database closes it
	if err != nil {
		return nil, err
	}
	//nolint:rowserrcheck // column checks it
	rows, err := q.QueryContext(ctx, list(ids), list(units))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return column.Chunks(rows, make([]store.Chunk, 0, len(ids)))
}

// Sealed implements store.Engine.
func (e *Engine) Sealed(ctx context.Context, units []int64, model store.Model, each func(store.Chunk) error) error {
	//nolint:rowserrcheck // column checks it
	rows, err := e.db.Reader().QueryContext(ctx, `SELECT `+column.Chunk+`, v.code FROM memory_chunk c
		JOIN memory_item i ON i.seq = c.item JOIN memory_unit u ON u.id = c.unit
		LEFT JOIN memory_vector v ON v.chunk = c.id AND v.model = ? AND v.sealed = 1
		WHERE c.sealed = 1 AND c.unit IN (SELECT value FROM json_each(?)) ORDER BY c.id`, model.ID, list(units))
	if err != nil {
		return err
	}
	defer rows.Close()
	return column.Each(rows, each)
}
