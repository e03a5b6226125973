package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/bustest"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/sqlite"
	db "github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
)

func BenchmarkBus(b *testing.B) {
	bustest.Benchmark(b, func(b *testing.B) (bus.Engine, func() int64) {
		fsync, err := db.FsyncLatency(b.TempDir(), 50)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { b.ReportMetric(float64(fsync.Microseconds()), "fsync-µs") })
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

// BenchmarkOpen measures what a start of the gateway waits for.
func BenchmarkOpen(b *testing.B) {
	start := func(b *testing.B, path string) {
		e, err := sqlite.Open(context.Background(), path, sqlite.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("fresh", func(b *testing.B) {
		for b.Loop() {
			start(b, filepath.Join(b.TempDir(), "bus.db"))
		}
	})
	b.Run("again", func(b *testing.B) {
		path := filepath.Join(b.TempDir(), "bus.db")
		for b.Loop() {
			start(b, path)
		}
	})
}
