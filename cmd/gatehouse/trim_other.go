//go:build !linux

package main

import "runtime/debug"

// dropStart gives back the memory that only the start has used.
func dropStart() { debug.FreeOSMemory() }
