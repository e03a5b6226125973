package wasm

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/channels/link"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// requestAll makes the requests that waited for a commit, beside what comes
// next, which they must not hold up. They outlive ctx, by their timeout at most.
func (c *channel) requestAll(ctx context.Context, all []sandbox.Payload) {
	ctx = context.WithoutCancel(ctx)
	for _, in := range all {
		c.beside.Go(func() {
			if err := c.request(ctx, in); err != nil {
				c.h.Log().WarnContext(ctx, "a request that followed a commit failed", "module", c.g.pkg.Manifest.ID, "err", err)
			}
		})
	}
}

// request makes one of them.
func (c *channel) request(ctx context.Context, in sandbox.Payload) error {
	const pause = 100 * time.Millisecond
	var r wire.Request
	if json.Unmarshal(in.Header, &r) != nil {
		return errEffect
	}
	r.Save = false
	within := milliseconds(r.TimeoutMS)
	if within == 0 {
		within = callTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, min(within, longestRequest))
	defer cancel()
	for {
		h := &call{c: c, outer: ctx}
		resp, _, err := h.exchange(ctx, r, in.Body)
		again := r.Repeatable && (errors.Is(err, sandbox.Unavailable) || err == nil && (resp.Status == 429 || resp.Status >= 500))
		switch {
		case again && link.Sleep(ctx, pause) == nil:
			continue
		case err != nil && h.cause != nil:
			return h.cause
		case err != nil:
			return err
		case resp.Status/100 != 2:
			return errRefused
		}
		return nil
	}
}

var errRefused = errors.New("the platform refused it")
