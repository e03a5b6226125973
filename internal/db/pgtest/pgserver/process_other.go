//go:build !linux

package pgserver

import (
	"context"
	"errors"
	"os/exec"
	"syscall"
)

var errNotLinux = errors.New("a server of our own runs on Linux only")

func inside(context.Context, string, string, ...string) (*exec.Cmd, error) { return nil, errNotLinux }
func own(string) error                                                     { return errNotLinux }
func device(string, uint32) error                                          { return errNotLinux }
func detached() *syscall.SysProcAttr                                       { return nil }
