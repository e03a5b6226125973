package console

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// chat is what is known of a member's chat beside its transcript.
type chat struct {
	id channels.ConversationID

	// turn is held while the transcript changes and while a stream joins, so
	// that a stream misses nothing between what it read and what it is pushed.
	// It guards loaded, count and last.
	turn   chan struct{}
	loaded bool
	count  int
	last   int64 // the latest seq or rev that was given out

	mu      sync.Mutex // guards what follows; held for moments only
	streams []*stream  // oldest first
	draft   *wire.Draft
}

func newChat(id channels.ConversationID) *chat {
	return &chat{id: id, turn: make(chan struct{}, 1)}
}

// enter takes the chat for a change; leave gives it back.
func (ch *chat) enter(ctx context.Context) error {
	select {
	case ch.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (ch *chat) leave() { <-ch.turn }

// load reads how far the transcript is, once.
func (ch *chat) load(ctx context.Context, t transcript) error {
	if ch.loaded {
		return nil
	}
	all, err := t.all(ctx, ch.id)
	if err != nil {
		return err
	}
	for _, e := range all {
		ch.last = max(ch.last, e.Seq, e.Rev)
	}
	ch.count, ch.loaded = len(all), true
	return nil
}

// next gives out a number that is greater than every earlier one, and close to
// the time in microseconds.
func (ch *chat) next() int64 {
	ch.last = max(ch.last+1, time.Now().UnixMicro())
	return ch.last
}

// add returns the writes that append an entry, and shorten a transcript that
// became too long.
func (ch *chat) add(ctx context.Context, t transcript, e entry) ([]channels.Write, error) {
	w, err := t.put(ch.id, e)
	if err != nil {
		return nil, err
	}
	over := ch.count + 1 - MaxTranscript
	if over <= 0 {
		return w, nil
	}
	old, err := t.drop(ctx, ch.id, over)
	return append(old, w...), err
}

// added counts what add's writes have committed.
func (ch *chat) added() { ch.count = min(ch.count+1, MaxTranscript) }

// maxStreams bounds the pages that one member has open at a time.
const maxStreams = 16

func (ch *chat) join(s *stream) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if len(ch.streams) >= maxStreams {
		ch.streams[0].end()
		ch.streams = ch.streams[1:]
	}
	if ch.draft != nil {
		s.offer(draftPush(*ch.draft))
	}
	ch.streams = append(ch.streams, s)
}

func (ch *chat) part(s *stream) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	for i, x := range ch.streams {
		if x == s {
			ch.streams = append(ch.streams[:i], ch.streams[i+1:]...)
			return
		}
	}
}

// disconnect ends every stream.
func (ch *chat) disconnect() {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	for _, s := range ch.streams {
		s.end()
	}
	ch.streams = nil
}

// publish shows a message that is durable. A stream that cannot keep up is
// ended; it catches up when it connects again.
func (ch *chat) publish(e entry) {
	m := e.message()
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.draft != nil && answers(m.ID, ch.draft.Key) {
		ch.draft = nil
	}
	kept := ch.streams[:0]
	for _, s := range ch.streams {
		if s.push(messagePush(m)) {
			kept = append(kept, s)
		} else {
			s.end()
		}
	}
	ch.streams = kept
}

// answers reports whether a message is the end of a draft: their keys are those
// of the turn and of its replies.
func answers(id, draft string) bool { return id == draft || strings.HasPrefix(id, draft+"/") }

// show sends something lossy to every stream.
func (ch *chat) show(p push) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	for _, s := range ch.streams {
		s.offer(p)
	}
}

func (ch *chat) setDraft(d wire.Draft) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.draft = &d
	for _, s := range ch.streams {
		s.offer(draftPush(d))
	}
}
