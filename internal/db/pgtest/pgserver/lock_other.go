//go:build !unix

package pgserver

import "errors"

var errNoLocks = errors.New("a server of our own needs the file locks of a Unix system")

type fileLock struct{}

func (*fileLock) Close() error { return errNoLocks }

func lockShared(string) (*fileLock, error) { return nil, errNoLocks }
func tryLock(string) (*fileLock, error)    { return nil, errNoLocks }
func isLocked(string) (bool, error)        { return false, errNoLocks }
