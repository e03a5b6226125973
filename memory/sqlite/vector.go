package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"

	db "github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
	"github.com/gatehouse-chat/gatehouse/memory/internal/column"
	"github.com/gatehouse-chat/gatehouse/memory/internal/vector"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// candidates is how many vectors are compared by their bytes for each that is
// asked for, and at least. Fewer bits tell less: below usualSize more are taken.
const (
	candidates      = 4
	leastCandidates = 256
	usualSize       = 384
)

// mostHeld is how many bytes of codes are held in memory: enough for 170,000
// chunks of 384 dimensions. Where there are more, those of the candidates are
// read from the file, which takes a search one to two milliseconds more.
const mostHeld = 64 << 20

// Model implements store.Engine.
func (e *Engine) Model(ctx context.Context, name string, dimensions int) (m store.Model, err error) {
	err = e.change(ctx, func(tx *db.Tx) error {
		if _, _, err := tx.Exec(`INSERT INTO memory_model (name, dimensions) VALUES (?, ?) ON CONFLICT DO NOTHING`, name, dimensions); err != nil {
			return err
		}
		row, _, err := tx.One(`SELECT id, dimensions FROM memory_model WHERE name = ?`, name)
		if err == nil {
			m = store.Model{ID: row.Int(0), Dimensions: int(row.Int(1))}
		}
		return err
	})
	return m, err
}

