package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/blob"
	"github.com/gatehouse-chat/gatehouse/gateway/lent"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// LentPath is what stands between a channel's own address and the token of a
// link to a file.
const LentPath = "/-/"

// ErrNotLent: there is no such link, or there is none any more.
var ErrNotLent = lent.ErrNone

func (g *Gateway) loans() lent.Book { return lent.Book{Store: g.bus, Now: g.now} }

// Lend implements channels.Lender.
func (h *host) Lend(ctx context.Context, p channels.Part, f channels.File, keep time.Duration) (channels.Link, error) {
	if h.cfg.Public == "" {
		return channels.Link{}, channels.ErrNoPublic
	}
	if err := h.g.blobs.Touch(ctx, blob.ID(f.Blob)); err != nil {
		return channels.Link{}, err
	}
	f.Open = nil
	to := p.To
	to.Channel = h.cfg.ID
	token, until, err := h.g.loans().Lend(ctx, h.Derive(lent.Purpose), lent.Loan{File: f, To: to, Part: p.Key}, keep)
	if err != nil {
		return channels.Link{}, err
	}
	h.lends(f, until)
	return channels.Link{URL: h.cfg.Public + LentPath + token, Until: until}, nil
}

// lends records that a file can be fetched from outside: what it is, never its
// name, and not the link.
func (h *host) lends(f channels.File, until time.Time) {
	if h.g.audit == nil {
		return
	}
	to := ""
	if u, err := url.Parse(h.cfg.Public); err == nil {
		to = u.Host
	}
	h.g.audit.Record(audit.Entry{
		Kind: audit.Egress, Do: "lent", By: scope.Principal{Workspace: h.g.workspaceOf(h.cfg.ID), Member: "gateway", Role: scope.Service},
		On: "a file", To: to, For: "channel " + string(h.cfg.ID),
		Facts: audit.Facts{"type": f.MIME, "bytes": strconv.FormatInt(f.Size, 10), "until": until.Format(time.RFC3339)},
	})
}

// Lent is the file behind the token of a channel's link, with its Open;
// [ErrNotLent] when there is none.
func (g *Gateway) Lent(ctx context.Context, id channels.ID, token string) (channels.File, error) {
	l := g.line(id)
	if l == nil || l.host.Outside == nil {
		return channels.File{}, ErrNotLent
	}
	loan, err := g.loans().Find(ctx, l.host.Derive(lent.Purpose), id, token)
	if err != nil {
		return channels.File{}, err
	}
	f := loan.File
	f.Open = func(ctx context.Context) (io.ReadCloser, error) {
		r, err := g.blobs.Open(ctx, blob.ID(f.Blob))
		if errors.Is(err, blob.ErrNotFound) {
			err = ErrNotLent
		}
		return r, err
	}
	return f, nil
}

// loan decides on a file that is lent: it is theirs if it went to a chat that
// nobody else reads, or with an answer to them.
func (e *erasure) loan(r kv.Entry) change {
	var l lent.Loan
	if json.Unmarshal(r.Value, &l) != nil {
		return change{}
	}
	turn, _, _ := strings.Cut(l.Part, "/")
	return gone(e.turns[turn] || e.direct[l.To.Order()])
}
