//go:build !unix

package pgserver

import (
	"errors"
	"os"
)

var errNoLocks = errors.New("a server of our own needs the file locks of a Unix system")

func lockShared(string) (*os.File, error) { return nil, errNoLocks }
func tryLock(string) (*os.File, error)    { return nil, errNoLocks }
func isLocked(string) (bool, error)       { return false, errNoLocks }