// Pending implements store.Engine.
func (e *Engine) Pending(ctx context.Context, model store.Model, n int) ([]store.Chunk, error) {
	var out []store.Chunk
	for _, side := range []string{`<`, `>`} {
		rows, err := e.db.Reader().QueryContext(ctx, `SELECT `+column.Chunk+` FROM memory_chunk c JOIN memory_item i ON i.seq = c.item JOIN memory_unit u ON u.id = c.unit
			WHERE c.model `+side+` ? LIMIT ?`, model.ID, n-len(out))
		if err != nil {
			return nil, err
		}
		if out, err = collect(rows, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func collect(rows *sql.Rows, out []store.Chunk) ([]store.Chunk, error) {
	defer rows.Close()
	return column.Chunks(rows, out)
}

// SetVectors implements store.Engine.
func (e *Engine) SetVectors(ctx context.Context, model store.Model, all []store.Vector) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	units := make([]int64, len(all))
	codes := make([]vector.Code, len(all))
	for i, v := range all {
		codes[i] = vector.Encode(v.Values)
	}
	err := e.change(ctx, func(tx *db.Tx) error {
		for i, v := range all {
			units[i] = 0
			row, found, err := tx.One(`SELECT unit, sealed FROM memory_chunk WHERE id = ?`, v.Chunk)
			if err != nil {
				return err
			}
			if !found || v.Values != nil && row.Int(1) == 1 {
				continue
			}
			code := blob(codes[i])
			if v.Sealed != nil {
				code = v.Sealed
			} else if v.Values != nil {
				units[i] = row.Int(0)
			}
			if _, _, err := tx.Exec(`INSERT OR REPLACE INTO memory_vector (chunk, unit, model, sealed, code) VALUES (?, ?, ?, ?, ?)`,
				v.Chunk, row.Int(0), model.ID, bit(v.Sealed != nil), code); err != nil {
				return err
			}
			if _, _, err := tx.Exec(`UPDATE memory_chunk SET model = ? WHERE id = ?`, model.ID, v.Chunk); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || e.signs == nil || e.model != model.ID {
		return err
	}
	for i, v := range all {
		if units[i] != 0 {
			e.signs.Add(units[i], v.Chunk, codes[i])
		}
	}
	return nil
}

// unsign takes chunks out of the bits. The caller holds mu.
func (e *Engine) unsign(all []gone) {
	if e.signs == nil {
		return
	}
	for _, g := range all {
		e.signs.Remove(g.unit, g.chunk)
	}
}

// Progress implements store.Engine.
func (e *Engine) Progress(ctx context.Context, model store.Model) (done, all int64, err error) {
	err = e.db.Reader().QueryRowContext(ctx, `SELECT (SELECT count(*) FROM memory_chunk WHERE model = ? AND id >= (SELECT below FROM memory_unworded)), coalesce((SELECT sum(chunks) FROM memory_unit), 0)`, model.ID).
		Scan(&done, &all)
	return done, all, err
}

// ready returns the bits of a model, which it reads if they are not there.
func (e *Engine) ready(ctx context.Context, model store.Model) (*vector.Signs, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.signs != nil && e.model == model.ID {
		return e.signs, nil
	}
	signs := vector.NewSigns(model.Dimensions, e.held)
	if err := e.reserve(ctx, signs); err != nil {
		return nil, err
	}
	rows, err := e.db.Reader().QueryContext(ctx, `SELECT unit, chunk, code FROM memory_vector WHERE model = ? AND sealed = 0 AND code IS NOT NULL`, model.ID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var unit, chunk int64
		var code sql.RawBytes
		if err := rows.Scan(&unit, &chunk, &code); err != nil {
			return nil, err
		}
		signs.Load(unit, chunk, vector.Code(code))
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	e.model, e.signs = model.ID, signs
	return signs, nil
}

// reserve makes room for the vectors of each unit.
func (e *Engine) reserve(ctx context.Context, signs *vector.Signs) error {
	rows, err := e.db.Reader().QueryContext(ctx, `SELECT id, chunks - sealed FROM memory_unit`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var unit int64
		var n int
		if err := rows.Scan(&unit, &n); err != nil {
			return err
		}
		signs.Reserve(unit, n)
	}
	return rows.Err()
}

// codesByChunk gives the codes one after the other, all of one length, and their
// chunks in the same order: a row for each would cost twice as much.
const codesByChunk = `SELECT group_concat(v.chunk), CAST(group_concat(v.code, '') AS BLOB) FROM json_each(?) w
	CROSS JOIN memory_vector v ON v.chunk = w.value
	WHERE v.model = ? AND length(v.code) = ? AND v.unit IN (SELECT value FROM json_each(?))`

var errCodes = errors.New("the vectors that were read have another length")

// Nearest implements store.Engine.
func (e *Engine) Nearest(ctx context.Context, units []int64, model store.Model, query []float32, n int) ([]store.Near, error) {
	signs, err := e.ready(ctx, model)
	if err != nil {
		return nil, err
	}
	near, compared := signs.Nearest(units, query, max(leastCandidates, candidates*n)*max(1, usualSize/model.Dimensions))
	if len(near) == 0 {
		return nil, nil
	}
	out := make([]store.Near, len(near))
	for i, c := range near {
		out[i] = store.Near{Chunk: c.ID, Cosine: c.Cosine}
	}
	if !compared {
		if out, err = e.compare(ctx, units, model, query, out); err != nil {
			return nil, err
		}
	}
	return best(out, n), nil
}

// compare reads the codes of candidates from the file.
func (e *Engine) compare(ctx context.Context, units []int64, model store.Model, query []float32, near []store.Near) ([]store.Near, error) {
	ids := make([]int64, len(near))
	for i, c := range near {
		ids[i] = c.Chunk
	}
	q, err := e.db.Prepared(ctx, codesByChunk) //nolint:sqlclosecheck // the database closes it
	if err != nil {
		return nil, err
	}
	var chunks sql.NullString
	var codes []byte
	length := vector.Length(model.Dimensions)
	if err := q.QueryRowContext(ctx, list(ids), model.ID, length, list(units)).Scan(&chunks, &codes); err != nil {
		return nil, err
	}
	found, err := parse(chunks)
	if err != nil || len(codes) != len(found)*length {
		return nil, cmp.Or(err, errCodes)
	}
	out := make([]store.Near, len(found))
	for i, chunk := range found {
		out[i] = store.Near{Chunk: chunk, Cosine: vector.Code(codes[i*length : (i+1)*length]).Cosine(query)}
	}
	return out, nil
}

// best keeps the n nearest.
func best(all []store.Near, n int) []store.Near {
	slices.SortFunc(all, func(a, b store.Near) int {
		return cmp.Or(cmp.Compare(b.Cosine, a.Cosine), cmp.Compare(b.Chunk, a.Chunk))
	})
	return all[:min(n, len(all))]
}
