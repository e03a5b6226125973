package wasm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

var errNoLender = errors.New("this host lends no files")

// lend answers attachment_link: a link to a file that goes out with the part
// which is being sent, or to one that the guest made for it. What else a call has
// in hand, such as a response, is not lent.
func (h *call) lend(ctx context.Context, in sandbox.Payload) (sandbox.Payload, error) {
	var w wire.AttachmentLink
	wants := h.c.g.pkg.Manifest.Links
	switch {
	case wants == nil:
		return sandbox.Payload{}, sandbox.Denied
	case json.Unmarshal(in.Header, &w) != nil:
		return sandbox.Payload{}, sandbox.Invalid
	case h.sending == nil:
		return sandbox.Payload{}, sandbox.NotFound
	}
	f, ok := h.files[w.Handle]
	if made := h.own[w.Handle]; made != nil {
		f, ok = channels.File{Name: w.Name, MIME: w.MIME}, true
		// A file that grows between two links would be kept once for each.
		if h.lent += int64(made.Len()); h.lent > h.mostMade() {
			return sandbox.Payload{}, sandbox.TooLarge
		}
	}
	if !ok {
		return sandbox.Payload{}, sandbox.NotFound
	}
	l, err := h.link(ctx, w.Handle, f, time.Duration(wants.Hours)*time.Hour)
	if err != nil {
		h.unlent(ctx, err)
		return sandbox.Payload{}, h.failed(err, sandbox.Unavailable)
	}
	header, err := json.Marshal(l)
	return sandbox.Payload{Header: header}, err
}

// link has the gateway lend a file. What the guest made is kept for that.
func (h *call) link(ctx context.Context, handle string, f channels.File, keep time.Duration) (channels.Link, error) {
	lender, ok := h.c.h.(channels.Lender)
	if !ok {
		return channels.Link{}, errNoLender
	}
	if h.c.h.Public() == "" {
		return channels.Link{}, channels.ErrNoPublic
	}
	if made := h.own[handle]; made != nil {
		keeper, ok := h.c.h.(channels.Keeper)
		if !ok {
			return channels.Link{}, errNoLender
		}
		var err error
		if f, err = keeper.Keep(ctx, f, bytes.NewReader(made.Bytes()), maxMade); err != nil {
			return channels.Link{}, fmt.Errorf("keep a file that is to be lent: %w", err)
		}
	}
	return lender.Lend(ctx, *h.sending, f, keep)
}

// unlent tells the operator why a file cannot be fetched. The guest may have said
// so to the person, and succeed.
func (h *call) unlent(ctx context.Context, why error) {
	if h.c.oversteps.fresh("link " + why.Error()) {
		h.c.h.Log().WarnContext(ctx, "a file cannot be lent to the platform", "module", h.c.g.pkg.Manifest.ID, "err", why)
	}
}
