// Package e2e holds the tests and the benchmarks of the whole: the real binary
// in a process of its own, between an emulator of the platform and a scripted
// model. What the emulator saw delivered decides; the gateway's own word counts
// for nothing.
//
// The package has no code beside its tests. Set GATEHOUSE_SOAK=1 for the crash
// test at full length and GATEHOUSE_SEED to repeat a run's random moments.
package e2e
