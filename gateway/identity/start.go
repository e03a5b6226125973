package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// StartLife is how long a start code can be used.
const StartLife = 72 * time.Hour

const startLength = 20 // of 32 letters each: 100 bits

const (
	textWelcome = "Welcome, %s! You are linked to this bot as **%s**. Just write to me; /help shows what I can do."
	textStale   = "This link has expired or was used already. Ask the person who runs this bot for a new one."
)

// start is a code in a link that makes whoever taps it a given member.
type start struct {
	Member  string    `json:"member"`
	Expires time.Time `json:"expires"`
}

// StartCode makes a single-use code that links the sender who presents it to a
// member. Only its hash is kept. Nobody but an owner makes one for somebody
// else who administers, so that no admin becomes an owner by it.
func (d *Directory) StartCode(ctx context.Context, by scope.Scope, member string) (string, error) {
	if !d.administers(by) {
		return "", ErrForbidden
	}
	m, err := d.Member(ctx, member)
	if err != nil {
		return "", fmt.Errorf("member %q: %w", member, err)
	}
	if m.Role.Administers() && m.ID != by.Member() && by.Role() != scope.Owner {
		return "", ErrForbidden
	}
	code := newCode(startLength)
	err = d.store.Write(ctx, kv.Write{
		Space: space, Key: startKey(code), If: kv.Absent,
		Value: encode(start{Member: member, Expires: d.now().Add(StartLife)}),
	})
	return code, err
}

func startKey(code string) string {
	h := sha256.Sum256([]byte("start\x00" + code))
	return "start/" + hex.EncodeToString(h[:16])
}

// redeem handles "/start <code>". ok is false when the event is no such thing.
func (d *Directory) redeem(ctx context.Context, e channels.Event, p Policy, m Member) (Judgement, bool, error) {
	c, ok := e.Content.(channels.Command)
	if !ok || c.Name != "start" || len(c.Args) != startLength || p.Authenticated {
		return Judgement{}, false, nil
	}
	s, version, err := getVersion[start](ctx, d.store, startKey(c.Args))
	if errors.Is(err, ErrUnknown) || err == nil && !d.now().Before(s.Expires) {
		if m.ID != "" { // tapped twice: it worked the first time
			return Judgement{Do: Answer, Reply: fmt.Sprintf(textWelcome, e.Who.Name, m.Role)}, true, nil
		}
		return Judgement{}, false, nil // a stranger: as any other message
	}
	if err != nil {
		return Judgement{}, false, err
	}
	as, err := d.Member(ctx, s.Member)
	if err != nil {
		return Judgement{Do: Answer, Reply: textStale}, true, nil
	}
	l := Link{Channel: e.Where.Channel, Account: e.Account, Sender: e.Who.ID, Name: e.Who.Name, Member: as.ID, At: d.now(), How: "start-link"}
	j := Judgement{
		Do: Answer, Reply: fmt.Sprintf(textWelcome, e.Who.Name, as.Role),
		State: []kv.Write{
			{Space: space, Key: startKey(c.Args), If: version},
			{Space: space, Key: linkKey(l.Channel, l.Account, l.Sender), Value: encode(l)},
		},
	}
	err = d.passOwn(ctx, e, &j)
	return j, true, err
}

// passOwn settles the request that a sender had open before the link was tapped.
func (d *Directory) passOwn(ctx context.Context, e channels.Event, j *Judgement) error {
	last, err := get[asked](ctx, d.store, askKey(e.Where.Channel, e.Account, e.Who.ID))
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	p, version, err := d.open(ctx, e.Where.Channel, last.Code)
	if err != nil || version == 0 {
		return err
	}
	p.Status = statusPassed
	j.Passed = &p
	j.State = append(j.State, kv.Write{Space: space, Key: pairKey(p.Where.Channel, p.Code), If: version, Value: encode(p)})
	return nil
}
