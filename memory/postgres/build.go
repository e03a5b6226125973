package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// When a graph is made.
const (
	// ownGraph is how many vectors a unit has beside its graph from which on it is
	// made anew. To compare as many takes about a millisecond.
	ownGraph = 2000
	// shareBeside is the part of a graph that may stand beside it, so that a large
	// one is not made anew too often.
	shareBeside = 50
	// whileFilling is how many there must be while more are coming, if they are as
	// many as the graph holds, too: it is not made again and again then, and what a
	// search compares has a bound.
	whileFilling = 20_000
	// leftOver is how many vectors a graph must hold to be kept.
	leftOver = ownGraph / 2
)

// place is what a graph is of.
type place struct{ model, unit int64 }

// due is a graph that is to be made, in the place of what there is.
type due struct {
	next  graph // with what it would hold
	has   graph // the newest that there is
	fresh int64 // vectors beside it
}

// late reports whether searches would be quicker with the next graph.
func (d due) late() bool {
	return d.has.whole() || d.fresh >= max(ownGraph, d.has.size/shareBeside)
}

// pressing reports whether it is not to wait until the unit has filled.
func (d due) pressing() bool {
	return d.has.whole() || d.fresh >= max(whileFilling, d.has.size)
}

// IndexVectors makes the graphs that are due, removes those that nobody needs,
// and returns how many it made. Searches and writers go on meanwhile. It may take
// minutes; what ctx interrupts is begun again by whoever calls next, and what was
// made stays. Unless all is settled, a unit's graph waits until the unit has not
// grown from one call to the next. Of several gateways one works at a time, and
// for the others there is nothing to do.
func (e *Engine) IndexVectors(ctx context.Context, model store.Model, settled bool) (made int, err error) {
	all, err := readGraphs(ctx, e.db.Pool())
	if err != nil {
		return 0, err
	}
	dues, err := e.dues(ctx, all, model, settled)
	if err != nil {
		return 0, err
	}
	idle, err := e.idle(ctx, all)
	if err != nil || len(dues) == 0 && len(idle) == 0 {
		return 0, err
	}
	c, err := e.db.Pool().Acquire(ctx)
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	// A connection of its own: the lock and the settings go with it, however this ends.
	conn := c.Hijack()
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var mine bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended('memory-graph', 0))`).Scan(&mine); err != nil || !mine {
		return 0, err
	}
	defer e.lookAgain()
	if all, err = readGraphs(ctx, conn); err != nil {
		return 0, err
	}
	for _, d := range dues {
		if all.newest(model.ID, d.next.unit) != d.has {
			continue // another gateway has made it
		}
		if err := build(ctx, conn, d.next, model.Dimensions); err != nil {
			return made, fmt.Errorf("make the graph %s: %w", d.next.name(), err)
		}
		made++
		e.lookAgain()
	}
	return made, e.sweep(ctx, conn)
}

// dues lists the units that want a graph, or another one.
func (e *Engine) dues(ctx context.Context, all graphs, model store.Model, settled bool) ([]due, error) {
	late, err := e.late(ctx, all, model)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.fresh
	e.fresh = make(map[place]int64, len(late))
	var out []due
	for _, d := range late {
		at := place{d.next.model, d.next.unit}
		seen, known := before[at]
		if e.fresh[at] = d.fresh; settled || known && seen == d.fresh || d.pressing() {
			out = append(out, d)
		}
	}
	return out, nil
}

// late lists the units whose searches a graph would make quicker.
func (e *Engine) late(ctx context.Context, all graphs, model store.Model) (out []due, err error) {
	err = e.read(ctx, everything, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id FROM memory_unit WHERE chunks >= $1 ORDER BY id`, ownGraph)
		if err != nil {
			return err
		}
		large, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		out = nil
		for _, unit := range large {
			d := due{has: all.newest(model.ID, unit), next: graph{model: model.ID, unit: unit}}
			which := d.has.lacks()
			if d.has.whole() {
				which = d.has.within()
			}
			err := tx.QueryRow(ctx, `SELECT count(*), coalesce(max(chunk), 0) FROM memory_vector WHERE v IS NOT NULL AND `+which).Scan(&d.fresh, &d.next.upTo)
			if err != nil {
				return err
			}
			if d.has.whole() {
				d.fresh = 0
			}
			if d.next.upTo > 0 && d.late() {
				out = append(out, d)
			}
		}
		return nil
	})
	return out, err
}

