package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// inside prepares a program that runs with tree as its root, as an ordinary
// user, and that is told to end when the supervisor's thread ends.
//
// As root it changes to the user outright. Anybody else enters a user
// namespace in which their own files belong to that user.
func inside(ctx context.Context, tree, program string, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Err = nil // the program is looked for outside the tree, where it need not exist
	cmd.Dir = "/"
	cmd.Env = []string{"LC_ALL=C.UTF-8", "PATH=" + binDir + ":/usr/bin", "HOME=/srv", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: tree, Setsid: true, Pdeathsig: syscall.SIGQUIT}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: uid}
		return cmd, nil
	}
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getuid(), Size: 1}}
	cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getgid(), Size: 1}}
	return cmd, nil
}

// own gives a file to the user that the server runs as.
func own(path string) error {
	if os.Getuid() != 0 {
		return nil // the namespace shows our own files as that user's
	}
	if err := os.Lchown(path, uid, uid); err != nil {
		return fmt.Errorf("server tree: %w", err)
	}
	return nil
}

// device makes a character device of the memory class. Where that is not
// allowed, an empty file that anybody may write serves as well: Postgres only
// sends things to /dev/null, and takes its random bytes from the kernel.
func device(path string, minor uint32) error {
	const memory = 1
	err := syscall.Mknod(path, syscall.S_IFCHR|0o666, memory<<8|int(minor))
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(path, os.O_RDWR, 0); err == nil {
			return errors.Join(os.Chmod(path, 0o666), f.Close())
		}
		_ = os.Remove(path)
	}
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		return fmt.Errorf("device: %w", err)
	}
	return os.Chmod(path, 0o666)
}

// detached puts the supervisor into a session of its own.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
