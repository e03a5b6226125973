package main

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// swapFolders puts fresh in the place of data, in one step, and returns where
// the former folder is.
func swapFolders(fresh, data string) (before string, err error) {
	before = formerName(data)
	if err := os.Remove(fresh + "/" + halfDone); err != nil {
		return "", err
	}
	err = unix.Renameat2(unix.AT_FDCWD, fresh, unix.AT_FDCWD, data, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // a file system that cannot
		return before, errors.Join(os.Rename(data, before), os.Rename(fresh, data))
	}
	if err != nil {
		return "", err
	}
	return before, os.Rename(fresh, before)
}
