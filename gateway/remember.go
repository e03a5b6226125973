package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// memories answers the commands of the memory.
func (s *sitting) memories(ctx context.Context, it item, c channels.Command) (string, error) {
	switch {
	case s.g.memory == nil:
		return textNoMemory, nil
	case c.Name == "remember":
		return s.remember(ctx, it, c.Args)
	case c.Name == "forget":
		return s.forget(ctx, it, c.Args)
	}
	return s.sources(ctx, it)
}

// remember answers /remember: it keeps a text for the person, or in a room for
// the room. Its id follows from the message, so that a message that is worked on
// again keeps nothing twice.
func (s *sitting) remember(ctx context.Context, it item, text string) (string, error) {
	message, _ := it.event.Content.(channels.Message)
	if text = strings.TrimSpace(text); text == "" && len(message.Files) == 0 {
		return textRememberHow, nil
	}
	by := it.scope.Scope
	kept := memory.Item{
		ID: "c" + idOf(it)[:12], Reach: memory.Conversation, Kind: memory.Note, Text: text,
		Source: it.event.Key, Label: memory.Trusted, At: it.event.At,
	}
	said := textRemembersRoom
	if by.Direct() {
		kept.Reach, said = memory.Private, textRemembers
	}
	if by.Role() == scope.Guest {
		kept.Label = memory.Untrusted
	}
	if len(message.Files) > 0 {
		return s.rememberFiles(ctx, it, kept, said, message)
	}
	ids, err := s.g.memory.Remember(ctx, by, kept)
	switch {
	case errors.Is(err, memory.ErrItem):
		return textRememberLong, nil
	case errors.Is(err, memory.ErrDenied):
		return textRememberNot, nil
	case err != nil:
		return "", err
	}
	return fmt.Sprintf(said, ids[0]), nil
}

// forgetShown is how many candidates /forget shows.
const forgetShown = 5

// forget answers /forget: with ids it forgets them, with other words it shows
// what they may mean.
func (s *sitting) forget(ctx context.Context, it item, args string) (string, error) {
	words := strings.Fields(args)
	if len(words) == 0 {
		return textForgetHow, nil
	}
	by := it.scope.Scope
	n, err := s.g.memory.Forget(ctx, by, words...)
	if err != nil {
		return "", err
	}
	if n > 0 {
		return fmt.Sprintf(textForgotten, n), nil
	}
	hits, err := s.g.memory.Recall(ctx, by, memory.Query{Text: args, Limit: forgetShown})
	if err != nil || len(hits) == 0 {
		return textForgetNone, err
	}
	var b strings.Builder
	b.WriteString(textForgetWhich)
	var shown []string
	for i := range hits {
		if id := hits[i].ID; !slices.Contains(shown, id) {
			shown = append(shown, id)
			fmt.Fprintf(&b, "\n- `%s` %s", id, excerpt(hits[i].Chunk.Text))
		}
	}
	return b.String(), nil
}

// excerptRunes is how much of an item a list shows.
const excerptRunes = 120

func excerpt(text string) string {
	line := []rune(strings.Join(strings.Fields(text), " "))
	if len(line) <= excerptRunes {
		return string(line)
	}
	return string(line[:excerptRunes]) + "…"
}

// sources answers /sources: what of memory the last answer named, or was given.
func (s *sitting) sources(ctx context.Context, it item) (string, error) {
	_, _, history, err := s.sessionOf(ctx, it)
	if err != nil {
		return "", err
	}
	var given []agent.Source
	for i := len(history) - 1; i >= 0; i-- {
		if e := &history[i]; e.Role == agent.Assistant && len(e.Calls) == 0 {
			given = e.Sources
			break
		}
	}
	if len(given) == 0 {
		return textNoSources, nil
	}
	ids := make([]string, len(given))
	for i, g := range given {
		ids[i] = g.Item
	}
	found, err := s.g.memory.Get(ctx, it.scope.Scope, ids...)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(textSources)
	for _, g := range given {
		b.WriteString("\n" + tellSource(g, found))
	}
	return b.String(), nil
}

// tellSource writes a source for a person, or that it is no more.
func tellSource(g agent.Source, found []store.Listed) string {
	i := slices.IndexFunc(found, func(l store.Listed) bool { return l.ID == g.Item })
	if i < 0 {
		return fmt.Sprintf("\n**[%d]** "+textSourceGone, g.Mark)
	}
	l := found[i]
	about := fmt.Sprintf("\n**[%d]** %s of %s, `%s`", g.Mark, l.Kind, l.At.UTC().Format("2 January 2006"), l.ID)
	if l.Title != "" {
		about += ", " + excerpt(l.Title)
	}
	if l.URI != "" {
		about += ", `" + strings.ReplaceAll(l.URI, "`", "'") + "`"
	}
	if l.Label == memory.Untrusted {
		about += ", " + textSourceUntrusted
	}
	return about + "\n> " + excerpt(l.Text)
}

// digest keeps the summary of a conversation, where the configuration asks for
// it. It is kept once, however often the turn is run.
func (s *sitting) digest(ctx context.Context, t *sat, result agent.Result) {
	if !s.g.settings().Digests || s.g.memory == nil || len(result.Entries) == 0 || result.Entries[0].Role != agent.Summary {
		return
	}
	e := result.Entries[0]
	it := memory.Item{ID: "d" + t.ID[:12], Reach: memory.Conversation, Kind: memory.Digest, Text: e.Text, Label: memory.Label(e.Label), Of: e.Of, At: s.g.now()}
	if it.Label == "" {
		it.Label = memory.Trusted
	}
	if t.Scope.Direct() {
		it.Reach = memory.Private
	}
	if _, err := s.g.memory.Remember(ctx, t.Scope, it); err != nil && ctx.Err() == nil {
		s.g.log.Warn("keep a digest", "turn", t.ID, "err", err)
	}
}
