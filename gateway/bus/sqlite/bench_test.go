package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/bustest"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/sqlite"
)

func BenchmarkBus(b *testing.B) {
	bustest.Benchmark(b, func(b *testing.B) (bus.Engine, func() int64) {
		e, err := sqlite.Open(context.Background(), filepath.Join(b.TempDir(), "bus.db"), sqlite.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := e.Close(); err != nil {
				b.Error(err)
			}
		})
		return e, e.DB().Commits
	})
}
