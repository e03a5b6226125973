//go:build unix

package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/gatehouse-chat/gatehouse/gateway/bus/bustest"
)

func TestProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus.db")
	e, err := open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	bustest.RunProcesses(t, e, path)
}
