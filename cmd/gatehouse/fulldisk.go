package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// fullBelow is how little free space, in bytes, counts as none: a database wants
// more than one page at a time.
const fullBelow = 1 << 20

// ofFullDisk says that the disk is full where that is why a verb failed: what the
// database calls it is no help.
func ofFullDisk(err error, f flags) error {
	if err == nil {
		return nil
	}
	full := errors.Is(err, syscall.ENOSPC)
	for _, sign := range []string{"disk I/O error", "database or disk is full", "no space left on device"} {
		full = full || strings.Contains(err.Error(), sign)
	}
	if !full {
		return err
	}
	data, unknown := dataFolder(f)
	if unknown != nil {
		return err
	}
	if free, unknown := freeSpace(data); unknown != nil || free >= fullBelow {
		return err
	}
	return fmt.Errorf("the disk is full: nothing can be written to %s; make room there, and do it again (%w)", data, err)
}
