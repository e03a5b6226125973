package delivery

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// viaSpace counts the uses of reply paths: hash of the path -> viaUse.
const viaSpace = "via"

// viaUse is how often a reply path was used.
type viaUse struct {
	Used int       `json:"used"`
	At   time.Time `json:"at"` // of the last use, or the path's end if that is later
}

// Seals keep reply paths confidential while they are kept; vault.Store
// implements it.
type Seals interface {
	Seal(ctx context.Context, workspace, domain string, plain []byte) ([]byte, error)
	Open(ctx context.Context, workspace, domain string, sealed []byte) ([]byte, error)
}

// SealVia returns the form in which a path that came from a place is kept: its
// token opens in the same workspace, channel and account only.
func SealVia(ctx context.Context, s Seals, workspace string, at channels.Address, v channels.Via) (*channels.Via, error) {
	sealed, err := s.Seal(ctx, workspace, viaDomain(at), []byte(v.Token.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("seal the reply path: %w", err)
	}
	v.Token, v.Sealed = channels.Secret{}, sealed
	return &v, nil
}

func viaDomain(at channels.Address) string {
	return "via/" + channels.Address{Channel: at.Channel, Account: at.Account}.Order()
}

// path opens an outbound's reply path for a send; nil when there is none that
// stands, and when it cannot be opened: then the ordinary way is left.
func (c *Courier) path(ctx context.Context, workspace string, o Outbound) *channels.Via {
	v := standing(o.Via, c.Now())
	if v == nil || c.Seals == nil {
		return nil
	}
	plain, err := c.Seals.Open(ctx, workspace, viaDomain(o.To), v.Sealed)
	if err != nil {
		c.Log.Warn("a reply path cannot be opened; the reply goes the ordinary way", "channel", c.ID, "turn", o.Turn, "err", err)
		return nil
	}
	open := *v
	open.Token, open.Sealed = channels.NewSecret(string(plain)), nil
	clear(plain)
	return &open
}

// viaKey names a path without showing its token.
func viaKey(to channels.Address, v *channels.Via) string {
	h := sha256.Sum256([]byte(string(to.Channel) + "\x00" + string(to.Account) + "\x00" + v.Token.Reveal()))
	return hex.EncodeToString(h[:16])
}

// standing returns the path as long as it has not expired. One without an end
// does not expire.
func standing(v *channels.Via, now time.Time) *channels.Via {
	if v == nil || !v.Expires.IsZero() && !now.Before(v.Expires) {
		return nil
	}
	return v
}

// takeVia gives the part its reply path, if that still stands. A use is taken
// durably and for all replicas before the call that spends it, and given back
// when that certainly did nothing: a crash wastes one, and none is taken too many. Without a path the part goes the ordinary
// way.
func (a *attempt) takeVia(ctx context.Context, part *channels.Part) *bus.Outcome {
	part.Via = a.c.path(ctx, a.rec.Workspace, a.out)
	if part.Via == nil || part.Via.Uses <= 0 {
		return nil
	}
	use, ok, err := a.nextUse(ctx, part.Via)
	switch {
	case err != nil:
		out := a.later(a.c.Now().Add(time.Second), "reply path: "+err.Error())
		return &out
	case !ok:
		part.Via = nil
		return nil
	}
	return a.mark(ctx, use)
}

// giveBack returns the use of a send that certainly did nothing, so that trying
// again does not use a path up. One that cannot be returned is wasted, as by a
// crash.
func (a *attempt) giveBack(ctx context.Context, v *channels.Via) {
	if !metered(v) {
		return
	}
	use, cond, err := a.useOf(ctx, v)
	if err != nil || use.Used == 0 {
		return
	}
	use.Used--
	w, err := a.useWrite(v, use, cond)
	if err == nil {
		_, err = a.c.Bus.Hold(ctx, a.lease, bus.Hold{State: []kv.Write{w}})
	}
	if err != nil {
		a.c.Log.Debug("a use of a reply path is wasted", "channel", a.c.ID, "turn", a.out.Turn, "err", err)
	}
}

// nextUse makes the write that takes one more use; false when there is none left.
func (a *attempt) nextUse(ctx context.Context, v *channels.Via) (kv.Write, bool, error) {
	use, cond, err := a.useOf(ctx, v)
	if err != nil || use.Used >= v.Uses {
		return kv.Write{}, false, err
	}
	use.Used++
	w, err := a.useWrite(v, use, cond)
	return w, true, err
}

// useOf is how often a path was used, and the condition for changing that.
func (a *attempt) useOf(ctx context.Context, v *channels.Via) (use viaUse, cond int64, err error) {
	e, err := a.c.Bus.Get(ctx, viaSpace, viaKey(a.out.To, v))
	if err != nil || e.Version == 0 {
		return use, kv.Absent, err
	}
	if err := json.Unmarshal(e.Value, &use); err != nil {
		return use, 0, fmt.Errorf("uses: %w", err)
	}
	return use, e.Version, nil
}

func (a *attempt) useWrite(v *channels.Via, use viaUse, cond int64) (kv.Write, error) {
	use.At = a.c.Now()
	if v.Expires.After(use.At) {
		use.At = v.Expires
	}
	b, err := json.Marshal(use)
	return kv.Write{Space: viaSpace, Key: viaKey(a.out.To, v), If: cond, Value: b}, err
}
