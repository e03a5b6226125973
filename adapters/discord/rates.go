package discord

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// buckets are the platform's limits as its answers tell them. Calls that share a
// limit share a bucket, whose name a header gives; until it is known, a route
// is a bucket of its own. The methods may be called concurrently.
type buckets struct {
	mu     sync.Mutex
	names  map[string]string // bucket by kind of call
	at     map[string]*bucket
	global time.Time // nothing goes out before
}

type bucket struct {
	left  int
	reset time.Time
}

// maxBuckets bounds what is remembered; what is forgotten, the platform tells again.
const maxBuckets = 10_000

// key is the bucket of a route: the kind of call, and the place that its limit
// counts for.
func (b *buckets) key(route string) string {
	i := strings.LastIndexByte(route, ' ')
	kind, place := route[:i], route[i:]
	if name := b.names[kind]; name != "" {
		kind = name
	}
	return kind + place
}

// take takes one call of a route, or says how long to wait before there is one.
// Calls with a limit of their own leave the global one alone.
func (b *buckets) take(route string, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait := b.global.Sub(now); wait > 0 && !strings.HasPrefix(route, "POST callback") && !strings.HasPrefix(route, "PATCH reply") {
		return wait
	}
	k := b.at[b.key(route)]
	if k == nil {
		return 0
	}
	if wait := k.reset.Sub(now); wait <= 0 {
		delete(b.at, b.key(route))
		return 0
	} else if k.left <= 0 {
		return wait
	}
	k.left--
	return 0
}

// room makes room for one more. The caller holds the lock.
func (b *buckets) room() {
	if b.at == nil || len(b.at) >= maxBuckets || len(b.names) >= maxBuckets {
		b.at, b.names = map[string]*bucket{}, map[string]string{}
	}
}

// learn reads the headers of an answer.
func (b *buckets) learn(route string, h http.Header, now time.Time) {
	left, err := strconv.Atoi(h.Get("X-Ratelimit-Remaining"))
	after, err2 := strconv.ParseFloat(h.Get("X-Ratelimit-Reset-After"), 64)
	if err != nil || err2 != nil || after < 0 || after > 3600 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.room()
	if name := h.Get("X-Ratelimit-Bucket"); name != "" {
		b.names[route[:strings.LastIndexByte(route, ' ')]] = name
	}
	reset := now.Add(time.Duration(after * float64(time.Second)))
	if k := b.at[b.key(route)]; k != nil && now.Before(k.reset) {
		left = min(left, k.left) // calls that are under way count already
	}
	b.at[b.key(route)] = &bucket{left: left, reset: reset}
}

// halt notes that the platform asked for a pause of everything. A pause of one
// place is kept by the gateway, which waits as long as the error says.
func (b *buckets) halt(wait time.Duration, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.global = now.Add(wait)
}
