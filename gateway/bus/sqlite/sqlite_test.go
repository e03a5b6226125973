package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/bustest"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/sqlite"
)

func TestMain(m *testing.M) {
	bustest.Worker(open)
	goleak.VerifyTestMain(m)
}

func open(ctx context.Context, storage string) (bus.Engine, error) {
	return sqlite.Open(ctx, storage, sqlite.Options{})
}

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
