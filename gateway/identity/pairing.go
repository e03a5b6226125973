package identity

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// The limits of pairing.
const (
	CodeLength   = 8
	CodeLife     = time.Hour
	OpenCodes    = 3         // a channel
	AskAgain     = time.Hour // one reply a sender
	MostParked   = 20        // events that wait for one sender's approval
	statusOpen   = "open"
	statusPassed = "approved" // the link stands; parked events are being released
)

// Pairing is a stranger's request to be let in.
type Pairing struct {
	Code    string             `json:"code"`
	Where   channels.Address   `json:"where"`
	Account channels.AccountID `json:"account,omitempty"`
	Who     channels.Sender    `json:"who"`
	Created time.Time          `json:"created"`
	Expires time.Time          `json:"expires"`
	Status  string             `json:"status"`
	Waiting int                `json:"waiting"` // events that are parked
}

// Tag is the tag under which the stranger's events are parked.
func (p Pairing) Tag() string { return "pairing/" + p.Code }

// asked remembers when a sender was last told something, and the open code.
type asked struct {
	At   time.Time `json:"at"`
	Code string    `json:"code,omitempty"`
}

func askKey(c channels.ID, a channels.AccountID, sender string) string {
	return "asked/" + linkKey(c, a, sender)[len("link/"):]
}

// ask parks a stranger's event. The first one makes a code, and is answered.
// Only what somebody says asks to be let in.
func (d *Directory) ask(ctx context.Context, e channels.Event) (Judgement, error) {
	switch e.Content.(type) {
	case channels.Message, channels.Command:
	default:
		return ignore("stranger"), nil
	}
	last, version, err := getVersion[asked](ctx, d.store, askKey(e.Where.Channel, e.Account, e.Who.ID))
	if err != nil && !errors.Is(err, ErrUnknown) {
		return Judgement{}, err
	}
	if p, v, err := d.open(ctx, e.Where.Channel, last.Code); err != nil || v > 0 {
		return d.park(p, v), err
	}
	if d.now().Sub(last.At) < AskAgain {
		return ignore("stranger was answered within the hour"), nil
	}
	return d.newPairing(ctx, e, condition(version))
}

// open returns the request of a code, if it can still be approved; else
// version 0.
func (d *Directory) open(ctx context.Context, c channels.ID, code string) (Pairing, int64, error) {
	if code == "" {
		return Pairing{}, 0, nil
	}
	p, version, err := getVersion[Pairing](ctx, d.store, pairKey(c, code))
	switch {
	case errors.Is(err, ErrUnknown):
		return Pairing{}, 0, nil
	case err != nil:
		return Pairing{}, 0, err
	case p.Status != statusOpen || !d.now().Before(p.Expires):
		return Pairing{}, 0, nil
	}
	return p, version, nil
}

// park adds an event to those that wait. It counts them in the request itself,
// so that it fails when somebody approves or refuses at that moment.
func (d *Directory) park(p Pairing, version int64) Judgement {
	if version == 0 {
		return Judgement{}
	}
	if p.Waiting >= MostParked {
		return ignore("enough of this stranger's messages wait already")
	}
	p.Waiting++
	return Judgement{Do: Park, Tag: p.Tag(), Until: p.Expires, State: []kv.Write{
		{Space: space, Key: pairKey(p.Where.Channel, p.Code), If: version, Value: encode(p)},
	}}
}

// newPairing makes a code, if the channel has room for one more.
func (d *Directory) newPairing(ctx context.Context, e channels.Event, asking int64) (Judgement, error) {
	now := d.now()
	key := askKey(e.Where.Channel, e.Account, e.Who.ID)
	p := Pairing{
		Code: newCode(CodeLength), Where: e.Where, Account: e.Account, Who: e.Who,
		Created: now, Expires: now.Add(CodeLife), Status: statusOpen, Waiting: 1,
	}
	place, free, err := d.freePlace(ctx, p)
	if err != nil {
		return Judgement{}, err
	}
	if !free {
		return Judgement{Do: Answer, Reply: textBusy, State: []kv.Write{
			{Space: space, Key: key, If: asking, Value: encode(asked{At: now})},
		}}, nil
	}
	return Judgement{
		Do: Park, Tag: p.Tag(), Until: p.Expires, Reply: fmt.Sprintf(textCode, p.Code, p.Code),
		State: []kv.Write{
			place,
			{Space: space, Key: pairKey(e.Where.Channel, p.Code), If: kv.Absent, Value: encode(p)},
			{Space: space, Key: key, If: asking, Value: encode(asked{At: now, Code: p.Code})},
		},
	}, nil
}

// place is one of the channel's places for open codes. Two strangers who ask at
// the same moment cannot both take the last one.
type place struct {
	Code string `json:"code"`
}

