package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// intake is the Sink of one channel.
type intake struct {
	g  *Gateway
	id channels.ID
}

var _ channels.Sink = (*intake)(nil)

// How long an adapter waits after a refusal.
const (
	fullWait   = 2 * time.Second
	brokenWait = time.Second
)

// Accept implements channels.Sink.
func (i *intake) Accept(ctx context.Context, b channels.Batch) error {
	batch := bus.Batch{Records: make([]bus.Record, 0, len(b.Events))}
	for _, e := range b.Events {
		if err := i.sealPath(ctx, &e); err != nil {
			return i.refusal(ctx, err)
		}
		r, err := i.record(e)
		if err != nil {
			return i.reject(ctx, e, err, len(b.Events) == 1)
		}
		batch.Records = append(batch.Records, r)
		if b, moves := barrier(r, e); moves {
			batch.Records = append(batch.Records, b)
		}
	}
	began := i.g.now()
	state, err := stateWrites(stateSpace(i.id), b.State, began)
	if err != nil {
		return i.refusal(ctx, err)
	}
	batch.State = state
	if err := i.g.bus.Publish(ctx, batch); err != nil {
		return i.refusal(ctx, err)
	}
	failpoint.Hit(failpoint.AcceptAfter)
	i.g.metrics.accepted(i.id, len(b.Events), i.g.now().Sub(began))
	if l := i.g.line(i.id); l != nil && len(b.Events) > 0 {
		l.host.accepted()
	}
	return nil
}

func (i *intake) record(e channels.Event) (bus.Record, error) {
	e.Where.Channel, e.Where.Account = i.id, e.Account
	if len(e.Raw) > 0 && !json.Valid(e.Raw) {
		e.Raw = nil // for show only: an event is not lost for it
	}
	e.Content = unclaimed(e.Content)
	body, err := json.Marshal(e)
	if err != nil {
		return bus.Record{}, err
	}
	to, _ := newPlace(e)
	for _, name := range []string{e.Key, string(e.Account), e.Where.Order(), to.Order()} {
		if !utf8.ValidString(name) || strings.IndexByte(name, 0) >= 0 || e.Key == "" {
			return bus.Record{}, errName
		}
	}
	r := bus.Record{
		Workspace: i.g.workspaceOf(i.id), Queue: bus.Inbox, Channel: string(i.id), Account: string(e.Account),
		Key: e.Key, Order: e.Where.Order(), Body: body,
	}
	if urgent(e.Content) {
		r.Queue, r.Order = bus.Urgent, r.Order+bus.UrgentSuffix
	}
	return r, nil
}

// errName: such an event can never be kept, so that trying again is of no use.
var errName = errors.New("an event's key and ids must be UTF-8 without NUL, and its key not empty")

// rejected is the body of the dead letter that remains of an event which cannot
// be kept as it is.
type rejected struct {
	Rejected string          `json:"rejected"` // why
	Event    json.RawMessage `json:"event,omitempty"`
	Raw      json.RawMessage `json:"raw,omitempty"`
}

// reject refuses an event for good. One that came by itself is counted and
// leaves a dead letter; of a batch the adapter offers each once more.
func (i *intake) reject(ctx context.Context, e channels.Event, cause error, alone bool) error {
	if alone {
		r, err := i.letter(e, cause)
		if err == nil {
			err = i.g.bus.Publish(ctx, bus.Batch{Records: []bus.Record{r}})
		}
		if err != nil {
			return i.refusal(ctx, err)
		}
		i.g.metrics.refused(i.id, "rejected")
		i.g.log.Error("an event can never be kept as it is, and has become a dead letter", "channel", i.id, "err", cause)
	}
	return &channels.Error{Op: "accept", Channel: i.id, Kind: channels.Rejected, Err: cause}
}

// letter makes a record that no sitting can read, so that it becomes a dead
// letter at its first lease. The same event gives the same one.
func (i *intake) letter(e channels.Event, cause error) (bus.Record, error) {
	l := rejected{Rejected: cause.Error()}
	if json.Valid(e.Raw) {
		l.Raw = e.Raw
	}
	e.Raw = nil
	if b, err := json.Marshal(e); err == nil {
		l.Event = b
	}
	body, err := json.Marshal(l)
	sum := sha256.Sum256(body)
	return bus.Record{
		Workspace: i.g.workspaceOf(i.id), Queue: bus.Inbox, Channel: string(i.id),
		Key: "rejected/" + hex.EncodeToString(sum[:12]), Order: string(i.id) + "/rejected", Body: body,
	}, err
}

