//go:build unix

package postgres_test

import (
	"context"
	"testing"

	"github.com/gatehouse-chat/gatehouse/gateway/bus/bustest"
	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
)

func TestProcesses(t *testing.T) {
	dsn := pgtest.DSN(t)
	e, err := open(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	bustest.RunProcesses(t, e, dsn)
}
