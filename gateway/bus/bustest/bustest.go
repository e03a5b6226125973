// Package bustest is the conformance suite of the bus: every engine runs it, in
// the manner of fstest.TestFS. Each sentence of the contract has its case here,
// and so has each bug that was found in an engine.
package bustest

import (
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

// Harness is one storage and the means to open engines on it.
type Harness struct {
	// Open opens an engine with a backlog limit (0: none). The suite closes it.
	// Each call opens another engine on the same storage, as a second replica or
	// a restart would, if Shared; else the suite calls it once.
	Open func(t testing.TB, limit int) bus.Engine
	// Now is the engines' clock: real time plus what Advance added.
	Now func() time.Time
	// Advance moves the engines' clock forward.
	Advance func(time.Duration)
	// Shared says that engines opened on the storage see the same records.
	Shared bool
}

// Clock is a clock that runs with real time and can be moved forward. Its zero
// value shows the real time.
type Clock struct{ skew atomicDuration }

// Now returns the time that the clock shows.
func (c *Clock) Now() time.Time { return time.Now().Add(c.skew.load()) }

// Skew returns by how much the clock is ahead of the real time.
func (c *Clock) Skew() time.Duration { return c.skew.load() }

// Advance moves the clock forward. Waiting leases notice within a second.
func (c *Clock) Advance(d time.Duration) { c.skew.add(d) }

// Run runs the suite. newHarness is called for each case and cleans up after
// itself.
func Run(t *testing.T, newHarness func(t testing.TB) Harness) {
	for _, group := range []struct {
		name  string
		cases []testCase
	}{
		{"publish", publishCases},
		{"lease", leaseCases},
		{"wait", waitCases},
		{"hold", holdCases},
		{"settle", settleCases},
		{"state", stateCases},
		{"desk", deskCases},
		{"sweep", sweepCases},
		{"share", shareCases},
		{"stress", stressCases},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.cases {
				t.Run(c.name, func(t *testing.T) {
					h := newHarness(t)
					if c.shared && !h.Shared {
						t.Skip("this engine's storage dies with it")
					}
					c.run(newBench(t, h, c.limit))
				})
			}
		})
	}
}

type testCase struct {
	name   string
	limit  int  // of the engine's backlog
	shared bool // needs a storage that several engines share
	run    func(b *bench)
}
