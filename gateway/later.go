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
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// The bounds of what can be asked for.
const (
	soonest    = time.Minute // after a span; a time of day may be nearer
	farthest   = 400 * 24 * time.Hour
	oftenest   = time.Hour // between two times of one that comes again
	longest    = 4000      // bytes of its text
	errandTime = "Monday, 2 January 2006 at 15:04 MST"
)

// later answers /later: it keeps what is to be taken up later, lists what is
// kept, or takes one back.
func (s *sitting) later(ctx context.Context, it item, args string) (string, error) {
	by := it.scope.Scope
	switch err := s.g.dir.In(by.Workspace()).Confirm(ctx, by, scope.Console); {
	case errors.Is(err, identity.ErrForbidden):
		return textLaterNot, nil
	case err != nil:
		return "", err
	}
	all, err := s.g.errandsBy(ctx, by.Workspace(), by.Member())
	if err != nil {
		return "", err
	}
	word, rest, _ := strings.Cut(strings.TrimSpace(args), " ")
	switch {
	case word == "":
		return listErrands(all, by, s.g.zone), nil
	case word == "cancel":
		return s.cancelErrand(all, by, strings.TrimSpace(rest)), nil
	}
	when, text, wrong := parseLater(args, s.g.now().In(s.g.zone))
	switch {
	case wrong != "":
		return wrong, nil
	case len(all) >= maxErrands:
		return fmt.Sprintf(textLaterMany, maxErrands), nil
	}
	return s.keepErrand(it, when, text)
}

// keepErrand keeps it with the commit that answers the command. Its id follows
// from the message, so that one that is worked on again keeps nothing twice.
func (s *sitting) keepErrand(it item, when moment, text string) (string, error) {
	by := it.scope.Scope
	asked := it.event
	e := Errand{
		ID: "l" + idOf(it)[:8], Made: s.g.now(), Due: when.due, Maker: by.Member(), Where: by.Conversation(), Text: text,
		Event: channels.Event{Account: asked.Account, Where: asked.Where, Room: asked.Room, Who: asked.Who, Addressed: true, Content: channels.Message{}},
	}
	if c, ok := asked.Content.(channels.Command); ok {
		e.Quotes = string(c.ID)
	}
	said := textLaterOnce
	if when.every > 0 {
		e.Every, said = when.every, textLaterAgain
	}
	w, err := errandRow{Errand: e, key: errandsOf(by.Workspace(), by.Member()) + e.ID}.write()
	if err != nil {
		return "", err
	}
	s.state = append(s.state, w)
	s.g.recordErrand(by.Principal(), "asked", e)
	return fmt.Sprintf(said, when.due.Format(errandTime), e.ID), nil
}

// shownTo reports whether a list may show an errand where its maker asks: in a
// room, others read along.
func (e Errand) shownTo(by scope.Scope) bool { return by.Direct() || e.Where == by.Conversation() }

func listErrands(all []errandRow, by scope.Scope, zone *time.Location) string {
	var b strings.Builder
	for _, e := range all {
		if !e.shownTo(by) {
			continue
		}
		often := ""
		if e.Every > 0 {
			often = ", every " + span(e.Every)
		}
		fmt.Fprintf(&b, "\n- `%s` %s%s: %s", e.ID, e.Due.In(zone).Format(errandTime), often, excerpt(e.Text))
	}
	if b.Len() == 0 {
		return textLaterNone + " " + textLaterHow
	}
	return textLaterList + b.String()
}

func (s *sitting) cancelErrand(all []errandRow, by scope.Scope, id string) string {
	for _, e := range all {
		if e.ID == id {
			s.state = append(s.state, bus.Write{Space: errandSpace, Key: e.key, If: e.version})
			s.g.recordErrand(by.Principal(), "cancelled", e.Errand)
			return textLaterCancelled
		}
	}
	return textLaterUnknown
}
