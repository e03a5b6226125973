package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// The shape of the graphs. By the defaults of pgvector, 16 and 64, whole clusters
// cannot be reached in large ones, in some builds more than in others.
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

// graph is an HNSW index of a unit's vectors by one model: of all up to a chunk.
// Chunks are numbered in the order in which they come, so that what is new is no
// part of it: to add vectors one by one takes longer than all that is done for
// them else, and more than twice as long as to make the graph anew. Its name and
// the condition in the database's catalog say what it holds. There is no other
// record of it that could be wrong.
type graph struct {
	model, unit int64
	upTo        int64 // 0: all, as an older version made them
	size        int64 // when it was made
	valid       bool  // else it was left unfinished, or is being made
}

func (g graph) name() string {
	if g.upTo == 0 {
		return fmt.Sprintf("memory_vector_m%d_u%d", g.model, g.unit)
	}
	return fmt.Sprintf("memory_vector_m%d_u%d_c%d", g.model, g.unit, g.upTo)
}

// whole reports whether it holds all of the unit, and always will.
func (g graph) whole() bool { return g.valid && g.upTo == 0 }

// holds is the condition of what the graph holds, in the words of the index.
func (g graph) holds() string {
	all := fmt.Sprintf(`model = %d AND unit = %d AND v IS NOT NULL`, g.model, g.unit)
	if g.upTo == 0 {
		return all
	}
	return fmt.Sprintf(`%s AND chunk <= %d`, all, g.upTo)
}

// within is holds, and lacks is what of the unit the graph does not hold, in words
// that only the index by unit, model and chunk is good for.
func (g graph) within() string { return g.between(0, g.last()) }

func (g graph) lacks() string { return g.between(g.last(), math.MaxInt64) }

// last is the last chunk that the graph may hold.
func (g graph) last() int64 {
	if g.whole() {
		return math.MaxInt64
	}
	return g.upTo
}

func (g graph) between(after, last int64) string {
	return fmt.Sprintf(`(unit, model, chunk) > (%[1]d, %[2]d, %[3]d) AND (unit, model, chunk) <= (%[1]d, %[2]d, %[4]d)`, g.unit, g.model, after, last)
}

// graphs are those that there are.
type graphs []graph

// readGraphs asks the catalog.
func readGraphs(ctx context.Context, q interface {
	Query(ctx context.Context, text string, args ...any) (pgx.Rows, error)
},
) (graphs, error) {
	rows, err := q.Query(ctx, `SELECT m[1]::bigint, m[2]::bigint, coalesce(m[3]::bigint, 0), reltuples::bigint, indisvalid
		FROM pg_index JOIN pg_class c ON c.oid = indexrelid, regexp_match(relname, '^memory_vector_m(\d+)_u(\d+)(?:_c(\d+))?$') m
		WHERE indrelid = 'memory_vector'::regclass AND m IS NOT NULL`)
	if err != nil {
		return nil, fmt.Errorf("look for graphs: %w", err)
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (g graph, err error) {
		return g, r.Scan(&g.model, &g.unit, &g.upTo, &g.size, &g.valid)
	})
}

// newest is the graph that is asked for a unit; one that is not valid: there is
// none.
func (all graphs) newest(model, unit int64) graph {
	best := graph{model: model, unit: unit}
	for _, g := range all {
		if g.model == model && g.unit == unit && g.valid && (!best.valid || g.upTo > best.upTo) {
			best = g
		}
	}
	return best
}

// of are the graphs of those units that have one, the largest first.
func (all graphs) of(model int64, units []int64) []graph {
	var out []graph
	for _, u := range units {
		if g := all.newest(model, u); g.valid {
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(a, b graph) int { return cmp.Compare(b.size, a.size) })
	return out[:min(len(out), mostOwn)]
}

// graphsFor is how long what is known of the graphs is used. Another gateway may
// have made one since, and searches only take longer until this one knows.
const graphsFor = time.Minute

// known are the graphs as they were lately.
func (e *Engine) known(ctx context.Context) (graphs, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Since(e.asked) < graphsFor {
		return e.graphs, nil
	}
	all, err := readGraphs(ctx, e.db.Pool())
	if err == nil {
		e.graphs, e.asked = all, time.Now()
	}
	return all, err
}

// lookAgain makes the next search look for graphs.
func (e *Engine) lookAgain() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = time.Time{}
}
