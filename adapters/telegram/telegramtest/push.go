package telegramtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The platform's schedule: a failed update is tried again at once, then after 2,
// 4, 8, ... seconds, later every 60 to 120, until it is a day old. Retry-After is
// obeyed up to an hour. A webhook that answers 410 for 23 hours is dropped.
const (
	hookTimeout   = 60 * time.Second
	hookPause     = 60 * time.Second
	maxRetryAfter = time.Hour
	goneLimit     = 23 * time.Hour
)

// dispatch puts an update into its queue and wakes a sender for it. s.mu is held.
func (s *Server) dispatch(u *update) {
	h := &s.hook
	h.queues[u.queue] = append(h.queues[u.queue], u)
	if len(h.queues[u.queue]) > 1 {
		return // the sender of the queue is at work
	}
	sender := &sender{srv: s, ctx: h.ctx, queue: u.queue, client: h.client, slots: h.slots, url: h.url, secret: h.secret}
	s.hooks.Add(1)
	go func() {
		defer s.hooks.Done()
		sender.run()
	}()
}

// sender pushes one queue, in order, until it is empty.
type sender struct {
	srv    *Server
	ctx    context.Context //nolint:containedctx // the life of the webhook, shared by its senders
	queue  int64
	client *http.Client
	slots  chan struct{}
	url    string
	secret string
}

func (p *sender) run() {
	for u := p.head(); u != nil; u = p.head() {
		p.push(u)
	}
}

// head is the first update of the queue, nil when there is none or the webhook
// has ended.
func (p *sender) head() *update {
	s := p.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.ctx.Err() != nil {
		return nil
	}
	if q := s.hook.queues[p.queue]; len(q) > 0 {
		return q[0]
	}
	return nil
}

// push tries one update until it is taken, too old, or the webhook has ended.
func (p *sender) push(u *update) {
	delay := time.Second
	for fails := 0; p.ctx.Err() == nil; fails++ {
		retryAfter, err := p.try(u)
		if err == nil {
			p.done(u)
			return
		}
		if p.ctx.Err() != nil {
			return
		}
		pause := min(retryAfter, maxRetryAfter)
		if retryAfter == 0 && fails > 0 {
			delay = min(2*delay, p.longest())
			pause = delay
		}
		if p.srv.now().Add(pause).After(u.expires) {
			p.done(u)
			return
		}
		if !p.srv.pause(p.ctx, p.srv.options.pace(pause)) {
			return
		}
	}
}

// longest is the pause that the schedule ends with, at random up to twice 60 s.
func (p *sender) longest() time.Duration {
	p.srv.mu.Lock()
	defer p.srv.mu.Unlock()
	return hookPause + time.Duration(p.srv.random.Int64N(int64(hookPause)))
}

func (p *sender) done(u *update) {
	s := p.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.ctx.Err() != nil {
		return
	}
	s.feed.remove(u)
	if rest := s.hook.queues[p.queue][1:]; len(rest) > 0 {
		s.hook.queues[p.queue] = rest
		return
	}
	delete(s.hook.queues, p.queue)
}

// try makes one request. The error is set unless the answer is a 2xx; the
// duration is what the answer asks to wait.
func (p *sender) try(u *update) (time.Duration, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-p.ctx.Done():
		return 0, p.ctx.Err()
	}
	r, err := http.NewRequestWithContext(p.ctx, http.MethodPost, p.url, bytes.NewReader(u.body))
	if err != nil {
		return 0, p.failed(0, err.Error())
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept-Encoding", "gzip, deflate")
	r.Header.Set("User-Agent", "")
	if p.secret != "" {
		r.Header.Set("X-Telegram-Bot-Api-Secret-Token", p.secret)
	}
	resp, err := p.client.Do(r)
	if err != nil {
		return 0, p.failed(0, transportError(err))
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxField))
	_ = resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		wait := time.Duration(max(seconds, 0)) * time.Second
		return wait, p.failed(resp.StatusCode, "Wrong response from the webhook: "+resp.Status)
	}
	p.carryOut(resp.Header.Get("Content-Type"), body)
	return 0, nil
}

// failed notes an error for getWebhookInfo.
func (p *sender) failed(status int, text string) error {
	s := p.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.ctx.Err() != nil {
		return p.ctx.Err()
	}
	now := s.now()
	s.hook.lastError, s.hook.lastErrorAt = text, now
	switch {
	case status != http.StatusGone:
		s.hook.goneSince = time.Time{}
	case s.hook.goneSince.IsZero():
		s.hook.goneSince = now
	case now.Sub(s.hook.goneSince) > goneLimit:
		s.hook.stop()
	}
	return errors.New(text)
}

func transportError(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "Connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "Connection reset by peer"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "Read timeout expired"
	case strings.Contains(err.Error(), "x509") || strings.Contains(err.Error(), "tls:"):
		return "SSL error {error:0A000086:SSL routines::certificate verify failed}"
	}
	return "Webhook connection closed"
}

// carryOut makes the call that the answer of a webhook may hold. Its result goes
// nowhere.
func (p *sender) carryOut(contentType string, body []byte) {
	q := &query{args: map[string]string{}}
	if q.decodeBody(contentType, bytes.NewReader(body), 0) != nil {
		return
	}
	q.name = q.str("method")
	q.method = strings.ToLower(q.name)
	switch {
	case q.method == "" || strings.HasPrefix(q.method, "get"),
		q.method == "setwebhook", q.method == "deletewebhook", q.method == "close", q.method == "logout":
		return
	}
	s := p.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	do, ok := s.methods[q.method]
	if !ok || p.ctx.Err() != nil {
		return
	}
	q.lost = true
	if s.limited(q) == nil {
		_, _ = do(s, q)
	}
}
