package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"

	"github.com/gatehouse-chat/gatehouse/memory/internal/column"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// ownIndex is how many chunks a unit holds from which on its vectors have an index
// of their own. Below, all of them are compared, which takes about a millisecond.
// HNSW over all units would look around far more than a scope may read, and where
// that is little of the whole, find little of it.
const ownIndex = 2000

// The shape of the indexes. By the defaults of pgvector, 16 and 64, whole clusters
// cannot be reached in large graphs, in some builds more than in others.
const (
	links  = 24  // of a vector with others
	beside = 128 // candidates when one is added
)

// search is how many candidates are looked at when one is looked for, and
// searchFar where a graph is of more than farFrom vectors.
const (
	search    = 100
	searchFar = 200
	farFrom   = 30_000
)

// mostOwn is how many indexes one search asks; other units' vectors are all
// compared. Turns read three units at most.
const mostOwn = 16

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

// grow gives an index to those units that have become large. Gateways that make
// one at once wait for each other. It is made when the unit has few vectors, and
// grows with them.
func (e *Engine) grow(ctx context.Context, model store.Model, chunks []int64) error {
	var large []int64
	err := e.read(ctx, everything, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id FROM memory_unit WHERE chunks >= $2 AND id IN (SELECT unit FROM memory_chunk WHERE id = ANY ($1)) ORDER BY id`, chunks, ownIndex)
		if err != nil {
			return err
		}
		large, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	if err != nil {
		return err
	}
	for _, unit := range large {
		if err := e.index(ctx, model, unit); err != nil {
			return err
		}
	}
	return nil
}

// index makes the index of a unit's vectors. It may take minutes where a unit has
// become large at once, by being joined with another.
func (e *Engine) index(ctx context.Context, model store.Model, unit int64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	it := indexed{model.ID, unit}
	if e.indexed[it] {
		return nil
	}
	err := pgx.BeginFunc(ctx, e.db.Pool(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('memory-index', 0))`); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, fmt.Sprintf(`CREATE INDEX IF NOT EXISTS memory_vector_m%[1]d_u%[2]d ON memory_vector USING hnsw ((v::halfvec(%[3]d)) halfvec_cosine_ops)
			WITH (m = %[4]d, ef_construction = %[5]d) WHERE model = %[1]d AND unit = %[2]d AND v IS NOT NULL`, model.ID, unit, model.Dimensions, links, beside))
		return err
	})
	if err == nil {
		e.indexed[it] = true
	}
	return err
}

// Pending implements store.Engine.
func (e *Engine) Pending(ctx context.Context, model store.Model, n int) (out []store.Chunk, err error) {
	err = e.read(ctx, everything, func(tx pgx.Tx) error {
		out = nil
		for _, side := range []string{`<`, `>`} {
			rows, err := tx.Query(ctx, `SELECT `+column.Chunk+` FROM memory_chunk c JOIN memory_item i ON i.seq = c.item JOIN memory_unit u ON u.id = c.unit
				WHERE c.model `+side+` $1 LIMIT $2`, model.ID, n-len(out))
			if err != nil {
				return err
			}
			if out, err = collect(rows, out); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

func collect(rows pgx.Rows, out []store.Chunk) ([]store.Chunk, error) {
	defer rows.Close()
	return column.Chunks(rows, out)
}

// SetVectors implements store.Engine.
func (e *Engine) SetVectors(ctx context.Context, model store.Model, all []store.Vector) error {
	ids, values, codes := make([]int64, len(all)), make([]*string, len(all)), make([][]byte, len(all))
	for i, v := range all {
		ids[i], codes[i] = v.Chunk, v.Sealed
		if v.Values != nil {
			text := pgvector.NewHalfVector(v.Values).String()
			values[i] = &text
		}
	}
	if err := e.grow(ctx, model, ids); err != nil {
		return err
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

// Nearest implements store.Engine. Each large unit is asked by its own index; of
// the others all vectors are compared.
func (e *Engine) Nearest(ctx context.Context, units []int64, model store.Model, query []float32, n int) (out []store.Near, err error) {
	large, small, most, err := e.bySize(ctx, units)
	if err != nil {
		return nil, err
	}
	candidates := search
	if most > farFrom {
		candidates = searchFar
	}
	near := fmt.Sprintf(`(v::halfvec(%[1]d) <=> $1::halfvec(%[1]d))`, model.Dimensions)
	own := fmt.Sprintf(`FROM memory_vector WHERE model = %d AND v IS NOT NULL AND unit `, model.ID)
	var parts []string
	for _, u := range large {
		parts = append(parts, fmt.Sprintf(`(SELECT chunk, %[1]s AS far %[2]s = %[3]d ORDER BY %[1]s LIMIT $3)`, near, own, u))
	}
	parts = append(parts, `(SELECT chunk, far FROM (SELECT chunk, `+near+` AS far `+own+` = ANY ($2) OFFSET 0) x ORDER BY far LIMIT $3)`)
	// What sorts all is the dearest for the planner: it takes the index where there
	// is one, whatever it knows of the tables yet.
	begin := sql(readOnly+`, set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', $2, true), set_config('enable_sort', 'off', true)`,
		unitList(units), strconv.Itoa(min(max(candidates, n), 1000)))
	err = e.ask(ctx, begin, sql(`SELECT chunk, 1 - far FROM (`+strings.Join(parts, ` UNION ALL `)+`) x`, pgvector.NewHalfVector(query).String(), small, n), func(rows pgx.Rows) (err error) {
		out, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (near store.Near, err error) {
			return near, r.Scan(&near.Chunk, &near.Cosine)
		})
		return err
	})
	return out, err
}

// bySize says which units have an index of their own, and how many chunks the
// largest holds.
func (e *Engine) bySize(ctx context.Context, units []int64) (large, small []int64, most int64, err error) {
	rows, err := e.db.Pool().Query(ctx, `SELECT id, chunks FROM memory_unit WHERE id = ANY ($1) AND chunks >= $2 ORDER BY chunks DESC LIMIT $3`, units, ownIndex, mostOwn)
	if err != nil {
		return nil, nil, 0, err
	}
	var unit, chunks int64
	_, err = pgx.ForEachRow(rows, []any{&unit, &chunks}, func() error {
		large, most = append(large, unit), max(most, chunks)
		return nil
	})
	small = slices.DeleteFunc(slices.Clone(units), func(u int64) bool { return slices.Contains(large, u) })
	return large, small, most, err
}
