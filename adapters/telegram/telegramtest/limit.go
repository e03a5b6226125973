package telegramtest

import (
	"strings"
	"time"
)

// Limits are rates of sends and edits beyond which calls are answered with 429.
// Zero is no limit.
type Limits struct {
	Token int // a second, over all chats
	Chat  int // a second, in one chat
	Group int // a minute, in one group
}

// PlatformLimits are the rates that Telegram's FAQ names. The platform lets short
// bursts pass; the emulator does not.
func PlatformLimits() Limits { return Limits{Token: 30, Chat: 1, Group: 20} }

// limiter remembers the calls of the last minute.
type limiter struct {
	limits Limits
	token  window
	chats  map[string]*window
	groups map[string]*window
}

// window holds the times of calls, oldest first.
type window []time.Time

// wait says how long until one more call fits n calls in span.
func (w *window) wait(now time.Time, n int, span time.Duration) time.Duration {
	for len(*w) > 0 && now.Sub((*w)[0]) >= span {
		*w = (*w)[1:]
	}
	if n == 0 || len(*w) < n {
		return 0
	}
	return span - now.Sub((*w)[len(*w)-n])
}

// SetLimits turns the rate limits on; the zero value turns them off. Calls made
// before do not count.
func (s *Server) SetLimits(l Limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits = nil
	if l != (Limits{}) {
		s.limits = &limiter{limits: l, chats: map[string]*window{}, groups: map[string]*window{}}
	}
}

func counted(method string) bool {
	return method != "sendchataction" && method != "sendmessagedraft" &&
		(strings.HasPrefix(method, "send") || strings.HasPrefix(method, "edit"))
}

// limited counts a call, or says when it may come again. s.mu is held.
func (s *Server) limited(q *query) error {
	l := s.limits
	if l == nil || !counted(q.method) {
		return nil
	}
	now, chat := s.now(), q.str("chat_id")
	own := windowOf(l.chats, chat)
	wait := max(l.token.wait(now, l.limits.Token, time.Second), own.wait(now, l.limits.Chat, time.Second))
	var group *window
	if strings.HasPrefix(chat, "-") || strings.HasPrefix(chat, "@") {
		group = windowOf(l.groups, chat)
		wait = max(wait, group.wait(now, l.limits.Group, time.Minute))
	}
	if wait > 0 {
		return tooManyRequests(int((wait + time.Second - 1) / time.Second))
	}
	l.token = append(l.token, now)
	*own = append(*own, now)
	if group != nil {
		*group = append(*group, now)
	}
	return nil
}

func windowOf(all map[string]*window, chat string) *window {
	w, ok := all[chat]
	if !ok {
		w = &window{}
		all[chat] = w
	}
	return w
}
