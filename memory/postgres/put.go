package postgres

import (
	"context"
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

// Put implements store.Engine. However many items there are, they go to the
// server in three exchanges: what stands in their place, what of it goes, and
// what comes.
func (e *Engine) Put(ctx context.Context, rows []store.Row) error {
	return e.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		counts := tallies{}
		rows, err := cleared(ctx, tx, rows, counts)
		if err != nil || len(rows) == 0 && len(counts) == 0 {
			return err
		}
		return insert(ctx, tx, rows, counts)
	})
}

// cleared removes what stands in the place of items, and returns those that may
// be put there: of several with one id the last.
func cleared(ctx context.Context, tx pgx.Tx, rows []store.Row, counts tallies) ([]store.Row, error) {
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	slices.Sort(ids) // whoever puts the same ones waits, and does not collide
	var there map[string]standing
	var b pgx.Batch
	b.Queue(`SELECT pg_advisory_xact_lock(hashtextextended('memory/' || id, 0)) FROM unnest($1::text[]) id`, ids)
	b.Queue(`SELECT id, seq, body FROM memory_item WHERE id = ANY ($1) ORDER BY id FOR UPDATE`, ids).Query(func(rows pgx.Rows) (err error) {
		there, err = standings(rows)
		return err
	})
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return nil, err
	}
	last := make(map[string]int, len(rows))
	var gone []int64
	for i := range rows {
		id, was := rows[i].ID, rows[i].Was
		old, is := there[id]
		if was != nil && (!is || string(old.body) != string(was)) {
			continue
		}
		if old.seq != 0 {
			gone = append(gone, old.seq)
		}
		there[id], last[id] = standing{body: rows[i].Body}, i
	}
	var out []store.Row
	for i := range rows {
		if at, is := last[rows[i].ID]; is && at == i {
			out = append(out, rows[i])
		}
	}
	if len(gone) == 0 {
		return out, nil
	}
	return out, remove(ctx, tx, gone, counts)
}

// standing is what is in an item's place; seq is 0 where it is yet to be put.
type standing struct {
	seq  int64
	body []byte
}

func standings(rows pgx.Rows) (map[string]standing, error) {
	out := map[string]standing{}
	var id string
	var s standing
	_, err := pgx.ForEachRow(rows, []any{&id, &s.seq, &s.body}, func() error {
		out[id] = s
		return nil
	})
	return out, err
}

// insert puts items, their chunks and their words. It gives the numbers itself,
// so that all three can be sent at once.
func insert(ctx context.Context, tx pgx.Tx, rows []store.Row, counts tallies) error {
	n := 0
	for i := range rows {
		n += len(rows[i].Chunks)
	}
	items, chunks, err := numbers(ctx, tx, len(rows), n)
	if err != nil {
		return err
	}
	var is itemColumns
	var cs chunkColumns
	for i := range rows {
		is.add(items[i], &rows[i])
		t := tally{chunks: len(rows[i].Chunks)}
		if rows[i].Sealed {
			t.sealed = t.chunks
		}
		for _, c := range rows[i].Chunks {
			cs.add(chunks[0], items[i], &rows[i], &c)
			chunks = chunks[1:]
			t.words += len(c.Words)
		}
		counts.add(rows[i].Unit, t)
	}
	var b pgx.Batch
	is.queue(&b)
	cs.queue(&b)
	counts.queue(&b)
	return tx.SendBatch(ctx, &b).Close()
}

// numbers takes numbers for items and for chunks, each in order.
func numbers(ctx context.Context, tx pgx.Tx, items, chunks int) (forItems, forChunks []int64, err error) {
	var b pgx.Batch
	take := func(table, column string, n int, into *[]int64) {
		b.Queue(`SELECT nextval(pg_get_serial_sequence($1, $2)) FROM generate_series(1, $3::int)`, table, column, n).Query(func(rows pgx.Rows) (err error) {
			*into, err = pgx.CollectRows(rows, pgx.RowTo[int64])
			slices.Sort(*into)
			return err
		})
	}
	take("memory_item", "seq", items, &forItems)
	take("memory_chunk", "id", chunks, &forChunks)
	return forItems, forChunks, tx.SendBatch(ctx, &b).Close()
}

// itemColumns are items, column by column.
type itemColumns struct {
	seq, unit                     []int64
	id, kind, label, member, tags []string
	at, until                     []int64
	sealed                        []bool
	body, text                    [][]byte
}

func (c *itemColumns) add(seq int64, r *store.Row) {
	c.seq, c.unit, c.id = append(c.seq, seq), append(c.unit, r.Unit), append(c.id, r.ID)
	c.kind, c.label, c.member = append(c.kind, string(r.Kind)), append(c.label, string(r.Label)), append(c.member, r.Member)
	c.at, c.until, c.tags = append(c.at, r.At), append(c.until, r.Until), append(c.tags, strings.Join(r.Tags, ","))
	c.sealed, c.body, c.text = append(c.sealed, r.Sealed), append(c.body, r.Body), append(c.text, r.Text)
}

func (c *itemColumns) queue(b *pgx.Batch) {
	b.Queue(`INSERT INTO memory_item (seq, id, unit, kind, label, member, at, until, tags, sealed, body, text) OVERRIDING SYSTEM VALUE
		SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::text[],
			$10::bool[], $11::bytea[], $12::bytea[])`,
		c.seq, c.id, c.unit, c.kind, c.label, c.member, c.at, c.until, c.tags, c.sealed, c.body, c.text)
}

// chunkColumns are chunks with their words, column by column.
type chunkColumns struct {
	id, item, unit        []int64
	n, first, last, words []int
	sealed                []bool
	body                  [][]byte
	worded                []int64 // those that are not sealed
	terms                 []string
}

func (c *chunkColumns) add(id, item int64, r *store.Row, chunk *store.Chunk) {
	c.id, c.item, c.unit = append(c.id, id), append(c.item, item), append(c.unit, r.Unit)
	c.n, c.first, c.last = append(c.n, chunk.Index), append(c.first, chunk.Start), append(c.last, chunk.End)
	c.words, c.sealed, c.body = append(c.words, len(chunk.Words)), append(c.sealed, r.Sealed), append(c.body, chunk.Body)
	if !r.Sealed {
		c.worded, c.terms = append(c.worded, id), append(c.terms, terms(r.Unit, chunk.Words))
	}
}

func (c *chunkColumns) queue(b *pgx.Batch) {
	b.Queue(`INSERT INTO memory_chunk (id, item, unit, n, first, last, words, sealed, body)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::int[], $5::int[], $6::int[], $7::int[], $8::bool[], $9::bytea[])`,
		c.id, c.item, c.unit, c.n, c.first, c.last, c.words, c.sealed, c.body)
	b.Queue(`INSERT INTO memory_words (chunk, terms) SELECT chunk, terms::tsvector FROM unnest($1::bigint[], $2::text[]) x (chunk, terms)`, c.worded, c.terms)
}
