//go:build !linux

package cputest

import "time"

// Process is not measured here.
func Process() time.Duration { return 0 }

func thread() time.Duration { return 0 }
