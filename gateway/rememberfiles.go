package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/ingest"
)

// commandOf is the command that an event is, or means: a file that is sent with
// /remember stays a message on its way here, or the file would be lost.
func commandOf(e channels.Event) (channels.Command, bool) {
	if c, ok := e.Content.(channels.Command); ok {
		return c, true
	}
	m, ok := e.Content.(channels.Message)
	if !ok || len(m.Files) == 0 || m.Forwarded != "" {
		return channels.Command{}, false
	}
	word, args, _ := strings.Cut(strings.TrimSpace(m.Text), " ")
	word, _, _ = strings.Cut(strings.ToLower(word), "@")
	return channels.Command{ID: m.ID, Name: "remember", Args: strings.TrimSpace(args)}, word == "/remember"
}

// mostCalled is how long the name may be that somebody gives to a file, in
// bytes. What is longer is no name.
const mostCalled = 200

// rememberFiles keeps what is written in the files of a message, each as a
// document. What is in a file is not the word of who sent it, so it is kept as
// untrusted.
func (s *sitting) rememberFiles(ctx context.Context, it item, like memory.Item, said string, m channels.Message) (string, error) {
	var kept, told []string
	like.Kind, like.Label = memory.Document, memory.Untrusted
	for i, f := range m.Files {
		doc, err := s.readFile(ctx, it, f)
		if err != nil {
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			told = append(told, fmt.Sprintf(textRememberFileNot, excerpt(f.Name), whyUnread(err)))
			continue
		}
		one := like
		if like.Text != "" && len(like.Text) <= mostCalled && len(m.Files) == 1 {
			doc.Title = like.Text // what they call it
		}
		one.ID, one.Title, one.Text = fmt.Sprintf("%sf%d", like.ID, i), doc.Title, doc.Text
		ids, err := s.g.memory.Remember(ctx, it.scope.Scope, one)
		switch {
		case errors.Is(err, memory.ErrItem):
			told = append(told, textRememberLong)
		case errors.Is(err, memory.ErrDenied):
			return textRememberNot, nil
		case err != nil:
			return "", err
		default:
			kept = append(kept, ids...)
		}
	}
	if len(kept) > 0 {
		told = append([]string{fmt.Sprintf(said, strings.Join(kept, " "))}, told...)
	}
	return strings.Join(told, "\n"), nil
}

// readFile fetches a file and reads what is written in it.
func (s *sitting) readFile(ctx context.Context, it item, f channels.File) (ingest.Document, error) {
	x := files{g: s.g, at: it.event.Where}
	if f.Size > ingest.MostFile {
		return ingest.Document{}, ingest.ErrLimit
	}
	f, err := x.Fetch(ctx, f)
	if err != nil {
		return ingest.Document{}, err
	}
	r, err := x.Open(ctx, f)
	if err != nil {
		return ingest.Document{}, err
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(io.LimitReader(r, ingest.MostFile+1))
	if err != nil {
		return ingest.Document{}, err
	}
	return ingest.Read(ctx, f.Name, b)
}

// whyUnread tells a person why a file was not kept.
func whyUnread(err error) string {
	for _, known := range []error{ingest.ErrKind, ingest.ErrLocked, ingest.ErrEmpty, ingest.ErrLimit, ingest.ErrBroken} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if errors.Is(err, agent.ErrFileTooLarge) {
		return ingest.ErrLimit.Error()
	}
	return textRememberFileGone
}
