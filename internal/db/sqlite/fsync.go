package sqlite

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// FsyncLatency writes a page to a temporary file in dir and syncs it, n times,
// and returns the median time of a sync: what every commit waits for at least.
// Benchmarks print it beside their figures.
func FsyncLatency(dir string, n int) (_ time.Duration, err error) {
	f, err := os.CreateTemp(dir, "fsync-*")
	if err != nil {
		return 0, fmt.Errorf("sqlite: measure fsync: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	page := make([]byte, 4096)
	times := make([]time.Duration, 0, n)
	for range max(n, 1) {
		if _, err := f.Write(page); err != nil {
			return 0, fmt.Errorf("sqlite: measure fsync: %w", err)
		}
		start := time.Now()
		if err := f.Sync(); err != nil {
			return 0, fmt.Errorf("sqlite: measure fsync: %w", err)
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}
