package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// term is how a word stands in the index: behind its unit, so that a list of
// chunks is of one unit, and there is nothing to intersect.
func term(unit int64, word string) string { return prefix(unit) + word }

// prefix is what the terms of a unit begin with. Digits and a letter that none
// of them is cannot be read in two ways.
func prefix(unit int64) string { return strconv.FormatInt(unit, 10) + "u" }

// terms writes words as a tsvector, without asking Postgres to parse anything.
// Their places do not matter: what is found is scored by the program.
func terms(unit int64, words []string) string {
	all := slices.Clone(words)
	slices.Sort(all)
	var b strings.Builder
	for _, w := range slices.Compact(all) {
		b.WriteString(quoted(term(unit, w)) + " ")
	}
	return b.String()
}

// quoted writes a term as tsvector and tsquery read it.
func quoted(term string) string {
	return `'` + strings.ReplaceAll(strings.ReplaceAll(term, `\`, `\\`), `'`, `''`) + `'`
}

// Put implements store.Engine.
func (e *Engine) Put(ctx context.Context, rows []store.Row) error {
	return e.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		counts := tallies{}
		ids := make([]string, len(rows))
		for i := range rows {
			ids[i] = rows[i].ID
		}
		slices.Sort(ids) // whoever puts the same ones waits, and does not collide
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('memory/' || id, 0)) FROM unnest($1::text[]) id`, ids); err != nil {
			return err
		}
		for i := range rows {
			ok, err := cleared(ctx, tx, &rows[i], counts)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if err := insert(ctx, tx, &rows[i], counts); err != nil {
				return err
			}
		}
		return counts.apply(ctx, tx)
	})
}

// cleared removes what stands in an item's place, and reports whether the item
// may be put there.
func cleared(ctx context.Context, tx pgx.Tx, r *store.Row, counts tallies) (bool, error) {
	rows, err := tx.Query(ctx, `SELECT seq, body FROM memory_item WHERE id = $1 FOR UPDATE`, r.ID)
	if err != nil {
		return false, err
	}
	var seq int64
	var body []byte
	tag, err := pgx.ForEachRow(rows, []any{&seq, &body}, func() error { return nil })
	switch {
	case err != nil:
		return false, err
	case tag.RowsAffected() == 0:
		return r.Was == nil, nil
	case r.Was != nil && string(body) != string(r.Was):
		return false, nil
	}
	return true, remove(ctx, tx, []int64{seq}, counts)
}

func insert(ctx context.Context, tx pgx.Tx, r *store.Row, counts tallies) error {
	var seq int64
	err := tx.QueryRow(ctx, `INSERT INTO memory_item (id, unit, kind, label, member, at, until, tags, sealed, body, text)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING seq`,
		r.ID, r.Unit, string(r.Kind), string(r.Label), r.Member, r.At, r.Until, strings.Join(r.Tags, ","), r.Sealed, r.Body, r.Text).Scan(&seq)
	if err != nil {
		return err
	}
	n := len(r.Chunks)
	places, firsts, lasts, sizes := make([]int, n), make([]int, n), make([]int, n), make([]int, n)
	bodies, all := make([][]byte, n), make([]string, n)
	total := 0
	for i, c := range r.Chunks {
		places[i], firsts[i], lasts[i], sizes[i], bodies[i], all[i] = c.Index, c.Start, c.End, len(c.Words), c.Body, terms(r.Unit, c.Words)
		total += len(c.Words)
	}
	_, err = tx.Exec(ctx, `WITH made AS (
			INSERT INTO memory_chunk (item, unit, n, first, last, words, sealed, body)
			SELECT $1, $2, x.n, x.first, x.last, x.words, $3, x.body
			FROM unnest($4::int[], $5::int[], $6::int[], $7::int[], $8::bytea[]) x (n, first, last, words, body) RETURNING id, n)
		INSERT INTO memory_words (chunk, terms)
		SELECT made.id, t.terms::tsvector FROM made JOIN unnest($4::int[], $9::text[]) t (n, terms) ON t.n = made.n WHERE NOT $3`,
		seq, r.Unit, r.Sealed, places, firsts, lasts, sizes, bodies, all)
	if err != nil {
		return err
	}
	t := tally{chunks: n, words: total}
	if r.Sealed {
		t.sealed = n
	}
	counts.add(r.Unit, t)
	return nil
}

