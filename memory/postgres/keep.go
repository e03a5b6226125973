package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// tally is by how much the counts of a unit change.
type tally struct{ chunks, words, sealed int }

// tallies are applied at the end, in order: whoever changes two units waits, and
// does not collide.
type tallies map[int64]tally

func (t tallies) add(unit int64, more tally) {
	now := t[unit]
	t[unit] = tally{now.chunks + more.chunks, now.words + more.words, now.sealed + more.sealed}
}

// queue applies them.
func (t tallies) queue(b *pgx.Batch) {
	for _, u := range slices.Sorted(maps.Keys(t)) {
		b.Queue(`UPDATE memory_unit SET chunks = chunks + $1, words = words + $2, sealed = sealed + $3 WHERE id = $4`, t[u].chunks, t[u].words, t[u].sealed, u)
	}
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
			var b pgx.Batch
			counts.queue(&b)
			return tx.SendBatch(ctx, &b).Close()
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
