// Package open opens the bus that a configuration's "store" names.
package open

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/postgres"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/sqlite"
)

// Options of an engine. The zero value is ready to use.
type Options struct {
	Now   func() time.Time // nil: time.Now; Postgres keeps its own time
	Limit int              // waiting records of a channel and queue at which Publish answers bus.ErrFull; 0: none
	Log   *slog.Logger     // nil: nothing is logged
	// Exclusive says that no other process uses a SQLite file, so that leases
	// of a dead one are taken over at once.
	Exclusive bool
}

// Open opens a SQLite file by its path, or a Postgres database by its
// postgres:// URL, and brings its schema up to date.
func Open(ctx context.Context, store string, o Options) (bus.Engine, error) {
	if strings.HasPrefix(store, "postgres://") || strings.HasPrefix(store, "postgresql://") {
		return postgres.Open(ctx, store, postgres.Options{Limit: o.Limit, Log: o.Log})
	}
	e, err := sqlite.Open(ctx, store, sqlite.Options{Now: o.Now, Limit: o.Limit, Log: o.Log})
	if err != nil {
		return nil, err
	}
	if o.Exclusive {
		if err := e.Reclaim(ctx); err != nil {
			return nil, errors.Join(err, e.Close())
		}
	}
	return e, nil
}
