package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-chat/gatehouse/memory/internal/column"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// Rows implements store.Engine.
func (e *Engine) Rows(ctx context.Context, f store.Filter) ([]store.Row, error) {
	where, args := condition(f)
	units := everything
	if !f.All {
		units = unitList(f.Units)
	}
	text := `NULL::bytea`
	if f.Whole {
		text = `i.text`
	}
	limit := ``
	if f.Limit > 0 {
		limit = fmt.Sprintf(` LIMIT %d`, f.Limit)
	}
	var out []store.Row
	err := e.read(ctx, units, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+column.Heads+`, `+text+` FROM memory_item i JOIN memory_unit u ON u.id = i.unit WHERE `+where+` ORDER BY i.id`+limit, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		var seqs []int64
		if out, seqs, err = column.Items(rows); err != nil || !f.Whole {
			return err
		}
		return chunksOf(ctx, tx, out, seqs)
	})
	return out, err
}

// chunksOf gives items their chunks.
func chunksOf(ctx context.Context, tx pgx.Tx, items []store.Row, seqs []int64) error {
	rows, err := tx.Query(ctx, `SELECT `+column.Parts+` FROM memory_chunk WHERE item = ANY ($1) ORDER BY item, n`, seqs)
	if err != nil {
		return err
	}
	defer rows.Close()
	return column.Share(rows, items, seqs)
}

// Chunks implements store.Engine.
func (e *Engine) Chunks(ctx context.Context, units []int64, ids []int64) (out []store.Chunk, err error) {
	err = e.ask(ctx, sql(byKey, unitList(units)), sql(`SELECT `+column.Chunk+` FROM memory_chunk c JOIN memory_item i ON i.seq = c.item
		JOIN memory_unit u ON u.id = c.unit WHERE c.id = ANY ($1) AND c.unit = ANY ($2)`, ids, units), func(rows pgx.Rows) (err error) {
		out, err = collect(rows, nil)
		return err
	})
	return out, err
}

// Sealed implements store.Engine.
func (e *Engine) Sealed(ctx context.Context, units []int64, model store.Model, each func(store.Chunk) error) error {
	return e.read(ctx, unitList(units), func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+column.Chunk+`, v.code FROM memory_chunk c
			JOIN memory_item i ON i.seq = c.item JOIN memory_unit u ON u.id = c.unit
			LEFT JOIN memory_vector v ON v.chunk = c.id AND v.model = $1
			WHERE c.sealed AND c.unit = ANY ($2) ORDER BY c.id`, model.ID, units)
		if err != nil {
			return err
		}
		defer rows.Close()
		return column.Each(rows, each)
	})
}

// Having implements store.Engine. The lists of the units are read one after the
// other, until there is enough for a word. What they give are numbers; the chunks
// behind them are held to the units by a policy as well. A word that far more have
// than are counted is not looked up.
func (e *Engine) Having(ctx context.Context, units []int64, words []string, limit int, which store.Which) ([][]int64, error) {
	out := make([][]int64, len(words))
	common, err := e.commonTerms(ctx)
	if err != nil {
		return nil, err
	}
	var queries []string
	var asked []int // the words' places
	for i, w := range words {
		if which == store.Whichever && surely(common, units, w, limit) {
			out[i] = make([]int64, limit)
			continue
		}
		asked = append(asked, i)
		for _, u := range units {
			queries = append(queries, wanted(u, strings.Fields(w)))
		}
	}
	if len(asked) == 0 {
		return out, nil
	}
	err = e.ask(ctx, sql(byKey, unitList(units)), sql(`SELECT n, found.chunks
		FROM generate_series(1, $1::int) n CROSS JOIN LATERAL (SELECT array_agg(chunk) AS chunks FROM (
			SELECT list.chunk FROM unnest($2::text[]) WITH ORDINALITY q (query, place)
			CROSS JOIN LATERAL (SELECT chunk FROM memory_words WHERE terms @@ q.query::tsquery LIMIT $3) list
			WHERE (q.place - 1) / $4 = n - 1 LIMIT $3) picked) found`, len(asked), queries, limit, len(units)), func(rows pgx.Rows) error {
		var n int
		var chunks []int64
		_, err := pgx.ForEachRow(rows, []any{&n, &chunks}, func() error {
			out[asked[n-1]] = chunks
			return nil
		})
		return err
	})
	return out, err
}

// commonFor is how long it is believed which words are common.
const commonFor = time.Minute

// commonTerms are the terms that many chunks have, with how many, about: Postgres
// counts them in a sample whenever a tenth of the table has changed.
func (e *Engine) commonTerms(ctx context.Context) (map[string]float64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Since(e.sized) < commonFor {
		return e.common, nil
	}
	rows, err := e.db.Pool().Query(ctx, `SELECT term, share * greatest(reltuples, 0) FROM pg_class c
		JOIN pg_namespace n ON n.oid = relnamespace
		JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = 'terms',
		unnest(most_common_elems::text::text[], most_common_elem_freqs) x (term, share)
		WHERE c.oid = 'memory_words'::regclass AND term IS NOT NULL`)
	if err != nil {
		return nil, fmt.Errorf("look for common words: %w", err)
	}
	all := map[string]float64{}
	var term string
	var n float64
	if _, err := pgx.ForEachRow(rows, []any{&term, &n}, func() error { all[term] = n; return nil }); err != nil {
		return nil, err
	}
	e.common, e.sized = all, time.Now()
	return all, nil
}

// surely reports whether units have far more than limit chunks with a word.
func surely(common map[string]float64, units []int64, word string, limit int) bool {
	n := 0.0
	for _, u := range units {
		n += common[term(u, word)]
	}
	return n > float64(2*limit)
}

// wanted asks for what a unit has with all of the words.
func wanted(unit int64, words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = quoted(term(unit, w))
	}
	return strings.Join(out, `&`)
}
