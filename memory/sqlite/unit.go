package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"

	db "github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/internal/words"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

const unitByName = `SELECT id, chunks, words, sealed FROM memory_unit WHERE workspace = ? AND reach = ? AND name = ?`

// Units implements store.Engine. Each turn asks for the units of its scope, and
// most scopes have none: what was read is kept in memory until the next change.
func (e *Engine) Units(ctx context.Context, units []store.Unit, missing store.Missing) ([]store.Found, error) {
	out, as, known := e.known.all(units)
	if !known {
		var err error
		if out, err = e.readUnits(ctx, units); err != nil {
			return nil, err
		}
		e.known.keep(out, as)
	}
	absent := slices.ContainsFunc(out, func(f store.Found) bool { return f.ID == 0 })
	if !absent || missing == store.LeaveOut {
		return out, nil
	}
	return out, e.change(ctx, func(tx *db.Tx) error {
		for i, u := range units {
			if _, _, err := tx.Exec(`INSERT INTO memory_unit (workspace, reach, name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
				u.Workspace, string(u.Reach), u.Name); err != nil {
				return err
			}
			row, _, err := tx.One(unitByName, u.Workspace, string(u.Reach), u.Name)
			if err != nil {
				return err
			}
			out[i].ID, out[i].Chunks, out[i].Words, out[i].Sealed = row.Int(0), row.Int(1), row.Int(2), row.Int(3)
		}
		return nil
	})
}

// readUnits looks the units up; those that are not there have no id.
func (e *Engine) readUnits(ctx context.Context, units []store.Unit) ([]store.Found, error) {
	q, err := e.db.Prepared(ctx, unitByName) //nolint:sqlclosecheck // the database closes it
	if err != nil {
		return nil, err
	}
	out := make([]store.Found, len(units))
	for i, u := range units {
		out[i].Unit = u
		err := q.QueryRowContext(ctx, u.Workspace, string(u.Reach), u.Name).Scan(&out[i].ID, &out[i].Chunks, &out[i].Words, &out[i].Sealed)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
	}
	return out, nil
}

// UnitsOf implements store.Engine.
func (e *Engine) UnitsOf(ctx context.Context, workspace string) ([]store.Found, error) {
	rows, err := e.db.Reader().QueryContext(ctx, `SELECT id, reach, name, chunks, words, sealed FROM memory_unit WHERE workspace = ? ORDER BY id`, workspace)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []store.Found
	for rows.Next() {
		f := store.Found{Unit: store.Unit{Workspace: workspace}}
		if err := rows.Scan(&f.ID, &f.Reach, &f.Name, &f.Chunks, &f.Words, &f.Sealed); err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, rows.Err()
}

// Rename implements store.Engine. Where there is something under the new name
// already, it takes what is under the old one in.
func (e *Engine) Rename(ctx context.Context, workspace string, reach memory.Reach, from, to string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	merged := false
	err := e.change(ctx, func(tx *db.Tx) error {
		merged = false
		old, found, err := tx.One(unitByName, workspace, string(reach), from)
		if err != nil || !found || from == to {
			return err
		}
		next, found, err := tx.One(unitByName, workspace, string(reach), to)
		if err != nil {
			return err
		}
		if !found {
			_, _, err := tx.Exec(`UPDATE memory_unit SET name = ? WHERE id = ?`, to, old.Int(0))
			return err
		}
		merged = true
		return merge(tx, old, next.Int(0))
	})
	if err == nil && merged {
		e.model, e.signs = 0, nil // they are read again, by their new unit
	}
	return err
}

// merge gives all of one unit to another.
func merge(tx *db.Tx, old db.Row, to int64) error {
	from := old.Int(0)
	x, err := indexOf(tx)
	if err != nil {
		return err
	}
	bodies := map[int64][]byte{}
	if err := tx.Query(func(r db.Row) error {
		bodies[r.Int(0)] = r.Blob(1)
		return nil
	}, `SELECT id, body FROM memory_chunk WHERE unit = ? AND sealed = 0`, from); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(bodies)) {
		if err := x.drop(id, from, bodies[id]); err != nil {
			return err
		}
		if err := x.add(id, to, words.Split(string(bodies[id]))); err != nil {
			return err
		}
	}
	for _, q := range []string{
		`UPDATE memory_item SET unit = ? WHERE unit = ?`,
		`UPDATE memory_chunk SET unit = ? WHERE unit = ?`,
		`UPDATE memory_vector SET unit = ? WHERE unit = ?`,
	} {
		if _, _, err := tx.Exec(q, to, from); err != nil {
			return err
		}
	}
	if err := tally(tx, to, old.Int(1), old.Int(2), old.Int(3)); err != nil {
		return err
	}
	_, _, err = tx.Exec(`DELETE FROM memory_unit WHERE id = ?`, from)
	return err
}

// tally adds to the counts of a unit.
func tally(tx *db.Tx, unit, chunks, words, sealed int64) error {
	_, _, err := tx.Exec(`UPDATE memory_unit SET chunks = chunks + ?, words = words + ?, sealed = sealed + ? WHERE id = ?`, chunks, words, sealed, unit)
	return err
}
