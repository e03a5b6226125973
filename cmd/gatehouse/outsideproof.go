package main

import (
	"context"
	"net/http"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels/proof"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// lent is a lease of a secret that does not leave the house: requests are
// judged with it. It is asked for anew before the vault ends it, so that each
// minute of use is on record and not each request.
type lent struct {
	lease egress.Lease
	until time.Time
}

// Verify implements proof.Verifier.
func (o *outside) Verify(ctx context.Context, c *proof.Checker, r proof.Request) error {
	return o.withValues(ctx, c.Refs(), "", nil, func(values [][]byte) error { return c.Check(ctx, values, r) })
}

// Sign implements proof.Verifier.
func (o *outside) Sign(ctx context.Context, ref, host, id string, at time.Time, body []byte) (h http.Header, err error) {
	err = o.withValues(ctx, []string{ref}, host, nil, func(values [][]byte) error {
		h, err = proof.SignStandard(values[0], id, at, body)
		return err
	})
	return h, err
}

// withValues calls f with the values of references, which are wiped afterwards.
func (o *outside) withValues(ctx context.Context, refs []string, host string, values [][]byte, f func([][]byte) error) error {
	if len(refs) == 0 {
		return f(values)
	}
	var inner error // what f said; the lease's own failures are others
	use := func(plain []byte) error {
		inner = o.withValues(ctx, refs[1:], host, append(values, plain), f)
		return nil
	}
	for fresh := range 2 {
		l, err := o.lent(ctx, refs[0], host, fresh == 1)
		if err != nil {
			return err
		}
		if err = l.Use(use); err == nil {
			return inner
		}
		if fresh == 1 {
			return err
		}
	}
	return nil
}

// lent borrows the value of a reference, or takes the lease that is there.
func (o *outside) lent(ctx context.Context, ref, host string, anew bool) (egress.Lease, error) {
	key := ref + "\x00" + host
	o.mu.Lock()
	l, ok := o.own[key]
	o.mu.Unlock()
	now := time.Now()
	if ok && !anew && now.Before(l.until) {
		return l.lease, nil
	}
	borrow := o.b.lease(o.home, ref, vault.Purpose{Kind: vault.ForChannel, Name: string(o.id)})
	lease, err := borrow(ctx, host)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.own[key] = lent{lease, now.Add(vault.LeaseFor / 2)}
	return lease, nil
}
