package delivery

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// limiter keeps a platform's rates: one for the token, one for each
// conversation. A nil limiter lets everything through.
type limiter struct {
	rates channels.Rate

	mu     sync.Mutex
	token  *rate.Limiter
	places map[string]*place
}

type place struct {
	*rate.Limiter
	blocked time.Time // the platform asked to wait until then
	used    time.Time
}

// placesKept bounds the memory of conversations that were sent to.
const placesKept = 4096

func newLimiter(r channels.Rate) *limiter {
	l := &limiter{rates: r, places: map[string]*place{}}
	if r.Token.N > 0 {
		l.token = rate.NewLimiter(rate.Limit(r.Token.N), max(1, r.Token.Burst))
	}
	return l
}

// take returns zero when a send may go now, else how long to wait before
// asking again. Nothing is used up while it has to wait.
func (l *limiter) take(order string, direct bool, now time.Time) time.Duration {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.place(order, direct, now)
	if p.blocked.After(now) {
		return p.blocked.Sub(now)
	}
	own := p.ReserveN(now, 1)
	if d := own.DelayFrom(now); d > 0 {
		own.CancelAt(now)
		return d
	}
	if l.token == nil {
		return 0
	}
	all := l.token.ReserveN(now, 1)
	if d := all.DelayFrom(now); d > 0 {
		all.CancelAt(now)
		own.CancelAt(now)
		return d
	}
	return 0
}

// spare reports whether a lossy send may go: it leaves room for real ones.
func (l *limiter) spare(order string, direct bool, now time.Time) bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	tight := l.token != nil && l.token.TokensAt(now) < float64(1+l.rates.Reserve)
	l.mu.Unlock()
	return !tight && l.take(order, direct, now) == 0
}

// refused notes that the platform asked to wait, for one conversation.
func (l *limiter) refused(order string, direct bool, now time.Time, wait time.Duration) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.place(order, direct, now).blocked = now.Add(wait)
}

func (l *limiter) place(order string, direct bool, now time.Time) *place {
	p := l.places[order]
	if p == nil {
		if len(l.places) >= placesKept {
			l.prune(now)
		}
		per := l.rates.Room
		if direct {
			per = l.rates.Direct
		}
		lim := rate.Inf
		if per.N > 0 {
			lim = rate.Limit(per.N)
		}
		p = &place{Limiter: rate.NewLimiter(lim, max(1, per.Burst))}
		l.places[order] = p
	}
	p.used = now
	return p
}

// prune forgets conversations whose allowance is full again anyway.
func (l *limiter) prune(now time.Time) {
	for k, p := range l.places {
		if now.Sub(p.used) > 2*time.Minute && p.blocked.Before(now) {
			delete(l.places, k)
		}
	}
}
