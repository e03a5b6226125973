// Package ack remembers which message of a conversation an adapter can mark when
// work on it begins.
package ack

import (
	"sync"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// most places may wait at a time.
const most = 4096

// Waiting is, for each place, the newest message that means the bot. It is a
// courtesy: it forgets when the process ends, and drops everything when too many
// places are waiting. The zero Waiting is empty and may be used concurrently.
type Waiting struct {
	mu sync.Mutex
	at map[channels.Address]message
}

type message struct {
	id    channels.MessageID
	taken bool
}

// Add notes an event, if it is a message that means the bot.
func (w *Waiting) Add(e *channels.Event) {
	m, ok := e.Content.(channels.Message)
	if !ok || !e.Addressed || e.Who.Bot || e.Who.Self {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at == nil || len(w.at) >= most {
		w.at = map[channels.Address]message{}
	}
	w.at[e.Where] = message{id: m.ID}
}

// Take is the newest message at a place, "" for none, and whether it is asked for
// for the first time.
func (w *Waiting) Take(at channels.Address) (id channels.MessageID, first bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.at[at]
	if m.id == "" {
		return "", false
	}
	w.at[at] = message{id: m.id, taken: true}
	return m.id, !m.taken
}