// unreadable says why a record of the inbox is none that can be worked on.
func unreadable(body []byte, err error) string {
	var l rejected
	if json.Unmarshal(body, &l) == nil && l.Rejected != "" {
		return "rejected: " + l.Rejected
	}
	return "unreadable: " + err.Error()
}

// urgent reports whether an event must reach a conversation that is busy.
func urgent(c channels.Content) bool {
	if _, press := c.(channels.Press); press {
		return true
	}
	cmd, ok := c.(channels.Command)
	if !ok {
		return false
	}
	known, found := commands[cmd.Name]
	return !found || known.urgent || known.looks && strings.TrimSpace(cmd.Args) == ""
}

func (i *intake) refusal(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, bus.ErrFull):
		i.g.metrics.refused(i.id, "full")
		return &channels.Error{Op: "accept", Channel: i.id, Kind: channels.Transient, RetryAfter: fullWait, Err: err}
	}
	i.g.metrics.refused(i.id, "store")
	i.g.log.Error("cannot keep what came in; it is not acknowledged and will be taken up again", "channel", i.id, "err", err)
	return &channels.Error{Op: "accept", Channel: i.id, Kind: channels.Transient, RetryAfter: brokenWait, Err: err}
}

// Replies implements channels.Sink.
func (i *intake) Replies(ctx context.Context, account channels.AccountID, key string) iter.Seq2[channels.Part, error] {
	own := turnID(string(i.id), string(account), key)
	return func(yield func(channels.Part, error) bool) {
		seen := map[string]bool{}
		for {
			turn, done, err := i.turnOf(ctx, own)
			if err == nil {
				err = i.unseen(ctx, turn, seen, func(p channels.Part) bool { return yield(p, nil) })
			}
			switch {
			case errors.Is(err, errEnough), err == nil && done:
				return
			case err != nil:
				yield(channels.Part{}, err)
				return
			}
			if err := i.g.settled.wait(ctx); err != nil {
				yield(channels.Part{}, err)
				return
			}
		}
	}
}

var errEnough = errors.New("the reader has enough")

// turnOf names the turn that answers an event, its own or the one that
// gathered it, and says whether it has ended.
func (i *intake) turnOf(ctx context.Context, own string) (turn string, ended bool, err error) {
	e, err := i.g.bus.Get(ctx, gatheredSpace, own)
	if err != nil {
		return "", false, err
	}
	if turn = own; e.Version > 0 {
		turn = string(e.Value)
	}
	e, err = i.g.bus.Get(ctx, turnSpace, turn)
	return turn, e.Version > 0, err
}

// unseen yields the replies of a turn that were not yielded yet.
func (i *intake) unseen(ctx context.Context, turn string, seen map[string]bool, each func(channels.Part) bool) error {
	from := i.id
	if to := i.g.elsewhere(i.id); to != nil {
		from = to.Channel
	}
	letters, err := i.g.bus.Replies(ctx, string(from), turn+"/r")
	if err != nil {
		return err
	}
	for _, l := range letters {
		if seen[l.Key] || l.Body == nil {
			continue
		}
		seen[l.Key] = true
		var out delivery.Outbound
		if err := json.Unmarshal(l.Body, &out); err != nil {
			return fmt.Errorf("reply %s: %w", l.Key, err)
		}
		body := markup.Parse(out.Markdown)
		if out.Plain {
			body = markup.Plain(out.Markdown)
		}
		if !each(channels.Part{Key: l.Key, To: out.To, Body: body, Plain: out.Plain, Files: out.Files, Buttons: out.Buttons}) {
			return errEnough
		}
	}
	return nil
}

// stateSpace is where a channel's own state is kept.
// channelSpaces is what the spaces of channels' own state begin with.
const channelSpaces = "channel/"

func stateSpace(id channels.ID) string { return channelSpaces + string(id) }
