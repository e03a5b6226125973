package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// heads are the columns of an item without its text.
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
	var seqs []int64
	err := e.read(ctx, units, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+heads+`, `+text+` FROM memory_item i JOIN memory_unit u ON u.id = i.unit WHERE `+where+` ORDER BY i.id`+limit, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r store.Row
			var seq int64
			var tags string
			if err := rows.Scan(append(scanHead(&r, &seq, &tags), &r.Text)...); err != nil {
				return err
			}
			r.Tags = split(tags)
			out, seqs = append(out, r), append(seqs, seq)
		}
		if err := rows.Err(); err != nil || !f.Whole {
			return err
		}
		return chunksOf(ctx, tx, out, seqs)
	})
	return out, err
}

// chunksOf gives items their chunks.
func chunksOf(ctx context.Context, tx pgx.Tx, items []store.Row, seqs []int64) error {
	at := make(map[int64]int, len(seqs))
	for i, seq := range seqs {
		at[seq] = i
	}
	rows, err := tx.Query(ctx, `SELECT item, id, n, first, last, body FROM memory_chunk WHERE item = ANY ($1) ORDER BY item, n`, seqs)
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
		items[at[item]].Chunks = append(items[at[item]].Chunks, c)
	}
	return rows.Err()
}

const chunkColumns = `c.id, c.n, c.first, c.last, c.body, ` + heads

func scanChunk(rows pgx.Rows, more ...any) (store.Chunk, error) {
	c := store.Chunk{Item: &store.Row{}}
	var seq int64
	var tags string
	err := rows.Scan(append(append([]any{&c.ID, &c.Index, &c.Start, &c.End, &c.Body}, scanHead(c.Item, &seq, &tags)...), more...)...)
	c.Item.Tags = split(tags)
	return c, err
}

func collect(rows pgx.Rows) ([]store.Chunk, error) {
	defer rows.Close()
	var out []store.Chunk
	for rows.Next() {
		c, err := scanChunk(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// Chunks implements store.Engine.
func (e *Engine) Chunks(ctx context.Context, units []int64, ids []int64) (out []store.Chunk, err error) {
	err = e.ask(ctx, sql(readOnly, unitList(units)), sql(`SELECT `+chunkColumns+` FROM memory_chunk c JOIN memory_item i ON i.seq = c.item
		JOIN memory_unit u ON u.id = c.unit WHERE c.id = ANY ($1) AND c.unit = ANY ($2)`, ids, units), func(rows pgx.Rows) (err error) {
		out, err = collect(rows)
		return err
	})
	return out, err
}

// Sealed implements store.Engine.
func (e *Engine) Sealed(ctx context.Context, units []int64, model store.Model, each func(store.Chunk) error) error {
	return e.read(ctx, unitList(units), func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+chunkColumns+`, v.code FROM memory_chunk c
			JOIN memory_item i ON i.seq = c.item JOIN memory_unit u ON u.id = c.unit
			LEFT JOIN memory_vector v ON v.chunk = c.id AND v.model = $1
			WHERE c.sealed AND c.unit = ANY ($2) ORDER BY c.id`, model.ID, units)
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
	})
}

// Having implements store.Engine. The lists of the units are read one after the
// other, until there is enough for a word. What they give are numbers; the chunks
// behind them are held to the units by a policy as well.
func (e *Engine) Having(ctx context.Context, units []int64, words []string, limit int, _ store.Which) ([][]int64, error) {
	out := make([][]int64, len(words))
	var queries []string
	for _, w := range words {
		for _, u := range units {
			queries = append(queries, wanted(u, strings.Fields(w)))
		}
	}
	err := e.ask(ctx, sql(readOnly, unitList(units)), sql(`SELECT n, found.chunks
		FROM generate_series(1, $1::int) n CROSS JOIN LATERAL (SELECT array_agg(chunk) AS chunks FROM (
			SELECT list.chunk FROM unnest($2::text[]) WITH ORDINALITY q (query, place)
			CROSS JOIN LATERAL (SELECT chunk FROM memory_words WHERE terms @@ q.query::tsquery LIMIT $3) list
			WHERE (q.place - 1) / $4 = n - 1 LIMIT $3) picked) found`, len(words), queries, limit, len(units)), func(rows pgx.Rows) error {
		var n int
		var chunks []int64
		_, err := pgx.ForEachRow(rows, []any{&n, &chunks}, func() error {
			out[n-1] = chunks
			return nil
		})
		return err
	})
	return out, err
}

// wanted asks for what a unit has with all of the words.
func wanted(unit int64, words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = quoted(term(unit, w))
	}
	return strings.Join(out, `&`)
}
