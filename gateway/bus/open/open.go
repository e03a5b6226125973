// Package open chooses the engine of the bus by the store that the
// configuration names.
package open

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/postgres"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/sqlite"
)

// Options of an engine. The zero value is ready to use.
type Options struct {
	Limit int          // waiting records of a channel and queue at which Publish answers ErrFull; 0: none
	Log   *slog.Logger // nil: none
	// Exclusive says that no other process uses a SQLite file; see sqlite.Options.
	Exclusive bool
}

// Open opens the engine for store: a postgres:// URL, or the path of a SQLite
// file, which is made when it does not exist. It brings the schema up to date.
// No error that it returns shows a password.
func Open(ctx context.Context, store string, o Options) (bus.Engine, error) {
	if IsPostgres(store) {
		e, err := postgres.Open(ctx, store, postgres.Options{Limit: o.Limit, Log: o.Log})
		if err != nil {
			return nil, fmt.Errorf("open the store: %w", err)
		}
		return e, nil
	}
	if store == "" || strings.Contains(store, "://") {
		return nil, errors.New("open the store: neither a postgres:// URL nor the path of a file")
	}
	e, err := sqlite.Open(ctx, filepath.Clean(store), sqlite.Options{Limit: o.Limit, Log: o.Log, Exclusive: o.Exclusive})
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	return e, nil
}

// IsPostgres reports whether store is the URL of a Postgres database.
func IsPostgres(store string) bool {
	return strings.HasPrefix(store, "postgres://") || strings.HasPrefix(store, "postgresql://")
}
