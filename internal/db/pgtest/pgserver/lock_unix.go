//go:build unix

package pgserver

import (
	"errors"
	"fmt"
	"syscall"
)

// fileLock is a lock on a file. It holds a bare descriptor, because an os.File
// is closed by the garbage collector: this lock lasts until it is closed or
// its process ends, whoever still remembers it.
type fileLock struct{ descriptor int }

// Close gives the lock up.
func (l *fileLock) Close() error {
	if err := syscall.Close(l.descriptor); err != nil {
		return fmt.Errorf("unlock: %w", err)
	}
	return nil
}

// lockShared blocks until it holds a shared lock on the file.
func lockShared(path string) (*fileLock, error) {
	return lock(path, syscall.LOCK_SH)
}

// tryLock takes an exclusive lock, or reports errBusy at once.
func tryLock(path string) (*fileLock, error) {
	return lock(path, syscall.LOCK_EX|syscall.LOCK_NB)
}

func lock(path string, how int) (*fileLock, error) {
	descriptor, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CREAT|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	l := &fileLock{descriptor: descriptor}
	for {
		err = syscall.Flock(descriptor, how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err == nil {
		return l, nil
	}
	_ = l.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errBusy
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

// isLocked reports whether some process holds the file's exclusive lock.
func isLocked(path string) (bool, error) {
	l, err := lock(path, syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, errBusy) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, l.Close()
}
