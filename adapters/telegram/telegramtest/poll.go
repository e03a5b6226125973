package telegramtest

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"time"
)

// poll is a getUpdates call that waits for an update.
type poll struct {
	wake  chan struct{}
	abort chan abortion
}

// abortion ends a poll with err, after a pause.
type abortion struct {
	err   error
	after time.Duration
}

func newPoll() *poll {
	return &poll{wake: make(chan struct{}, 1), abort: make(chan abortion, 1)}
}

func (p *poll) rouse() {
	if p == nil {
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// maxPoll is the longest that the platform lets a poll wait.
const maxPoll = 50

// The platform slows down a bot that asks for the same again and again.
const (
	samePollPause  = 3 * time.Second
	samePollSingle = 500 * time.Millisecond
	conflictPause  = 3 * time.Second
)

const (
	conflictHook   = "can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
	conflictPoll   = "terminated by other getUpdates request; make sure that only one bot instance is running"
	conflictSetter = "terminated by setWebhook request"
)

// getUpdates answers at once when there is something, else it waits.
func (s *Server) getUpdates(ctx context.Context, q *query) (any, error) {
	s.mu.Lock()
	if s.hook.active() {
		s.mu.Unlock()
		return nil, conflict(conflictHook)
	}
	offset := q.clamped("offset", 0, math.MinInt32, math.MaxInt32)
	limit := int(q.clamped("limit", 100, 1, 100))
	timeout := time.Duration(q.clamped("timeout", 0, 0, maxPoll)) * time.Second
	s.feed.allow(q.str("allowed_updates"))
	s.slowDown(offset, &limit, &timeout)
	s.skipTo(offset)
	if body := s.batch(offset, limit); body != nil || timeout == 0 {
		s.mu.Unlock()
		return batchOrNone(body), nil
	}
	s.abortPoll(conflictPoll)
	own := newPoll()
	s.feed.poll = own
	s.mu.Unlock()
	return s.waitForUpdate(ctx, own, offset, limit, timeout)
}

// slowDown applies the platform's penalty for asking the same twice.
func (s *Server) slowDown(offset int64, limit *int, timeout *time.Duration) {
	now := time.Now()
	same := offset == s.feed.lastOffset && !s.options.noPenalty
	since := now.Sub(s.feed.lastAsked)
	s.feed.lastOffset, s.feed.lastAsked = offset, now
	if same && since < samePollPause {
		*timeout = max(*timeout, samePollPause)
	}
	if same && since < samePollSingle {
		*limit = 1
	}
}

// skipTo confirms what offset says. One that lies far in the future is taken
// for a mistake.
func (s *Server) skipTo(offset int64) {
	s.feed.expire(s.now())
	switch {
	case offset < 0:
		s.feed.keepLast(int(-offset))
	case offset > 0 && offset <= s.feed.last+11:
		s.feed.confirm(offset)
	}
}

// batch is the JSON array of the first pending updates from offset, nil when
// there are none.
func (s *Server) batch(offset int64, limit int) json.RawMessage {
	s.feed.expire(s.now())
	if len(s.feed.pending) == 0 {
		return nil
	}
	var out bytes.Buffer
	out.WriteByte('[')
	left := 4 << 20
	for i, u := range s.feed.pending {
		left -= 50 + len(u.body)
		if i == limit || left <= 0 && i > 0 {
			break
		}
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(u.body)
		u.forced = false
	}
	out.WriteByte(']')
	return out.Bytes()
}

func batchOrNone(body json.RawMessage) json.RawMessage {
	if body == nil {
		return json.RawMessage("[]")
	}
	return body
}

// abortPoll ends the poll that waits, at once or, so that two bots do not chase
// each other, 3 s later.
func (s *Server) abortPoll(text string) {
	if s.feed.poll == nil {
		return
	}
	now := time.Now()
	end := abortion{err: conflict(text)}
	if now.Before(s.feed.nextConflictAt) {
		end.after = conflictPause
	} else {
		s.feed.nextConflictAt = now.Add(conflictPause)
	}
	s.feed.poll.abort <- end
	s.feed.poll = nil
}

func (s *Server) waitForUpdate(ctx context.Context, own *poll, offset int64, limit int, timeout time.Duration) (any, error) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		expired := false
		select {
		case <-own.wake:
		case <-timer.C:
			expired = true
		case end := <-own.abort:
			if !s.pause(ctx, end.after) {
				return nil, errGone
			}
			return nil, end.err
		case <-ctx.Done():
			s.dropPoll(own)
			return nil, errGone
		}
		s.mu.Lock()
		if s.feed.poll != own { // aborted meanwhile
			s.mu.Unlock()
			continue
		}
		body := s.batch(offset, limit)
		if body != nil || expired {
			s.feed.poll = nil
			s.mu.Unlock()
			return batchOrNone(body), nil
		}
		s.mu.Unlock()
	}
}

func (s *Server) dropPoll(own *poll) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.feed.poll == own {
		s.feed.poll = nil
	}
}

// pause waits for d and says whether the caller is still there.
func (s *Server) pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.closed:
	}
	return false
}