// tally is by how much the counts of a unit change.
type tally struct{ chunks, words, sealed int }

// tallies are applied at the end, in order: whoever changes two units waits, and
// does not collide.
type tallies map[int64]tally

func (t tallies) add(unit int64, more tally) {
	now := t[unit]
	t[unit] = tally{now.chunks + more.chunks, now.words + more.words, now.sealed + more.sealed}
}

func (t tallies) apply(ctx context.Context, tx pgx.Tx) error {
	units := make([]int64, 0, len(t))
	for u := range t {
		units = append(units, u)
	}
	slices.SortFunc(units, cmp.Compare[int64])
	for _, u := range units {
		_, err := tx.Exec(ctx, `UPDATE memory_unit SET chunks = chunks + $1, words = words + $2, sealed = sealed + $3 WHERE id = $4`,
			t[u].chunks, t[u].words, t[u].sealed, u)
		if err != nil {
			return err
		}
	}
	return nil
}

// remove removes items by their numbers.
func remove(ctx context.Context, tx pgx.Tx, seqs []int64, counts tallies) error {
	rows, err := tx.Query(ctx, `WITH gone AS (DELETE FROM memory_chunk WHERE item = ANY ($1) RETURNING id, unit, words, sealed),
		words AS (DELETE FROM memory_words WHERE chunk IN (SELECT id FROM gone)),
		vectors AS (DELETE FROM memory_vector WHERE chunk IN (SELECT id FROM gone)),
		items AS (DELETE FROM memory_item WHERE seq = ANY ($1))
		SELECT unit, count(*), sum(words), count(*) FILTER (WHERE sealed) FROM gone GROUP BY unit`, seqs)
	if err != nil {
		return err
	}
	var unit int64
	var t tally
	_, err = pgx.ForEachRow(rows, []any{&unit, &t.chunks, &t.words, &t.sealed}, func() error {
		counts.add(unit, tally{-t.chunks, -t.words, -t.sealed})
		return nil
	})
	return err
}

// removeAtOnce is how many items are removed in one commit.
const removeAtOnce = 200

// Remove implements store.Engine.
func (e *Engine) Remove(ctx context.Context, f store.Filter) (int, error) {
	where, args := condition(f)
	total := 0
	for {
		n := 0
		err := e.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
			rows, err := tx.Query(ctx, fmt.Sprintf(`SELECT i.seq FROM memory_item i WHERE %s ORDER BY i.seq LIMIT %d FOR UPDATE`, where, removeAtOnce), args...)
			if err != nil {
				return err
			}
			seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
			if err != nil {
				return err
			}
			n = len(seqs)
			counts := tallies{}
			if err := remove(ctx, tx, seqs, counts); err != nil {
				return err
			}
			return counts.apply(ctx, tx)
		})
		if err != nil {
			return total, err
		}
		if total += n; n < removeAtOnce {
			return total, nil
		}
	}
}

// condition is a filter in SQL.
func condition(f store.Filter) (string, []any) {
	var parts []string
	var args []any
	add := func(text string, arg any) {
		args = append(args, arg)
		parts = append(parts, fmt.Sprintf(text, len(args)))
	}
	if !f.All {
		add(`i.unit = ANY ($%d)`, f.Units)
	}
	if len(f.IDs) > 0 {
		add(`i.id = ANY ($%d)`, f.IDs)
	}
	if len(f.Kinds) > 0 {
		kinds := make([]string, len(f.Kinds))
		for i, k := range f.Kinds {
			kinds[i] = string(k)
		}
		add(`i.kind = ANY ($%d)`, kinds)
	}
	if f.Member != "" {
		add(`i.member = $%d`, f.Member)
	}
	if f.ExpiredAt > 0 {
		add(`i.until > 0 AND i.until <= $%d`, f.ExpiredAt)
	}
	if f.Wrong != nil {
		add(`i.sealed = $%d`, !*f.Wrong)
	}
	if f.After != "" {
		add(`i.id > $%d`, f.After)
	}
	if len(parts) == 0 {
		return `true`, nil
	}
	return strings.Join(parts, ` AND `), args
}