// freePlace makes the write that takes a place for a request.
func (d *Directory) freePlace(ctx context.Context, p Pairing) (w kv.Write, free bool, err error) {
	c := p.Where.Channel
	for i := range OpenCodes {
		key := fmt.Sprintf("place/%s/%d", url.PathEscape(string(c)), i)
		taken, version, err := getVersion[place](ctx, d.store, key)
		if err != nil && !errors.Is(err, ErrUnknown) {
			return w, false, err
		}
		_, open, err := d.open(ctx, c, taken.Code)
		if err != nil {
			return w, false, err
		}
		if open == 0 {
			return kv.Write{Space: space, Key: key, If: condition(version), Value: encode(place{Code: p.Code})}, true, nil
		}
	}
	return w, false, nil
}

// condition makes a write's condition of the version that was read.
func condition(version int64) int64 {
	if version == 0 {
		return kv.Absent
	}
	return version
}

const (
	textCode = "Hello! I do not know you yet. Your code is `%s`. Pass it on to the person who runs this bot; " +
		"they let you in with `gatehouse pair approve %s` or in the console. " +
		"I keep your message and answer it as soon as they do. The code lasts one hour."
	textBusy = "Hello! I do not know you yet, and several people are waiting to be let in already. Please try again in an hour."
)

func pairKey(c channels.ID, code string) string {
	return "pair/" + url.PathEscape(string(c)) + "/" + code
}

// Pairings lists the open requests, oldest first, and forgets expired ones.
func (d *Directory) Pairings(ctx context.Context) ([]Pairing, error) {
	all, err := list[Pairing](ctx, d.store, "pair/")
	if err != nil {
		return nil, err
	}
	open := all[:0]
	for _, p := range all {
		switch {
		case p.Status != statusOpen:
		case d.now().Before(p.Expires):
			open = append(open, p)
		default:
			if err := d.Forget(ctx, p); err != nil {
				return nil, err
			}
		}
	}
	return open, nil
}

// Passed lists the requests that were approved but whose events may not have
// been released, because the process died in between.
func (d *Directory) Passed(ctx context.Context) ([]Pairing, error) {
	all, err := list[Pairing](ctx, d.store, "pair/")
	if err != nil {
		return nil, err
	}
	var passed []Pairing
	for _, p := range all {
		if p.Status == statusPassed {
			passed = append(passed, p)
		}
	}
	return passed, nil
}

// Approve links the sender behind a code to a new member, on the word of
// somebody who administers. The caller then releases what is parked under the
// request's tag and calls Forget; doing either twice is harmless.
func (d *Directory) Approve(ctx context.Context, by scope.Scope, code string) (Pairing, error) {
	p, version, err := d.pending(ctx, by, code)
	if err != nil {
		return Pairing{}, err
	}
	p.Status = statusPassed
	passed := kv.Write{Space: space, Key: pairKey(p.Where.Channel, p.Code), If: version, Value: encode(p)}
	_, err = get[Link](ctx, d.store, linkKey(p.Where.Channel, p.Account, p.Who.ID))
	switch {
	case err == nil: // linked meanwhile, perhaps as somebody with more rights
		return p, d.store.Write(ctx, passed)
	case !errors.Is(err, ErrUnknown):
		return Pairing{}, err
	}
	m := Member{ID: "m-" + strings.ToLower(newCode(12)), Name: p.Who.Name, Role: scope.Ordinary, Created: d.now()}
	l := Link{Channel: p.Where.Channel, Account: p.Account, Sender: p.Who.ID, Name: p.Who.Name, Member: m.ID, At: d.now(), How: "pairing"}
	err = d.store.Write(ctx, passed,
		kv.Write{Space: space, Key: memberKey(m.ID), If: kv.Absent, Value: encode(m)},
		kv.Write{Space: space, Key: linkKey(l.Channel, l.Account, l.Sender), If: kv.Absent, Value: encode(l)},
	)
	return p, err
}

// Deny refuses a request. The caller discards what is parked under its tag. The
// sender is not asked again within the hour.
func (d *Directory) Deny(ctx context.Context, by scope.Scope, code string) (Pairing, error) {
	p, version, err := d.pending(ctx, by, code)
	if err != nil {
		return Pairing{}, err
	}
	return p, d.store.Write(ctx, kv.Write{Space: space, Key: pairKey(p.Where.Channel, p.Code), If: version})
}

// Forget removes a request that is done with.
func (d *Directory) Forget(ctx context.Context, p Pairing) error {
	return d.store.Write(ctx, kv.Write{Space: space, Key: pairKey(p.Where.Channel, p.Code)})
}

// ErrForbidden: the member's role does not allow it.
var ErrForbidden = errors.New("identity: only the owner or an admin may do this")

func (d *Directory) pending(ctx context.Context, by scope.Scope, code string) (Pairing, int64, error) {
	if !d.administers(by) {
		return Pairing{}, 0, ErrForbidden
	}
	code = strings.ToUpper(strings.TrimSpace(code))
	all, err := list[Pairing](ctx, d.store, "pair/")
	if err != nil {
		return Pairing{}, 0, err
	}
	for _, p := range all {
		if p.Code != code || p.Status != statusOpen || !d.now().Before(p.Expires) {
			continue
		}
		return getVersion[Pairing](ctx, d.store, pairKey(p.Where.Channel, p.Code))
	}
	return Pairing{}, 0, fmt.Errorf("code %q: %w, or it has expired", code, ErrUnknown)
}
