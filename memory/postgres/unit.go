package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

const unitsByName = `SELECT w.n, u.id, u.chunks, u.words, u.sealed
	FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY w (workspace, reach, name, n)
	JOIN memory_unit u ON u.workspace = w.workspace AND u.reach = w.reach AND u.name = w.name`

// Units implements store.Engine.
func (e *Engine) Units(ctx context.Context, units []store.Unit, missing store.Missing) ([]store.Found, error) {
	out := make([]store.Found, len(units))
	spaces, reaches, names := make([]string, len(units)), make([]string, len(units)), make([]string, len(units))
	for i, u := range units {
		out[i].Unit = u
		spaces[i], reaches[i], names[i] = u.Workspace, string(u.Reach), u.Name
	}
	rows, err := e.db.Pool().Query(ctx, unitsByName, spaces, reaches, names)
	if err != nil {
		return nil, err
	}
	known, err := fill(rows, out)
	if err != nil || known == len(units) || missing == store.LeaveOut {
		return out, err
	}
	return out, e.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO memory_unit (workspace, reach, name)
			SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING`, spaces, reaches, names)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, unitsByName, spaces, reaches, names)
		if err != nil {
			return err
		}
		_, err = fill(rows, out)
		return err
	})
}

// fill puts what is known of units into their places, and returns of how many.
func fill(rows pgx.Rows, out []store.Found) (int, error) {
	defer rows.Close()
	known := 0
	for rows.Next() {
		var n int
		var f store.Found
		if err := rows.Scan(&n, &f.ID, &f.Chunks, &f.Words, &f.Sealed); err != nil {
			return known, err
		}
		f.Unit = out[n-1].Unit
		out[n-1] = f
		known++
	}
	return known, rows.Err()
}

// UnitsOf implements store.Engine.
func (e *Engine) UnitsOf(ctx context.Context, workspace string) ([]store.Found, error) {
	rows, err := e.db.Pool().Query(ctx, `SELECT id, reach, name, chunks, words, sealed FROM memory_unit WHERE workspace = $1 ORDER BY id`, workspace)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (store.Found, error) {
		f := store.Found{Unit: store.Unit{Workspace: workspace}}
		return f, r.Scan(&f.ID, &f.Reach, &f.Name, &f.Chunks, &f.Words, &f.Sealed)
	})
}

// Rename implements store.Engine. Where there is something under the new name
// already, it takes what is under the old one in.
func (e *Engine) Rename(ctx context.Context, workspace string, reach memory.Reach, from, to string) error {
	return e.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id, name FROM memory_unit WHERE workspace = $1 AND reach = $2 AND name IN ($3, $4) ORDER BY id FOR UPDATE`,
			workspace, string(reach), from, to)
		if err != nil {
			return err
		}
		ids := map[string]int64{}
		var id int64
		var name string
		if _, err := pgx.ForEachRow(rows, []any{&id, &name}, func() error { ids[name] = id; return nil }); err != nil {
			return err
		}
		old, next := ids[from], ids[to]
		switch {
		case old == 0 || from == to:
			return nil
		case next == 0:
			_, err := tx.Exec(ctx, `UPDATE memory_unit SET name = $1 WHERE id = $2`, to, old)
			return err
		}
		return merge(ctx, tx, old, next)
	})
}

// merge gives all of one unit to another, under new numbers of chunks: what is
// newer than a graph need not be added to it one by one.
func merge(ctx context.Context, tx pgx.Tx, from, to int64) error {
	var b pgx.Batch
	b.Queue(`WITH moved AS MATERIALIZED (
			SELECT x.id AS old, nextval(pg_get_serial_sequence('memory_chunk', 'id')) AS new
			FROM (SELECT c.id FROM memory_chunk c JOIN memory_item i ON i.seq = c.item WHERE i.unit = $1 ORDER BY c.id FOR UPDATE OF c) x),
		words AS (UPDATE memory_words w SET chunk = new,
			terms = (SELECT coalesce(array_to_tsvector(array_agg($4 || substr(t, length($3) + 1))), '') FROM unnest(tsvector_to_array(w.terms)) t)
			FROM moved WHERE w.chunk = old),
		vectors AS (UPDATE memory_vector v SET chunk = new, unit = $2 FROM moved WHERE v.chunk = old),
		chunks AS (UPDATE memory_chunk c SET id = new, unit = $2 FROM moved WHERE c.id = old)
		UPDATE memory_item SET unit = $2 WHERE unit = $1`, from, to, prefix(from), prefix(to))
	b.Queue(`UPDATE memory_unit u SET chunks = u.chunks + o.chunks, words = u.words + o.words, sealed = u.sealed + o.sealed
		FROM memory_unit o WHERE u.id = $2 AND o.id = $1`, from, to)
	b.Queue(`DELETE FROM memory_unit WHERE id = $1`, from)
	return tx.SendBatch(ctx, &b).Close()
}
