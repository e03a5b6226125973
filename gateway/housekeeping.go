package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
	"github.com/gatehouse-chat/gatehouse/gateway/lent"
	"github.com/gatehouse-chat/gatehouse/gateway/session"
)

// The rhythm and reach of housekeeping.
const (
	gaugeEvery = 15 * time.Second
	sweepEvery = 10 * time.Minute
)

// housekeep refreshes the gauges and applies the retention until ctx ends.
func (g *Gateway) housekeep(ctx context.Context) error {
	swept := time.Time{}
	for {
		if s, err := g.Status(ctx); err == nil {
			g.metrics.depths(s.Depths, s.Turns, g.now())
			g.metrics.lines(g.Ready().Channels, s.Channels)
		}
		if err := g.answerForPeople(ctx); err != nil && ctx.Err() == nil {
			g.log.Error("answer questions whose time is up", "err", err)
		}
		if err := g.runErrands(ctx); err != nil && ctx.Err() == nil {
			g.log.Error("take up what is due; it will be tried again", "err", err)
		}
		if g.replicas { // the others spend, too
			if err := g.spend.load(ctx); err != nil && ctx.Err() == nil {
				g.log.Warn("read today's spending", "err", err)
			}
		}
		if g.now().Sub(swept) >= sweepEvery {
			g.sweep(ctx)
			swept = g.now()
		}
		if pause(ctx, gaugeEvery) != nil {
			return nil
		}
	}
}

func (g *Gateway) sweep(ctx context.Context) {
	n, err := g.bus.Sweep(ctx, g.keep.Retention)
	if err != nil {
		if ctx.Err() == nil {
			g.log.Error("apply the retention", "err", err)
		}
		return
	}
	if n != (bus.Swept{}) {
		g.log.Info("retention applied", "bodies", n.Bodies, "dead", n.Dead, "keys", n.Keys, "expired", n.Expired)
	}
	g.tidy(ctx)
	files, err := g.sweeper.Sweep(ctx)
	if err != nil && ctx.Err() == nil {
		g.log.Error("remove files that nothing refers to", "err", err)
	}
	if files > 0 {
		g.log.Info("removed files that nothing refers to", "count", files)
	}
	if g.keep.Spending <= 0 {
		return
	}
	old, err := g.spend.forget(ctx, dayOf(g.now().Add(-g.keep.Spending)))
	if err == nil && len(old) > 0 {
		err = g.bus.Write(ctx, old...)
	}
	if err != nil && ctx.Err() == nil {
		g.log.Error("forget old spending", "err", err)
	}
}

// tidySessions is how many sessions one sweep looks at.
const tidySessions = 500

// forgetSessions removes what of the histories is over. Each call looks at the
// next few sessions; the end is followed by the start.
func (g *Gateway) forgetSessions(ctx context.Context) error {
	for range tidySessions {
		old, next, err := g.book.Expired(ctx, g.tidied[sessionWalk], g.keep.Sessions, g.now())
		if err != nil {
			return err
		}
		if len(old) > 0 {
			if err := g.bus.Write(ctx, old...); err != nil && !errors.Is(err, bus.ErrConflict) {
				return err
			}
		}
		if g.tidied[sessionWalk] = next; next == "" {
			return nil
		}
	}
	return nil
}

// sessionWalk names the walk through the sessions among what was tidied.
const sessionWalk = "session"

// tidyRows is how many rows of each space one sweep looks at.
const tidyRows = 5000

// tidy removes state that nothing refers to any more: what turns left behind
// goes with their records, what may be replayed with the dead letters.
func (g *Gateway) tidy(ctx context.Context) {
	over := func(at time.Time, keep time.Duration) bool {
		return keep > 0 && !at.IsZero() && g.now().Sub(at) > keep
	}
	long := max(g.keep.Bodies, g.keep.Dead)
	if g.keep.Bodies <= 0 || g.keep.Dead <= 0 {
		long = 0 // something is kept for ever
	}
	jobs := []error{
		g.dir.Tidy(ctx),
		g.finishPairings(ctx), // those whose release failed
		g.finishDepartures(ctx),
		g.finishWorkspaces(ctx),
		g.forgetSessions(ctx),
		g.forget(ctx, session.Background, func(e bus.Entry) bool {
			var ev channels.Event
			return json.Unmarshal(e.Value, &ev) == nil && over(ev.At, g.keep.Sessions.Idle)
		}),
		g.approvals.Tidy(ctx),
		g.expireMemory(ctx),
		g.forget(ctx, turnSpace, func(e bus.Entry) bool {
			var r turnRecord
			return json.Unmarshal(e.Value, &r) == nil && over(r.Ended, g.keep.Turns)
		}),
		g.forget(ctx, stopSpace, func(e bus.Entry) bool {
			var r stopAsked
			return json.Unmarshal(e.Value, &r) == nil && over(r.At, stopStale)
		}),
		g.forget(ctx, gatheredSpace, func(e bus.Entry) bool {
			turn, err := g.bus.Get(ctx, turnSpace, string(e.Value))
			return err == nil && turn.Version == 0
		}),
		g.forget(ctx, stepSpace, func(e bus.Entry) bool {
			var r stepRow
			return json.Unmarshal(e.Value, &r) == nil && over(r.At, long)
		}),
	}
	jobs = append(jobs, g.forget(ctx, lent.Space, func(e bus.Entry) bool { return lent.Over(e, g.now()) }))
	for _, space := range delivery.Spaces() {
		jobs = append(jobs, g.forget(ctx, space, func(e bus.Entry) bool { return over(delivery.LastUse(e), long) }))
	}
	if err := errors.Join(jobs...); err != nil && ctx.Err() == nil {
		g.log.Error("tidy the state", "err", err)
	}
}

// forget deletes rows of a space that are over, and have not changed since they
// were read. Each call looks at the next few; the end is followed by the start.
func (g *Gateway) forget(ctx context.Context, space string, over func(bus.Entry) bool) error {
	after := g.tidied[space]
	for range tidyRows / 1000 {
		rows, err := g.bus.List(ctx, space, "", after, 1000)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if !over(r) {
				continue
			}
			err := g.bus.Write(ctx, bus.Write{Space: space, Key: r.Key, If: r.Version})
			if err != nil && !errors.Is(err, bus.ErrConflict) {
				return err
			}
		}
		if len(rows) == 0 {
			after = ""
			break
		}
		after = rows[len(rows)-1].Key
	}
	g.tidied[space] = after
	return nil
}

// expireMemory removes what was to be remembered for a time.
func (g *Gateway) expireMemory(ctx context.Context) error {
	if g.memory == nil {
		return nil
	}
	n, err := g.memory.Expire(ctx)
	if n > 0 {
		g.log.Info("forgot what had expired", "count", n)
	}
	return err
}
