// Package column has what the tables of both engines have in common: the columns
// that are read, in their order, and how they are put into rows. The statements
// around them are each engine's own.
package column

import (
	"strings"

	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// Heads are the columns of an item without its text, where i is the item and u its
// unit.
const Heads = `i.seq, i.id, i.unit, u.workspace, u.reach, u.name, i.kind, i.label, i.member, i.at, i.until, i.tags, i.sealed, i.body`

// Chunk are the columns of a chunk, which is c, with the head of its item.
const Chunk = `c.id, c.n, c.first, c.last, c.body, ` + Heads

// Parts are the columns of chunks by their item, for [Share].
const Parts = `item, id, n, first, last, body`

// Rows is what a query gives, of either driver.
type Rows interface {
	Next() bool
	Scan(into ...any) error
	Err() error
}

// head are the places for Heads.
func head(r *store.Row, seq *int64, tags *string) []any {
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

// Items reads items, of each Heads and its text, and their numbers. The caller
// closes the rows.
func Items(rows Rows) (items []store.Row, seqs []int64, err error) {
	for rows.Next() {
		var r store.Row
		var seq int64
		var tags string
		if err := rows.Scan(append(head(&r, &seq, &tags), &r.Text)...); err != nil {
			return nil, nil, err
		}
		r.Tags = split(tags)
		items, seqs = append(items, r), append(seqs, seq)
	}
	return items, seqs, rows.Err()
}

// Share gives items, whose numbers are seqs, the chunks that the rows hold as
// Parts. The caller closes the rows.
func Share(rows Rows, items []store.Row, seqs []int64) error {
	at := make(map[int64]int, len(seqs))
	for i, seq := range seqs {
		at[seq] = i
	}
	for rows.Next() {
		var item int64
		var c store.Chunk
		if err := rows.Scan(&item, &c.ID, &c.Index, &c.Start, &c.End, &c.Body); err != nil {
			return err
		}
		if i, ok := at[item]; ok {
			items[i].Chunks = append(items[i].Chunks, c)
		}
	}
	return rows.Err()
}

// one reads the chunk at which the rows stand, of Chunk and more.
func one(rows Rows, more ...any) (store.Chunk, error) {
	c := store.Chunk{Item: &store.Row{}}
	var seq int64
	var tags string
	err := rows.Scan(append(append([]any{&c.ID, &c.Index, &c.Start, &c.End, &c.Body}, head(c.Item, &seq, &tags)...), more...)...)
	c.Item.Tags = split(tags)
	return c, err
}

// Chunks adds the chunks that rows hold, each of Chunk, to out. The caller closes
// the rows.
func Chunks(rows Rows, out []store.Chunk) ([]store.Chunk, error) {
	for rows.Next() {
		c, err := one(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// Each calls f for every sealed chunk, of Chunk and its vector. The caller closes
// the rows.
func Each(rows Rows, f func(store.Chunk) error) error {
	for rows.Next() {
		var code []byte
		c, err := one(rows, &code)
		if err != nil {
			return err
		}
		c.Vector = code
		if err := f(c); err != nil {
			return err
		}
	}
	return rows.Err()
}
