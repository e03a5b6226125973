package delivery

import (
	"math/rand/v2"
	"time"
)

// backoff is the pause before try n+1: 0.5 s doubling up to 2 min, with jitter,
// so that what failed together does not come back together.
func backoff(n int) time.Duration {
	d := 500 * time.Millisecond << min(max(n-1, 0), 8)
	d = min(d, 2*time.Minute)
	return d/2 + rand.N(d/2+1) //nolint:gosec // jitter needs no secrecy
}
