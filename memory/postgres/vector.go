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

// mostOwn is how many graphs one search asks; other units' vectors are all
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

// SetVectors implements store.Engine. It does not wait for the disk: what a crash
// takes back is the mark, too, by which the vectors are known to be made.
func (e *Engine) SetVectors(ctx context.Context, model store.Model, all []store.Vector) error {
	ids, places, codes := make([]int64, len(all)), make([]int32, len(all)), make([][]byte, len(all))
	var values []float32 // of all, one after the other
	for i, v := range all {
		ids[i], codes[i] = v.Chunk, v.Sealed
		if v.Values != nil {
			places[i], values = int32(len(values)+1), append(values, v.Values...) //nolint:gosec // far fewer
		}
	}
	return e.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var b pgx.Batch
		b.Queue(`SELECT set_config('synchronous_commit', 'off', true)`)
		// First the chunks, in order: one that is removed meanwhile is left out.
		b.Queue(`SELECT 1 FROM memory_chunk WHERE id = ANY ($1) ORDER BY id FOR UPDATE`, ids)
		b.Queue(`WITH made AS (
				SELECT c.id, c.unit, x.place, x.code FROM unnest($1::bigint[], $2::int[], $3::bytea[]) x (chunk, place, code)
				JOIN memory_chunk c ON c.id = x.chunk WHERE c.sealed = (x.code IS NOT NULL) OR x.place = 0 AND x.code IS NULL),
			kept AS (INSERT INTO memory_vector (chunk, unit, model, v, code)
				SELECT id, unit, $4, CASE WHEN place > 0 THEN ($5::real[])[place : place + $6 - 1]::halfvec END, code FROM made
				ON CONFLICT (chunk) DO UPDATE SET unit = excluded.unit, model = excluded.model, v = excluded.v, code = excluded.code)
			UPDATE memory_chunk c SET model = $4 FROM made WHERE c.id = made.id`, ids, places, codes, model.ID, values, model.Dimensions)
		return tx.SendBatch(ctx, &b).Close()
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

// Nearest implements store.Engine. A large unit is asked by its graph, and the
// vectors that are newer than that are all compared, as those of small units are.
// Whether a graph that is asked is still there makes no difference to what is
// found.
func (e *Engine) Nearest(ctx context.Context, units []int64, model store.Model, query []float32, n int) (out []store.Near, err error) {
	known, err := e.known(ctx)
	if err != nil {
		return nil, err
	}
	graphs := known.of(model.ID, units)
	each := func(rows pgx.Rows) error {
		var near store.Near
		_, err := pgx.ForEachRow(rows, []any{&near.Chunk, &near.Cosine}, func() error {
			out = append(out, near)
			return nil
		})
		return err
	}
	var b pgx.Batch
	b.Queue(readOnly, unitList(units))
	vector := pgvector.NewHalfVector(query).String()
	if len(graphs) > 0 {
		candidates := search
		if graphs[0].size > farFrom {
			candidates = searchFar
		}
		// What sorts all is the dearest for the planner: it takes the graph, whatever
		// it knows of the tables yet.
		b.Queue(`SELECT set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', $1, true), set_config('enable_sort', 'off', true)`,
			strconv.Itoa(min(max(candidates, n), 1000)))
		b.Queue(inGraphs(graphs, model), vector, n).Query(each)
	}
	b.Queue(byUnit)
	b.Queue(besideGraphs(graphs, model), vector, n, withoutGraph(graphs, units)).Query(each)
	return out, e.db.Pool().SendBatch(ctx, &b).Close()
}

// byUnit leaves the planner the index by unit, model and chunk alone. It takes
// units to be spread evenly over the chunks, and would read all that are newer.
const byUnit = `SELECT set_config('enable_sort', 'on', true), set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'off', true), set_config('enable_indexonlyscan', 'off', true)`

// far is the distance of a row from a vector, as the graphs know it.
func far(model store.Model) string {
	return fmt.Sprintf(`(v::halfvec(%[1]d) <=> $1::halfvec(%[1]d))`, model.Dimensions)
}

// inGraphs asks graphs for what is near to a vector, so much of each.
func inGraphs(all []graph, model store.Model) string {
	parts := make([]string, len(all))
	for i, g := range all {
		parts[i] = fmt.Sprintf(`(SELECT chunk, %[1]s AS far FROM memory_vector WHERE %[2]s ORDER BY %[1]s LIMIT $2)`, far(model), g.holds())
	}
	return `SELECT chunk, 1 - far FROM (` + strings.Join(parts, ` UNION ALL `) + `) x`
}

// besideGraphs compares what no graph holds: of units that have one, and of those
// that have none.
func besideGraphs(all []graph, model store.Model) string {
	where := []string{fmt.Sprintf(`model = %d AND unit = ANY ($3)`, model.ID)}
	for _, g := range all {
		where = append(where, g.lacks())
	}
	parts := make([]string, len(where))
	for i, w := range where {
		parts[i] = `(SELECT chunk, ` + far(model) + ` AS far FROM memory_vector WHERE v IS NOT NULL AND ` + w + ` OFFSET 0)`
	}
	return `SELECT chunk, 1 - far FROM (` + strings.Join(parts, ` UNION ALL `) + `) x ORDER BY far LIMIT $2`
}

func withoutGraph(all []graph, units []int64) []int64 {
	return slices.DeleteFunc(slices.Clone(units), func(unit int64) bool {
		return slices.ContainsFunc(all, func(g graph) bool { return g.unit == unit })
	})
}
