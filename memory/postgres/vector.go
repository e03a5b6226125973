package postgres

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"

	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// exactBelow is how many chunks the units may hold for all of them to be
// compared. HNSW looks around the whole index: where a scope has little of it,
// it finds little.
const exactBelow = 20_000

// search is how widely HNSW looks, in candidates.
const search = 100

// Model implements store.Engine.
func (e *Engine) Model(ctx context.Context, name string, dimensions int) (m store.Model, err error) {
	err = e.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO memory_model (name, dimensions) VALUES ($1, $2) ON CONFLICT DO NOTHING`, name, dimensions); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT id, dimensions FROM memory_model WHERE name = $1`, name).Scan(&m.ID, &m.Dimensions)
	})
	return m, err
}

// index makes the index of a model's vectors. Gateways that make it at once wait
// for each other.
func (e *Engine) index(ctx context.Context, model store.Model) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.indexed[model.ID] {
		return nil
	}
	err := e.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('memory-index', 0))`); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, fmt.Sprintf(`CREATE INDEX IF NOT EXISTS memory_vector_m%d ON memory_vector USING hnsw ((v::halfvec(%d)) halfvec_cosine_ops)
			WHERE model = %d AND v IS NOT NULL`, model.ID, model.Dimensions, model.ID))
		return err
	})
	if err == nil {
		e.indexed[model.ID] = true
	}
	return err
}

// Pending implements store.Engine.
func (e *Engine) Pending(ctx context.Context, model store.Model, n int) (out []store.Chunk, err error) {
	err = e.read(ctx, everything, func(tx pgx.Tx) error {
		out = nil
		for _, side := range []string{`<`, `>`} {
			rows, err := tx.Query(ctx, `SELECT `+chunkColumns+` FROM memory_chunk c JOIN memory_item i ON i.seq = c.item JOIN memory_unit u ON u.id = c.unit
				WHERE c.model `+side+` $1 LIMIT $2`, model.ID, n-len(out))
			if err != nil {
				return err
			}
			some, err := collect(rows)
			if err != nil {
				return err
			}
			out = append(out, some...)
		}
		return nil
	})
	return out, err
}

// SetVectors implements store.Engine.
func (e *Engine) SetVectors(ctx context.Context, model store.Model, all []store.Vector) error {
	if err := e.index(ctx, model); err != nil {
		return err
	}
	ids, values, codes := make([]int64, len(all)), make([]*string, len(all)), make([][]byte, len(all))
	for i, v := range all {
		ids[i], codes[i] = v.Chunk, v.Sealed
		if v.Values != nil {
			text := pgvector.NewHalfVector(v.Values).String()
			values[i] = &text
		}
	}
	return e.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		// First the chunks, in order: one that is removed meanwhile is left out.
		_, err := tx.Exec(ctx, `SELECT 1 FROM memory_chunk WHERE id = ANY ($1) ORDER BY id FOR UPDATE`, ids)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `WITH made AS (
				SELECT c.id, c.unit, x.v, x.code FROM unnest($1::bigint[], $2::text[], $3::bytea[]) x (chunk, v, code)
				JOIN memory_chunk c ON c.id = x.chunk WHERE c.sealed = (x.code IS NOT NULL) OR x.v IS NULL AND x.code IS NULL),
			kept AS (INSERT INTO memory_vector (chunk, unit, model, v, code) SELECT id, unit, $4, v::halfvec, code FROM made
				ON CONFLICT (chunk) DO UPDATE SET unit = excluded.unit, model = excluded.model, v = excluded.v, code = excluded.code)
			UPDATE memory_chunk c SET model = $4 FROM made WHERE c.id = made.id`, ids, values, codes, model.ID)
		return err
	})
}

// Progress implements store.Engine.
func (e *Engine) Progress(ctx context.Context, model store.Model) (done, all int64, err error) {
	err = e.read(ctx, everything, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM memory_chunk WHERE model = $1), coalesce((SELECT sum(chunks) FROM memory_unit), 0)::bigint`, model.ID).
			Scan(&done, &all)
	})
	return done, all, err
}

// Nearest implements store.Engine.
func (e *Engine) Nearest(ctx context.Context, units []int64, model store.Model, query []float32, n int) (out []store.Near, err error) {
	var held int64
	err = e.db.Pool().QueryRow(ctx, `SELECT coalesce(sum(chunks), 0)::bigint FROM memory_unit WHERE id = ANY ($1)`, units).Scan(&held)
	if err != nil {
		return nil, err
	}
	near := fmt.Sprintf(`(v::halfvec(%[1]d) <=> $1::text::halfvec(%[1]d))`, model.Dimensions)
	own := fmt.Sprintf(`FROM memory_vector WHERE model = %d AND v IS NOT NULL AND unit = ANY ($2)`, model.ID)
	begin := sql(readOnly, unitList(units))
	text := `SELECT chunk, 1 - far FROM (SELECT chunk, ` + near + ` AS far ` + own + ` OFFSET 0) x ORDER BY far LIMIT $3`
	if held >= exactBelow { // HNSW looks until it has found enough that fits
		begin = sql(readOnly+`, set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', $2, true)`,
			unitList(units), strconv.Itoa(min(max(search, n), 1000)))
		text = `SELECT chunk, 1 - ` + near + ` ` + own + ` ORDER BY ` + near + ` LIMIT $3`
	}
	err = e.ask(ctx, begin, sql(text, pgvector.NewHalfVector(query).String(), units, n), func(rows pgx.Rows) (err error) {
		out, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (near store.Near, err error) {
			return near, r.Scan(&near.Chunk, &near.Cosine)
		})
		return err
	})
	return out, err
}
