//go:build !linux

package e2e_test

import "os/exec"

// spawn starts a process. Where the kernel cannot end it with this one, the
// test's clean-up does.
func spawn(cmd *exec.Cmd) error { return cmd.Start() }

// tracedMain has nothing to do where no process is traced.
func tracedMain() {}
