package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/bustest"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/sqlite"
	db "github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
	"github.com/gatehouse-chat/gatehouse/migrations"
)

func TestMain(m *testing.M) {
	bustest.Worker(open)
	goleak.VerifyTestMain(m)
}

// open is for several processes on one file. They wait for each other longer than
// those of the product: one that is frozen in a commit, and wakes on a machine that
// has much to do, holds the others up for many seconds.
func open(ctx context.Context, storage string) (bus.Engine, error) {
	d, err := db.Open(ctx, storage, db.Options{BusyTimeout: time.Minute, Schema: func(ctx context.Context, db *sql.DB) error {
		return migrations.Up(ctx, db, migrations.SQLite)
	}})
	if err != nil {
		return nil, err
	}
	return owner{sqlite.New(d, sqlite.Options{}), d}, nil
}

// owner closes the database after the engine.
type owner struct {
	*sqlite.Engine
	db *db.DB
}

func (o owner) Close() error { return errors.Join(o.Engine.Close(), o.db.Close()) }

func TestConformance(t *testing.T) {
	bustest.Run(t, func(t testing.TB) bustest.Harness {
		var clock bustest.Clock
		path := filepath.Join(t.TempDir(), "bus.db")
		return bustest.Harness{
			Open: func(t testing.TB, limit int) bus.Engine {
				e, err := sqlite.Open(context.Background(), path, sqlite.Options{Now: clock.Now, Limit: limit})
				if err != nil {
					t.Fatal(err)
				}
				return e
			},
			Now: clock.Now, Advance: clock.Advance, Shared: true,
		}
	})
}

// TestExclusive runs the suite on an engine that keeps what it can in memory.
func TestExclusive(t *testing.T) {
	bustest.Run(t, func(t testing.TB) bustest.Harness {
		var clock bustest.Clock
		path := filepath.Join(t.TempDir(), "bus.db")
		return bustest.Harness{
			Open: func(t testing.TB, limit int) bus.Engine {
				e, err := sqlite.Open(context.Background(), path, sqlite.Options{Now: clock.Now, Limit: limit, Exclusive: true})
				if err != nil {
					t.Fatal(err)
				}
				return e
			},
			Now: clock.Now, Advance: clock.Advance,
		}
	})
}
