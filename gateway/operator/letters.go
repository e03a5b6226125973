package operator

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Letter is a dead record, for people.
type Letter struct {
	Seq       int64           `json:"seq"`
	Queue     string          `json:"queue"`
	Channel   string          `json:"channel"`
	Key       string          `json:"key"`
	Reason    string          `json:"reason"`
	Attempts  int             `json:"attempts"`
	Published time.Time       `json:"published"`
	Died      time.Time       `json:"died"`
	Body      json.RawMessage `json:"body,omitempty"` // shown for a single letter only
}

// DeadLetters lists dead records of a queue ("" for all), without their bodies.
func (p *Operator) DeadLetters(ctx context.Context, by scope.Scope, queue string, after int64, limit int) ([]Letter, error) {
	if err := p.allow(by); err != nil {
		return nil, err
	}
	all, err := p.deadLetters(ctx, queue, after, limit)
	out := make([]Letter, len(all))
	for i, l := range all {
		out[i] = letter(l)
		out[i].Body = nil
	}
	return out, err
}

// deadLetters lists the dead of one queue, or of all, by number.
func (p *Operator) deadLetters(ctx context.Context, queue string, after int64, limit int) ([]bus.Letter, error) {
	queues := []string{queue}
	if queue == "" {
		queues = []string{bus.Inbox, bus.Urgent, bus.Outbox}
	}
	var all []bus.Letter
	for _, q := range queues {
		some, err := p.o.Bus.DeadLetters(ctx, q, after, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b bus.Letter) int { return cmp.Compare(a.Seq, b.Seq) })
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all, nil
}

// DeadLetter shows one.
func (p *Operator) DeadLetter(ctx context.Context, by scope.Scope, seq int64) (Letter, error) {
	if err := p.allow(by); err != nil {
		return Letter{}, err
	}
	all, err := p.deadLetters(ctx, "", seq-1, 1)
	if err != nil {
		return Letter{}, err
	}
	if len(all) == 0 || all[0].Seq != seq {
		return Letter{}, identity.Unknown{What: "dead letter", Name: strconv.FormatInt(seq, 10), See: "dead list"}
	}
	return letter(all[0]), nil
}

func letter(l bus.Letter) Letter {
	return Letter{
		Seq: l.Seq, Queue: l.Queue, Channel: l.Channel, Key: l.Key, Reason: l.Reason, Attempts: l.Attempt,
		Published: l.Published, Died: l.At, Body: shown(l.Body),
	}
}

// Replay makes dead letters due again.
func (p *Operator) Replay(ctx context.Context, by scope.Scope, seqs ...int64) (_ int, err error) {
	defer func() { p.did(ctx, by, "dead letters replayed", numbers(seqs), &err) }()
	if err := p.allow(by); err != nil {
		return 0, err
	}
	return p.o.Bus.Replay(ctx, seqs...)
}

// Drop removes dead letters for good.
func (p *Operator) Drop(ctx context.Context, by scope.Scope, seqs ...int64) (_ int, err error) {
	defer func() { p.did(ctx, by, "dead letters dropped", numbers(seqs), &err) }()
	if err := p.allow(by); err != nil {
		return 0, err
	}
	return p.o.Bus.Drop(ctx, seqs...)
}
