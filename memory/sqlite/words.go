package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"

	db "github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
	"github.com/gatehouse-chat/gatehouse/memory/internal/words"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// term is how a word stands in the index: behind its unit, so that a list of
// chunks is of one unit, and there is nothing to intersect. Digits and a letter
// that none of them is cannot be read in two ways.
func term(unit int64, word string) string { return strconv.FormatInt(unit, 10) + "u" + word }

// terms writes the words of a chunk as the index takes them.
func terms(unit int64, all []string) string {
	prefix := term(unit, "")
	var b strings.Builder
	for i, w := range all {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(prefix)
		b.WriteString(w)
	}
	return b.String()
}

// index is the index of words in a transaction.
type index struct {
	tx   *db.Tx
	from int64 // chunks with lower ids are not in it yet
}

func indexOf(tx *db.Tx) (index, error) {
	row, _, err := tx.One(`SELECT below FROM memory_unworded`)
	if err != nil {
		return index{}, err
	}
	return index{tx: tx, from: row.Int(0)}, nil
}

func (x index) add(chunk, unit int64, all []string) error {
	if chunk < x.from {
		return nil
	}
	_, _, err := x.tx.Exec(`INSERT INTO memory_words (rowid, terms) VALUES (?, ?)`, chunk, terms(unit, all))
	return err
}

// drop takes a chunk out. The index holds no text, so that it has to be told
// again what it has of the chunk.
func (x index) drop(chunk, unit int64, body []byte) error {
	if chunk < x.from {
		return nil
	}
	_, _, err := x.tx.Exec(`INSERT INTO memory_words (memory_words, rowid, terms) VALUES ('delete', ?, ?)`,
		chunk, terms(unit, words.Split(string(body))))
	return err
}

// indexAtOnce is how many chunks are indexed in one commit.
const indexAtOnce = 500

// IndexWords indexes some chunks that an older version has left behind, the
// youngest first, and reports whether there are more. Until it has been called
// for all of them they are found by their vectors alone.
func (e *Engine) IndexWords(ctx context.Context) (more bool, err error) {
	err = e.change(ctx, func(tx *db.Tx) error {
		x, err := indexOf(tx)
		if err != nil || x.from == 0 {
			return err
		}
		type chunk struct {
			id, unit, sealed int64
			body             []byte
		}
		var some []chunk
		if err := tx.Query(func(r db.Row) error {
			some = append(some, chunk{r.Int(0), r.Int(1), r.Int(2), r.Blob(3)})
			return nil
		}, `SELECT id, unit, sealed, body FROM memory_chunk WHERE id < ? ORDER BY id DESC LIMIT ?`, x.from, indexAtOnce); err != nil {
			return err
		}
		x.from = 0
		if more = len(some) == indexAtOnce; more {
			x.from = some[len(some)-1].id
		}
		if _, _, err := tx.Exec(`UPDATE memory_unworded SET below = ?`, x.from); err != nil {
			return err
		}
		slices.Reverse(some) // FTS5 takes them together in the order of their ids only
		for _, c := range some {
			if c.sealed == 1 {
				continue
			}
			if err := x.add(c.id, c.unit, words.Split(string(c.body))); err != nil {
				return err
			}
		}
		return nil
	})
	return more, err
}

// Having implements store.Engine.
func (e *Engine) Having(ctx context.Context, units []int64, all []string, limit int, which store.Which) ([][]int64, error) {
	order := ``
	if which == store.Newest { // the index is walked from its end, which takes twice as long
		order = ` DESC`
	}
	// A row for each number would cost several times as much as a text of all. The
	// limit is no argument: with one, SQLite would compile the statement anew for
	// each word.
	text := `SELECT (SELECT group_concat(rowid) FROM (SELECT rowid FROM memory_words WHERE memory_words MATCH w.value
		ORDER BY rowid` + order + ` LIMIT ` + strconv.Itoa(limit) + `)) FROM json_each(?) w`
	q, err := e.db.Prepared(ctx, text) //nolint:sqlclosecheck // the database closes it
	if err != nil {
		return nil, err
	}
	asked := make([]string, len(all))
	for i, w := range all {
		asked[i] = match(units, strings.Fields(w))
	}
	rows, err := q.QueryContext(ctx, list(asked))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make([][]int64, 0, len(all))
	for rows.Next() {
		var text sql.NullString
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		some, err := parse(text)
		if err != nil {
			return nil, err
		}
		out = append(out, some)
	}
	return out, rows.Err()
}

// match asks for chunks of one of the units that have all of the words.
func match(units []int64, wanted []string) string {
	var b strings.Builder
	for i, u := range units {
		if i > 0 {
			b.WriteString(` OR `)
		}
		b.WriteByte('(')
		for j, w := range wanted {
			if j > 0 {
				b.WriteString(` AND `)
			}
			b.WriteString(`"` + term(u, w) + `"`)
		}
		b.WriteByte(')')
	}
	return b.String()
}

// parse reads a list of numbers with commas between; NULL has none.
func parse(text sql.NullString) ([]int64, error) {
	if !text.Valid {
		return nil, nil
	}
	out := make([]int64, 0, strings.Count(text.String, ",")+1)
	for part := range strings.SplitSeq(text.String, ",") {
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}
