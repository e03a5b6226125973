package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/session"
)

// admit decodes and judges records, resolves those that may not act, and adds
// the others to the items. After a judgement that decides about later events it
// leaves those to the next lease.
func (s *sitting) admit(ctx context.Context, records []bus.Record) error {
	s.looked = s.g.now()
	for _, r := range records {
		if s.decided {
			return nil
		}
		if _, known := s.verdicts[r.Key]; known {
			continue
		}
		if err := s.admitOne(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (s *sitting) admitOne(ctx context.Context, r bus.Record) error {
	if wait, err := s.early(r); err != nil || wait {
		return err
	}
	var e channels.Event
	if err := json.Unmarshal(r.Body, &e); err != nil {
		s.verdicts[r.Key] = bus.Verdict{Fate: bus.Dead, Reason: unreadable(r.Body, err)}
		return nil
	}
	l := s.g.line(channels.ID(r.Channel))
	if l == nil {
		s.verdicts[r.Key] = bus.Verdict{Fate: bus.Dead, Reason: "the channel is no longer configured"}
		return nil
	}
	if attempts(r) > hopeless { // not even a trial was reached
		s.verdicts[r.Key] = bus.Verdict{Fate: bus.Dead, Reason: "it cannot be judged"}
		return nil
	}
	if wait, err := s.g.paused(ctx, l.id); err != nil || wait {
		if err != nil {
			return err
		}
		return s.holdBack(r)
	}
	switch c := e.Content.(type) {
	case channels.Status:
		if c.State == channels.StatusFailed {
			s.undelivered(r, e, c)
			return nil
		}
	case channels.Moved:
		if r.Order != e.Where.Order() {
			return s.standsBefore(ctx, r, e)
		}
		if len(s.items) > 0 { // first what was said before, with what it adds to the history
			s.decided = true
			return nil
		}
	default: // is judged
	}
	j, err := s.g.dir.Judge(ctx, e, l.config().Policy)
	if err != nil {
		return fmt.Errorf("judge: %w", err)
	}
	if strangersErrand(r.Key, j) {
		return s.ignored(r, e, "whoever asked for this is not here any more")
	}
	if attempts(r) > maxAttempts && trialOf(r).Alone >= trials {
		return s.setAside(r, e, j)
	}
	return s.resolve(ctx, r, e, j)
}

// undelivered makes a dead letter of the word that a message which the platform
// had taken has not arrived. Nobody said it, so nobody is judged for it.
func (s *sitting) undelivered(r bus.Record, e channels.Event, st channels.Status) {
	s.verdicts[r.Key] = bus.Verdict{Fate: bus.Dead, Reason: strings.TrimSuffix("the platform took a message and could not deliver it: "+st.Why, ": ")}
	s.g.metrics.Send(e.Where.Channel, delivery.Dead)
}

// resolve applies a judgement; what may run becomes an item.
func (s *sitting) resolve(ctx context.Context, r bus.Record, e channels.Event, j identity.Judgement) error {
	if len(j.State) > 0 {
		s.state, s.decided = append(s.state, j.State...), true
	}
	if j.Passed != nil {
		s.passed = append(s.passed, *j.Passed)
	}
	if j.Do == identity.Background && s.goesOn(r, e, j) {
		j.Do = identity.Run
	}
	switch j.Do {
	case identity.Run:
		if why, skip := pointless(e.Content); skip {
			return s.ignored(r, e, why)
		}
		if !s.g.loops.admits(e, j.Scope, s.g.now()) {
			return s.ignored(r, e, "loop guard")
		}
		s.items = append(s.items, item{rec: r, event: e, scope: j})
		return nil
	case identity.Background:
		s.overhear(r, e)
		return s.keepDocuments(ctx, item{rec: r, event: e, scope: j})
	case identity.Park:
		s.verdicts[r.Key] = bus.Verdict{Fate: bus.Park, Tag: j.Tag, At: j.Until}
		if j.Reply != "" {
			s.g.metrics.ignored(e.Where.Channel, "pairing")
			return s.reply(e, noticeKey(r, "pair"), j.Reply)
		}
		return nil
	case identity.Answer:
		s.verdicts[r.Key] = bus.Verdict{Fate: bus.Ack}
		if err := s.ended(r); err != nil {
			return err
		}
		return s.reply(e, noticeKey(r, "gate"), j.Reply)
	}
	if _, ok := e.Content.(channels.Moved); ok {
		return s.moved(ctx, r, e)
	}
	return s.ignored(r, e, j.Reason)
}

// pointless says which events pass the gate but start nothing.
func pointless(c channels.Content) (string, bool) {
	switch c := c.(type) {
	case channels.Message, channels.Command, channels.Press:
		return "", false
	case channels.Edit:
		return "", c.Text == ""
	default:
		return channels.ContentType(c) + " starts no turn", true
	}
}

func (s *sitting) ignored(r bus.Record, e channels.Event, why string) error {
	s.verdicts[r.Key] = bus.Verdict{Fate: bus.Ack, Reason: why}
	s.g.metrics.ignored(e.Where.Channel, channels.ContentType(e.Content))
	s.g.log.Debug("event ignored", "channel", e.Where.Channel, "event", e.Key, "kind", channels.ContentType(e.Content), "err", why)
	if e.Room.Direct {
		return s.ended(r)
	}
	return nil
}

func (s *sitting) overhear(r bus.Record, e channels.Event) {
	s.verdicts[r.Key] = bus.Verdict{Fate: bus.Ack, Reason: "not addressed"}
	if _, ok := e.Content.(channels.Message); ok {
		s.heard = append(s.heard, session.Heard{Seq: r.Seq, Event: e})
	}
}

// ended notes that an event without a turn is done with, for those who wait
// for its answer.
func (s *sitting) ended(r bus.Record) error {
	now := s.g.now()
	v, err := json.Marshal(turnRecord{Events: []string{r.Key}, Began: now, Ended: now})
	if err != nil {
		return err
	}
	s.state = append(s.state, bus.Write{Space: turnSpace, Key: turnID(r.Channel, r.Account, r.Key), Value: v})
	return nil
}

// setAside makes a dead letter of an event that has failed or ended the process
// again and again, and tells the person, if it was one who may be answered.
func (s *sitting) setAside(r bus.Record, e channels.Event, j identity.Judgement) error {
	s.verdicts[r.Key] = bus.Verdict{Fate: bus.Dead, Reason: fmt.Sprintf("not settled in %d attempts", attempts(r)-1)}
	if j.Do != identity.Run {
		return nil
	}
	if err := s.ended(r); err != nil {
		return err
	}
	return s.reply(e, noticeKey(r, "aside"), textSetAside)
}

// reply puts a short answer of the gateway itself into the outbox.
func (s *sitting) reply(e channels.Event, key, markdown string) error {
	out := s.outbound(e)
	out.Markdown = markdown
	r, err := delivery.Record(s.g.workspaceOf(e.Where.Channel), key, out)
	s.emit = append(s.emit, r)
	return err
}

// outbound is an empty answer to an event, addressed to where it belongs.
func (s *sitting) outbound(e channels.Event) delivery.Outbound {
	if to := s.g.elsewhere(e.Where.Channel); to != nil {
		return delivery.Outbound{To: *to, Made: s.g.now()}
	}
	return delivery.Outbound{To: e.Where, Direct: e.Room.Direct, ReplyTo: quoted(e), Via: e.Via, Made: s.g.now()}
}

// elsewhere is the place where a channel's answers go, if they do not go back.
func (g *Gateway) elsewhere(id channels.ID) *channels.Address {
	if l := g.line(id); l != nil {
		return l.config().ReplyTo
	}
	return nil
}

// quoted is the message that an answer refers to: in rooms, where several
// people speak, the one that asked.
func quoted(e channels.Event) channels.MessageID {
	if e.Room.Direct {
		return ""
	}
	switch c := e.Content.(type) {
	case channels.Message:
		return c.ID
	case channels.Edit:
		return c.ID
	case channels.Command:
		return c.ID
	default:
		return ""
	}
}

// noticeKey names an answer of the gateway itself. It begins as the replies of
// turns do, for those who read the replies to an event.
func noticeKey(r bus.Record, what string) string {
	return turnID(r.Channel, r.Account, r.Key) + "/r-" + what
}
