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
// durably and for all replicas before the call that spends it: a crash wastes
// one, and none is taken too many. Without a path the part goes the ordinary
// way.
func (a *attempt) takeVia(ctx context.Context, part *channels.Part) *bus.Outcome {
	part.Via = standing(a.out.Via, a.c.Now())
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

// nextUse makes the write that takes one more use; false when there is none left.
func (a *attempt) nextUse(ctx context.Context, v *channels.Via) (kv.Write, bool, error) {
	key := viaKey(a.out.To, v)
	e, err := a.c.Bus.Get(ctx, viaSpace, key)
	if err != nil {
		return kv.Write{}, false, err
	}
	var use viaUse
	cond := kv.Absent
	if e.Version > 0 {
		if err := json.Unmarshal(e.Value, &use); err != nil {
			return kv.Write{}, false, fmt.Errorf("uses: %w", err)
		}
		cond = e.Version
	}
	if use.Used >= v.Uses {
		return kv.Write{}, false, nil
	}
	use.Used, use.At = use.Used+1, a.c.Now()
	if v.Expires.After(use.At) {
		use.At = v.Expires
	}
	b, err := json.Marshal(use)
	return kv.Write{Space: viaSpace, Key: key, If: cond, Value: b}, true, err
}
