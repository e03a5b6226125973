//go:build unix

package main

import (
	"os"
	"path/filepath"
	"syscall"
)

// freeSpace is what this user may still write below a folder, in bytes; the
// folder need not exist yet.
func freeSpace(dir string) (uint64, error) {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil //nolint:gosec // never negative; its type differs between systems
}
