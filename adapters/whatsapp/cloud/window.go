package cloud

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// window is how long after a person wrote the platform takes free messages.
const window = 24 * time.Hour

// windows know when each person wrote last. The platform takes a message outside
// of the window and fails it later, when nobody waits for the answer any more; so
// the channel has to know it beforehand.
type windows struct {
	state channels.State

	mu    sync.Mutex
	known map[channels.ConversationID]time.Time
}

const (
	windowPrefix = "wrote/"
	maxKnown     = 4096
)

// writes are what belongs into the commit of the events.
func (w *windows) writes(opened map[channels.ConversationID]time.Time) []channels.Write {
	var out []channels.Write
	for id, at := range opened {
		if !at.IsZero() {
			out = append(out, channels.Write{Key: windowPrefix + string(id), Value: strconv.AppendInt(nil, at.Unix(), 10)})
		}
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
	if ok && now.Sub(at) < window {
		return false, nil
	}
	b, err := w.state.Get(ctx, windowPrefix+string(id))
	if err != nil {
		return false, err
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return false, nil //nolint:nilerr // nothing is known
	}
	at = time.Unix(n, 0)
	w.note(map[channels.ConversationID]time.Time{id: at})
	return now.Sub(at) >= window, nil
}
