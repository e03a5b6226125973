//go:build unix

package main

import "golang.org/x/sys/unix"

// hideTyping switches a terminal's echo off; lines and the interrupt key are left
// to the terminal. It comes before the prompt: what is pasted the moment the
// prompt appears must not be shown.
func hideTyping(fd int) error {
	t, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return err
	}
	t.Lflag &^= unix.ECHO
	t.Lflag |= unix.ICANON | unix.ISIG
	t.Iflag |= unix.ICRNL
	return unix.IoctlSetTermios(fd, setTermios, t)
}
