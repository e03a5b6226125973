package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/ingest"
)

// The limits of what is remembered without being asked for.
const (
	sentFiles = 5                // of one message
	sentBytes = 8 << 20          // of one file
	sentTime  = 15 * time.Second // for one file; half of what a lease lasts
)

// documentsAt says what becomes of the documents that are sent to a place.
func (s *sitting) documentsAt(where channels.Address, direct bool) identity.Documents {
	l := s.g.line(where.Channel)
	if l == nil || s.g.memory == nil {
		return identity.DocumentsOff
	}
	if direct {
		return l.config().Policy.Documents
	}
	return l.config().Policy.In(where.Conversation).Documents
}

// keepDocuments remembers the documents of a message, where its channel or room
// asks for that: for the person in a direct chat, for the room in a room. Their
// ids follow from the message, so that what is worked on again is kept once.
// What cannot be read is left out, and holds nothing up.
func (s *sitting) keepDocuments(ctx context.Context, it item) error {
	m, ok := it.event.Content.(channels.Message)
	mode := s.documentsAt(it.event.Where, it.event.Room.Direct)
	if !ok || mode != identity.DocumentsQuiet && mode != identity.DocumentsTell {
		return nil
	}
	var told []string
	for i, f := range m.Files[:min(len(m.Files), sentFiles)] {
		if f.Kind != channels.Document {
			continue
		}
		if err := s.hold(ctx, bus.Hold{}); err != nil { // what follows may take a while
			return err
		}
		text, err := s.keepDocument(ctx, it, f, fmt.Sprintf("a%sf%d", idOf(it)[:12], i))
		if err != nil {
			return err
		}
		if text != "" {
			told = append(told, text)
		}
	}
	if mode != identity.DocumentsTell || len(told) == 0 {
		return nil
	}
	return s.reply(it.event, noticeKey(it.rec, "kept"), strings.Join(told, "\n"))
}

// keepDocument remembers one file, and returns what is to be said of it.
func (s *sitting) keepDocument(ctx context.Context, it item, f channels.File, id string) (string, error) {
	reading, cancel := context.WithTimeout(ctx, sentTime)
	defer cancel()
	err := ingest.ErrLimit
	var doc ingest.Document
	if f.Size <= sentBytes {
		doc, err = s.readFile(reading, it, f)
	}
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, ingest.ErrKind): // pictures, archives: nobody expects that
		return "", nil
	case err != nil:
		return fmt.Sprintf(textRememberFileNot, excerpt(f.Name), whyUnread(err)), nil
	}
	by := it.scope.Scope
	kept := memory.Item{
		ID: id, Reach: memory.Conversation, Kind: memory.Document, Title: doc.Title, Text: doc.Text,
		Source: it.event.Key, Label: memory.Untrusted, At: it.event.At, // what is in a file is not the word of who sent it
	}
	said := textKeptFileRoom
	if by.Direct() {
		kept.Reach, said = memory.Private, textKeptFile
	}
	if _, err := s.g.memory.Remember(ctx, by, kept); err != nil {
		s.g.log.Warn("keep a document that was sent", "channel", it.event.Where.Channel, "event", it.event.Key, "err", err)
		return "", ctx.Err()
	}
	return fmt.Sprintf(said, excerpt(doc.Title), id), nil
}
