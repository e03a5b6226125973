//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// errLocked: another process owns the data folder.
var errLocked = errors.New("another gatehouse uses this data folder")

// lockFolder makes this process the one owner of a data folder, until the
// returned function is called or the process ends, however it ends.
func lockFolder(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator's own folder
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w; call this as the user of the gateway", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w, %s", errLocked, dir)
		}
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	return func() { _ = f.Close() }, nil
}

// makeFolder makes the data folder, for this user alone.
func makeFolder(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("make the data folder: %w; call this as the user of the gateway, or name another folder with --data", err)
	case err != nil:
		return fmt.Errorf("make the data folder: %w; name another folder with --data", err)
	}
	i, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("look at the data folder: %w", err)
	}
	if i.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a folder needs its x bit
			return fmt.Errorf("the data folder %s is open to others and cannot be closed: %w", dir, err)
		}
	}
	return nil
}
