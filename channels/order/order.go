// Package order keeps what a platform posts in parallel requests in the order of
// each conversation, while everything else goes on at the same time.
package order

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// longestWait bounds how long a request is waited for until it has been read. One
// that takes longer is overtaken: platforms wait three seconds for an answer, and
// would send again what was held up.
const longestWait = 2 * time.Second

// Line gives each request a place as it arrives, and lets the events of one
// conversation be accepted by one request after the other, in the order of their
// places. The zero Line is ready. Its methods may be called concurrently.
type Line struct {
	mu     sync.Mutex
	unread []*Place            // those of which it is not known yet what they say, in order
	rooms  map[string][]*Place // in each conversation; the first is in
}

// Place is where a request stands in a line. It is used by one goroutine.
type Place struct {
	l     *Line
	since time.Time
	read  chan struct{} // closed when it has entered, or has left
	in    []string      // the conversations
	ahead int           // conversations in which somebody is before it
	turn  chan struct{} // closed when nobody is
}

// Arrive takes the next place, before what the request says is read. Leave must
// be called in the end.
func (l *Line) Arrive() *Place {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &Place{l: l, since: time.Now(), read: make(chan struct{}), turn: make(chan struct{})}
	l.unread = append(l.unread, p)
	return p
}

// Enter waits until the requests before have been read, though not for long, and
// then for its turn in every conversation of the events. It is called once, and
// fails when ctx ends.
func (p *Place) Enter(ctx context.Context, events []channels.Event) error {
	if len(events) == 0 {
		return nil
	}
	for _, e := range events {
		if at := e.Where.Order(); !slices.Contains(p.in, at) {
			p.in = append(p.in, at)
		}
	}
	for before := p.before(); before != nil; before = p.before() {
		if err := before.awaited(ctx); err != nil {
			p.in = nil
			return err
		}
	}
	p.join()
	select {
	case <-p.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// before is the nearest one that arrived earlier and has not been read, though
// it is not too late yet; nil: there is none.
func (p *Place) before() *Place {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	for _, x := range slices.Backward(p.l.unread[:slices.Index(p.l.unread, p)]) {
		if time.Since(x.since) < longestWait {
			return x
		}
	}
	return nil
}

// awaited waits until a place has been read, or it is too late.
func (p *Place) awaited(ctx context.Context) error {
	late := time.NewTimer(time.Until(p.since.Add(longestWait)))
	defer late.Stop()
	select {
	case <-p.read:
	case <-late.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// join queues up in all conversations at once, so that nobody waits in a circle.
func (p *Place) join() {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	if p.l.rooms == nil {
		p.l.rooms = map[string][]*Place{}
	}
	for _, at := range p.in {
		if len(p.l.rooms[at]) > 0 {
			p.ahead++
		}
		p.l.rooms[at] = append(p.l.rooms[at], p)
	}
	if p.ahead == 0 {
		close(p.turn)
	}
	p.passedLocked()
}

// passedLocked tells those who came next that this one has been read.
func (p *Place) passedLocked() {
	if i := slices.Index(p.l.unread, p); i >= 0 {
		p.l.unread = slices.Delete(p.l.unread, i, i+1)
		close(p.read)
	}
}

// Leave gives the place up, whether it was entered or not. More than one call is
// the same as one.
func (p *Place) Leave() {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	p.passedLocked()
	for _, at := range p.in {
		p.l.leave(at, p)
	}
	p.in = nil
}

// leave takes a place out of one conversation and lets the next one in.
func (l *Line) leave(at string, p *Place) {
	queue := l.rooms[at]
	i := slices.Index(queue, p)
	queue = slices.Delete(queue, i, i+1)
	if len(queue) == 0 {
		delete(l.rooms, at)
		return
	}
	l.rooms[at] = queue
	if i > 0 {
		return
	}
	next := queue[0]
	if next.ahead--; next.ahead == 0 {
		close(next.turn)
	}
}
