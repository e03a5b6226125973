package telegram

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gatehouse-chat/gatehouse/adapters/telegram/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// moves knows the groups that became supergroups while something was sent to
// their old id. A move is kept until it was accepted as an event, so that the
// gateway learns of it even if the platform's own notice is lost. The methods
// may be called concurrently.
type moves struct {
	state channels.State

	mu    sync.Mutex
	known map[channels.ConversationID]channels.ConversationID
	news  []channels.ConversationID // old ids that were not accepted yet
}

const movesPrefix = "moved/"

// load reads the moves that an earlier process did not get accepted.
func (m *moves) load(ctx context.Context) error {
	kept, err := m.state.List(ctx, movesPrefix, "", 0)
	if err != nil {
		return fmt.Errorf("read the groups that moved: %w", err)
	}
	for _, w := range kept {
		from := channels.ConversationID(strings.TrimPrefix(w.Key, movesPrefix))
		m.add(from, channels.ConversationID(w.Value))
	}
	return nil
}

// add reports whether the move is news.
func (m *moves) add(from, to channels.ConversationID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known[from] == to {
		return false
	}
	if m.known == nil {
		m.known = map[channels.ConversationID]channels.ConversationID{}
	}
	m.known[from] = to
	if !slices.Contains(m.news, from) {
		m.news = append(m.news, from)
	}
	return true
}

// note keeps a move that a send met with.
func (m *moves) note(ctx context.Context, from, to channels.ConversationID) error {
	if !m.add(from, to) {
		return nil
	}
	return m.state.Put(ctx, channels.Write{Key: movesPrefix + string(from), Value: []byte(to)})
}

// to is the new id of a conversation, or "".
func (m *moves) to(from channels.ConversationID) channels.ConversationID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[from]
}

// announce gets what is new accepted, with the end of keeping it. Moves that
// the sink refuses stay news.
func (m *moves) announce(ctx context.Context, self codec.Self, sink channels.Sink, stamp func(*channels.Event)) error {
	m.mu.Lock()
	news := slices.Clone(m.news)
	b := channels.Batch{}
	for _, from := range news {
		b.State = append(b.State, channels.Write{Key: movesPrefix + string(from)})
		a, errA := strconv.ParseInt(string(from), 10, 64)
		z, errZ := strconv.ParseInt(string(m.known[from]), 10, 64)
		if errA != nil || errZ != nil {
			continue
		}
		e := codec.Moved(self, a, z)
		stamp(&e)
		b.Events = append(b.Events, e)
	}
	m.mu.Unlock()
	if len(news) == 0 {
		return nil
	}
	if _, err := channels.Offer(ctx, sink, b); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.news = slices.DeleteFunc(m.news, func(id channels.ConversationID) bool { return slices.Contains(news, id) })
	return nil
}
