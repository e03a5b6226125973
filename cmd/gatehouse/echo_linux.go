package main

import "golang.org/x/sys/unix"

// How Linux asks for and changes a terminal's settings.
const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS
)
