// Package delivery takes replies from the outbox to the platforms: it splits
// them for the channel's limits, keeps the platform's rate, sends part by part
// with each part's progress kept, and settles what the platform said.
package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

// Outbound is the body of an outbox record: one reply before it is split.
type Outbound struct {
	To       channels.Address   `json:"to"`
	Markdown string             `json:"markdown"`
	Plain    bool               `json:"plain,omitempty"`
	Files    []channels.File    `json:"files,omitempty"`
	Buttons  []channels.Button  `json:"buttons,omitempty"`
	ReplyTo  channels.MessageID `json:"reply_to,omitempty"`
	Direct   bool               `json:"direct,omitempty"` // a private chat, which platforms limit otherwise than rooms
	Audience channels.Audience  `json:"audience"`
	Via      *channels.Via      `json:"via,omitempty"`   // sealed
	Turn     string             `json:"turn,omitempty"`  // what it answers
	Stage    Stage              `json:"stage,omitempty"` // of a streamed answer
	Made     time.Time          `json:"made"`
}

// Stage is the place of a reply in a streamed answer. The zero Stage stands
// for itself.
type Stage string

// The stages.
const (
	Draft Stage = "draft" // shows what there is so far; its ref is kept for the final
	Final Stage = "final" // replaces the draft of the same turn, if one was sent
	// Question is delivered as whole answers are, and its ref is kept where the
	// channel can edit: the Final of the same turn takes its place.
	Question Stage = "question"
)

// Record puts an outbound into the outbox. key is stable across reruns of
// whatever made it. A reply path that is not sealed is refused.
func Record(workspace, key string, out Outbound) (bus.Record, error) {
	if out.Via != nil && !out.Via.Token.Empty() {
		return bus.Record{}, fmt.Errorf("outbound %s: %w", key, errUnsealed)
	}
	body, err := json.Marshal(out)
	if err != nil {
		return bus.Record{}, fmt.Errorf("outbound %s: %w", key, err)
	}
	return bus.Record{
		Workspace: workspace, Queue: bus.Outbox, Channel: string(out.To.Channel), Account: string(out.To.Account),
		Key: key, Order: out.To.Order(), Body: body,
	}, nil
}

// progress is kept in the record between attempts. It says how far the parts
// got, and whether the next one may have been sent already.
//
// The attempt count tells a crash from an orderly retry: whoever ends an
// attempt in order stores its number, so a record that comes back with a
// higher one was interrupted while a send was under way.
type progress struct {
	Next    int                  `json:"next"`              // the first part that has no receipt
	Attempt int                  `json:"attempt"`           // the last attempt that ended in order
	Doubt   int                  `json:"doubt,omitempty"`   // how often part Next may have been sent
	Sending bool                 `json:"sending,omitempty"` // marked: part Next was about to be sent
	Tries   int                  `json:"tries,omitempty"`   // failures of part Next in a row
	Plain   bool                 `json:"plain,omitempty"`   // the platform refused the markup
	Late    bool                 `json:"late,omitempty"`    // it says when it was made
	Anew    bool                 `json:"anew,omitempty"`    // the draft cannot be edited: a new message takes its place
	Lost    []int                `json:"lost,omitempty"`    // parts whose files cannot be sent: they say so instead
	Refs    []channels.MessageID `json:"refs,omitempty"`
}

// resume reads where a record stands; interrupted attempts count as doubt.
func resume(r bus.Record) (progress, error) {
	var p progress
	if len(r.Progress) > 0 {
		if err := json.Unmarshal(r.Progress, &p); err != nil {
			return p, fmt.Errorf("progress of %s: %w", r.Key, err)
		}
	}
	switch {
	case p.Next < 0 || p.Doubt < 0 || p.Tries < 0 || p.Attempt < 0:
		return p, fmt.Errorf("progress of %s: %w", r.Key, errNegative)
	case r.Attempt > p.Attempt+1:
		// Only a first send goes out without a mark: a repetition that died
		// before its mark was not sent.
		if p.Doubt == 0 || p.Sending {
			p.Doubt++
		}
	case r.Attempt <= p.Attempt: // an operator replayed it
		p.Doubt, p.Tries, p.Attempt = min(p.Doubt, 1), 0, 0
	}
	p.Sending = false
	return p, nil
}

// encode stores p as it stands before an attempt's send: attempts below r's own
// have ended in order.
func (p progress) encode(attempt int) json.RawMessage {
	p.Attempt = attempt
	b, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("delivery: own type does not encode: %v", err))
	}
	return b
}

func (p *progress) sent(id channels.MessageID) {
	p.Refs = append(p.Refs, id)
	p.Next, p.Doubt, p.Tries = p.Next+1, 0, 0
}

var errUnsealed = errors.New("its reply path must be sealed before it is kept")

var errNegative = errors.New("a count is negative")

func partKey(key string, i int) string { return key + "#" + strconv.Itoa(i) }
