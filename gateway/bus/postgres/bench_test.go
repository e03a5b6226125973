package postgres_test

import (
	"context"
	"testing"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/bustest"
	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
)

func BenchmarkBus(b *testing.B) {
	bustest.Benchmark(b, func(b *testing.B) (bus.Engine, func() int64) {
		e, err := open(context.Background(), pgtest.DSN(b))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := e.Close(); err != nil {
				b.Error(err)
			}
		})
		return e, nil
	})
}
