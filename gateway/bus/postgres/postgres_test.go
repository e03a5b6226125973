package postgres_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/bustest"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/postgres"
	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
)

func TestMain(m *testing.M) {
	bustest.Worker(open)
	goleak.VerifyTestMain(m)
}

func open(ctx context.Context, storage string) (bus.Engine, error) {
	return postgres.Open(ctx, storage, postgres.Options{})
}

func TestConformance(t *testing.T) {
	bustest.Run(t, func(t testing.TB) bustest.Harness {
		var clock bustest.Clock
		dsn := pgtest.DSN(t)
		return bustest.Harness{
			Open: func(t testing.TB, limit int) bus.Engine {
				e, err := postgres.Open(context.Background(), dsn, postgres.Options{Skew: clock.Skew, Limit: limit})
				if err != nil {
					t.Fatal(err)
				}
				return e
			},
			Now: clock.Now, Advance: clock.Advance, Shared: true,
		}
	})
}
