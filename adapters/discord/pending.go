package discord

import (
	"sync"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// pending remembers, for each place, the newest message that means the bot, so
// that the reaction that acknowledges it can be set when work on it begins. It
// is a courtesy: it forgets when the process ends, and drops everything when
// too many places are waiting.
type pending struct {
	mu sync.Mutex
	at map[channels.Address]channels.MessageID
}

const maxPending = 4096

func (p *pending) add(e *channels.Event) {
	m, ok := e.Content.(channels.Message)
	if !ok || !e.Addressed || e.Who.Bot {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == nil || len(p.at) >= maxPending {
		p.at = map[channels.Address]channels.MessageID{}
	}
	p.at[e.Where] = m.ID
}

// take is the message that waits there, once; "" for none.
func (p *pending) take(at channels.Address) channels.MessageID {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := p.at[at]
	delete(p.at, at)
	return id
}

// deferrals are the interactions whose first answer is under way, by the hash
// of their token: a reply that overtakes it would be refused.
type deferrals struct {
	mu sync.Mutex
	at map[string]chan struct{}
}

// begin notes that the first answer is under way until end is called.
func (d *deferrals) begin(token string) (end func()) {
	done := make(chan struct{})
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at == nil {
		d.at = map[string]chan struct{}{}
	}
	d.at[token] = done
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.at, token)
		close(done)
	}
}

// over is closed when no first answer is under way; nil when none is.
func (d *deferrals) over(token string) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at[token]
}
