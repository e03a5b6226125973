package slack

import (
	"sync"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// pending remembers, for each place, the newest message that means the bot, so
// that it can be marked, and a status be shown below it, when work on it begins.
// It is a courtesy: it forgets when the process ends, and drops everything when
// too many places are waiting.
type pending struct {
	mu sync.Mutex
	at map[channels.Address]waiting
}

type waiting struct {
	id     channels.MessageID
	marked bool
}

const maxPending = 4096

func (p *pending) add(e *channels.Event) {
	m, ok := e.Content.(channels.Message)
	if !ok || !e.Addressed || e.Who.Bot || e.Who.Self {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == nil || len(p.at) >= maxPending {
		p.at = map[channels.Address]waiting{}
	}
	p.at[e.Where] = waiting{id: m.ID}
}

// take is the newest message there, and whether it is asked for for the first
// time; "" for none.
func (p *pending) take(at channels.Address) (id channels.MessageID, first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.at[at]
	if w.id == "" {
		return "", false
	}
	p.at[at] = waiting{id: w.id, marked: true}
	return w.id, !w.marked
}
