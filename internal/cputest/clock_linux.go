package cputest

import (
	"time"

	"golang.org/x/sys/unix"
)

// Process is the processor time that this process has used.
func Process() time.Duration { return read(unix.CLOCK_PROCESS_CPUTIME_ID) }

func thread() time.Duration { return read(unix.CLOCK_THREAD_CPUTIME_ID) }

func read(clock int32) time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(clock, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
