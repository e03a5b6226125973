// Package cputest measures benchmarks by the processor time that they take:
// other programs on the machine change it little, while what a clock shows on a
// busy machine is mostly their doing.
package cputest

import (
	"runtime"
	"slices"
	"testing"
	"time"
)

// Loop calls f as often as the benchmark asks, and reports the processor time of
// a call, what other goroutines of the process do meanwhile included.
func Loop(b *testing.B, f func()) {
	b.Helper()
	b.ReportAllocs()
	from := Process()
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(Process()-from)/float64(b.N), "cpu-ns/op")
}

// Rate is Loop for what is measured in bytes a second.
func Rate(b *testing.B, bytes int, f func()) {
	b.Helper()
	b.SetBytes(int64(bytes))
	from := Process()
	for b.Loop() {
		f()
	}
	if took := Process() - from; took > 0 {
		b.ReportMetric(float64(bytes)*float64(b.N)/1e6/took.Seconds(), "cpu-MB/s")
	}
}

// Tail reports the processor time of the slowest of a hundred calls beside that
// of the median. It is that of the calling thread alone.
func Tail(b *testing.B, f func()) {
	b.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var took []time.Duration
	for b.Loop() {
		from := thread()
		f()
		took = append(took, thread()-from)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e3, "p50-cpu-µs")
	b.ReportMetric(float64(took[len(took)*99/100])/1e3, "p99-cpu-µs")
}
