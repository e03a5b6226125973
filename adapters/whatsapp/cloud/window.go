package cloud

import (
	"context"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// windows know when each person wrote last. The platform takes a message outside
// of the window and fails it later, when nobody waits for the answer any more; so
// the channel has to know it beforehand.
type windows struct {
	state channels.State

	mu    sync.Mutex
	known map[channels.ConversationID]time.Time
}

const maxKnown = 4096

// writes are what belongs into the commit of the events.
func (w *windows) writes(opened map[channels.ConversationID]time.Time) []channels.Write {
	var out []channels.Write
	for id, at := range opened {
		out = append(out, codec.Write(id, at))
	}
	return out
}

// note remembers what was committed.
func (w *windows) note(opened map[channels.ConversationID]time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known == nil || len(w.known) >= maxKnown {
		w.known = map[channels.ConversationID]time.Time{}
	}
	for id, at := range opened {
		w.known[id] = at
	}
}

// closed reports whether the window of a conversation is over. Of a person who
// never wrote to this gateway it knows nothing, and lets the platform decide.
// Before it says so it looks at what is kept: another gateway may have heard of
// the person since.
func (w *windows) closed(ctx context.Context, id channels.ConversationID, now time.Time) (bool, error) {
	w.mu.Lock()
	at, ok := w.known[id]
	w.mu.Unlock()
	if ok && !codec.Over(at, now) {
		return false, nil
	}
	b, err := w.state.Get(ctx, codec.WroteKey(id))
	if err != nil {
		return false, err
	}
	if at, ok = codec.ReadWrote(b); !ok {
		return false, nil // nothing is known
	}
	w.note(map[channels.ConversationID]time.Time{id: at})
	return codec.Over(at, now), nil
}