// Compared counts the vectors that searches compare one by one until they are in
// a graph.
func (e *Engine) Compared(ctx context.Context, model store.Model) (n int64, err error) {
	all, err := e.known(ctx)
	if err != nil {
		return 0, err
	}
	late, err := e.late(ctx, all, model)
	for _, d := range late {
		n += d.fresh
	}
	return n, err
}

// idle lists the graphs that no search needs: unfinished ones, those that a newer
// one stands for, and those of which hardly anything is left.
func (e *Engine) idle(ctx context.Context, all graphs) (out []graph, err error) {
	err = e.read(ctx, everything, func(tx pgx.Tx) error {
		out = nil
		for _, g := range all {
			if !g.valid || g != all.newest(g.model, g.unit) {
				out = append(out, g)
				continue
			}
			var left int64
			err := tx.QueryRow(ctx, fmt.Sprintf(`SELECT count(*) FROM (SELECT FROM memory_vector WHERE v IS NOT NULL AND %s LIMIT %d) x`, g.within(), leftOver)).Scan(&left)
			if err != nil {
				return err
			}
			if left < leftOver {
				out = append(out, g)
			}
		}
		return nil
	})
	return out, err
}

// sweep removes idle graphs. The caller holds the lock, so that none of them is
// being made.
func (e *Engine) sweep(ctx context.Context, conn *pgx.Conn) error {
	all, err := readGraphs(ctx, conn)
	if err != nil {
		return err
	}
	idle, err := e.idle(ctx, all)
	if err != nil {
		return err
	}
	for _, g := range idle {
		if _, err := conn.Exec(ctx, `DROP INDEX CONCURRENTLY IF EXISTS `+g.name()); err != nil {
			return fmt.Errorf("remove the graph %s: %w", g.name(), err)
		}
	}
	return nil
}

// The working memory of a build. A graph that outgrows it is made many times more
// slowly.
const (
	perVector  = 1400 // bytes beside the vector's own: links, and room
	leastBuild = 64 << 20
	mostBuild  = 1 << 30
)

// build makes a graph. One worker does, which leaves the other processors to
// searches, and needs no shared memory, of which containers have little.
func build(ctx context.Context, conn *pgx.Conn, g graph, dimensions int) error {
	var vectors int64
	for _, q := range []string{
		`SELECT set_config('gatehouse.units', '` + everything + `', false)`,
		`SET max_parallel_maintenance_workers = 0`,
		`DROP INDEX CONCURRENTLY IF EXISTS ` + g.name(), // an unfinished one
	} {
		if _, err := conn.Exec(ctx, q); err != nil {
			return err
		}
	}
	if err := conn.QueryRow(ctx, `SELECT count(*) FROM memory_vector WHERE v IS NOT NULL AND `+g.within()).Scan(&vectors); err != nil {
		return err
	}
	memory := min(max(vectors*int64(perVector+2*dimensions), leastBuild), mostBuild)
	if _, err := conn.Exec(ctx, fmt.Sprintf(`SET maintenance_work_mem = %d`, memory>>10)); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, fmt.Sprintf(`CREATE INDEX CONCURRENTLY %s ON memory_vector USING hnsw ((v::halfvec(%d)) halfvec_cosine_ops)
		WITH (m = %d, ef_construction = %d) WHERE %s`, g.name(), dimensions, links, beside, g.holds()))
	return err
}
