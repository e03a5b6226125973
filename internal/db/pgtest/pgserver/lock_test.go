package pgserver_test

import (
	"errors"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest/pgserver"
)

// TestForgottenLockIsHeld keeps the server from stopping under a process that
// remembers its URL but not its reference.
func TestForgottenLockIsHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	free, err := pgserver.TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	if err := pgserver.Forget(path); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		runtime.GC()
	}
	if _, err := pgserver.TryLock(path); !errors.Is(err, pgserver.ErrBusy) {
		t.Errorf("the lock was given up: %v", err)
	}
}
