package gateway

import (
	"context"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// The rhythm and reach of housekeeping.
const (
	gaugeEvery = 15 * time.Second
	sweepEvery = 10 * time.Minute
	spendKept  = 400 * 24 * time.Hour
)

// housekeep refreshes the gauges and applies the retention until ctx ends.
func (g *Gateway) housekeep(ctx context.Context) error {
	swept := time.Time{}
	for {
		if depths, err := g.bus.Depths(ctx); err == nil {
			g.metrics.depths(depths, g.running.count(), g.now())
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
	n, err := g.bus.Sweep(ctx, g.keep)
	if err != nil {
		if ctx.Err() == nil {
			g.log.Error("apply the retention", "err", err)
		}
		return
	}
	if n != (bus.Swept{}) {
		g.log.Info("retention applied", "bodies", n.Bodies, "dead", n.Dead, "keys", n.Keys, "expired", n.Expired)
	}
	old, err := g.spend.forget(ctx, dayOf(g.now().Add(-spendKept)))
	if err == nil && len(old) > 0 {
		err = g.bus.Write(ctx, old...)
	}
	if err != nil && ctx.Err() == nil {
		g.log.Error("forget old spending", "err", err)
	}
}

// Pairings lists who asks to be let in.
func (g *Gateway) Pairings(ctx context.Context) ([]identity.Pairing, error) {
	return g.dir.Pairings(ctx)
}

// ApprovePairing lets a stranger in and releases what they wrote.
func (g *Gateway) ApprovePairing(ctx context.Context, by scope.Scope, code string) (identity.Pairing, error) {
	p, err := g.dir.Approve(ctx, by, code)
	if err != nil {
		return p, err
	}
	return p, g.finishPairing(ctx, p)
}

// DenyPairing refuses a stranger and drops what they wrote.
func (g *Gateway) DenyPairing(ctx context.Context, by scope.Scope, code string) (identity.Pairing, error) {
	p, err := g.dir.Deny(ctx, by, code)
	if err != nil {
		return p, err
	}
	_, err = g.bus.Discard(ctx, p.Tag())
	return p, err
}

func (g *Gateway) finishPairing(ctx context.Context, p identity.Pairing) error {
	if _, err := g.bus.Unpark(ctx, p.Tag()); err != nil {
		return err
	}
	return g.dir.Forget(ctx, p)
}

// finishPairings completes approvals that a crash cut in two.
func (g *Gateway) finishPairings(ctx context.Context) error {
	passed, err := g.dir.Passed(ctx)
	if err != nil {
		return err
	}
	for _, p := range passed {
		if err := g.finishPairing(ctx, p); err != nil {
			return err
		}
	}
	return nil
}
