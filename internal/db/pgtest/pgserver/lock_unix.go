//go:build unix

package pgserver

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockShared blocks until it holds a shared lock on the file, which lasts
// until the file is closed.
func lockShared(path string) (*os.File, error) {
	return lock(path, syscall.LOCK_SH)
}

// tryLock takes an exclusive lock, or reports errBusy at once.
func tryLock(path string) (*os.File, error) {
	return lock(path, syscall.LOCK_EX|syscall.LOCK_NB)
}

func lock(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errBusy
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

// isLocked reports whether some process holds the file's exclusive lock.
func isLocked(path string) (bool, error) {
	f, err := lock(path, syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, errBusy) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, f.Close()
}
