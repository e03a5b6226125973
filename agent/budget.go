package agent

import (
	"context"
	"errors"
)

// Budget bounds what calls of models may cost together. It is safe for
// concurrent use.
type Budget interface {
	// Reserve sets aside what one call may cost: most USD, or what is left of
	// that, but least at the least. It waits while other calls have set aside
	// what this one needs, and fails with [ErrOverBudget] when they cannot give
	// it back either, or with the cause of ctx. The caller calls spent once, with
	// what the call did cost, and so gives the rest back.
	Reserve(ctx context.Context, least, most float64) (usd float64, spent func(usd float64), err error)
}

// ErrOverBudget says that less is left than a call may cost.
var ErrOverBudget = errors.New("over budget")

// How many tokens of output a call is thought to take.
const (
	leastOutput = 512    // worth asking for
	usualOutput = 16_384 // where the model's own limit is not configured
)

// reserve sets aside what a call may cost, and limits its output to that: where
// all of the usual is to be had, the provider's default stays. The estimate of
// the input is raised by half, because tokenisers differ.
func (r *run) reserve(ctx context.Context, m Model, req *ModelRequest, estimate int) (spent func(float64), err error) {
	if r.turn.Budget == nil || m.Price.Free() {
		return func(float64) {}, nil
	}
	limit := orElse(req.MaxOutput, usualOutput)
	price := func(output int) float64 { return m.Price.Of(Usage{Input: estimate + estimate/2, Output: output}) }
	usd, spent, err := r.turn.Budget.Reserve(ctx, price(min(limit, leastOutput)), price(limit))
	switch {
	case errors.Is(err, ErrOverBudget):
		return nil, &Error{Kind: OverBudget, Provider: m.Kind, Model: m.Name}
	case err != nil:
		return nil, err
	}
	if usd < price(limit) {
		const million = 1e6
		req.MaxOutput = max(1, int((usd-price(0))*million/m.Price.Output))
	}
	return spent, nil
}
