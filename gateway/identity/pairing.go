package identity

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"slices"
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

// Pairing is a stranger's request to be let in. The code that the stranger was
// told is not in it, only its hash.
type Pairing struct {
	ID        string             `json:"id"` // for show and for deciding; it is no secret
	Workspace string             `json:"workspace"`
	Hash      []byte             `json:"hash,omitempty"` // nil in what is handed out
	Where     channels.Address   `json:"where"`
	Account   channels.AccountID `json:"account,omitempty"`
	Who       channels.Sender    `json:"who"`
	Created   time.Time          `json:"created"`
	Expires   time.Time          `json:"expires"`
	Status    string             `json:"status"`
	Waiting   int                `json:"waiting"` // events that are parked
}

// Tag is the tag under which the stranger's events are parked.
func (p Pairing) Tag() string { return "pairing/" + p.ID }

// has reports whether a code, as a person typed it, is this request's. It takes
// as long for a wrong code as for a right one.
func (p Pairing) has(typed string) bool {
	h := pairHash(p.Where.Channel, p.ID, typed)
	return len(typed) == CodeLength && subtle.ConstantTimeCompare(h, p.Hash) == 1
}

func pairHash(c channels.ID, id, code string) []byte {
	h := sha256.Sum256([]byte("pair\x00" + url.PathEscape(string(c)) + "\x00" + id + "\x00" + code))
	return h[:]
}

// asked remembers when a sender was last told something, and the open request.
type asked struct {
	At time.Time `json:"at"`
	ID string    `json:"id,omitempty"`
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
	last, version, err := getVersion[asked](ctx, d, askKey(e.Where.Channel, e.Account, e.Who.ID))
	if err != nil && !errors.Is(err, ErrUnknown) {
		return Judgement{}, err
	}
	if p, v, err := d.open(ctx, e.Where.Channel, last.ID); err != nil || v > 0 {
		return d.park(p, v), err
	}
	if d.now().Sub(last.At) < AskAgain {
		return ignore("stranger was answered within the hour"), nil
	}
	return d.newPairing(ctx, e, condition(version))
}

// open returns a request, if it can still be approved; else version 0.
func (d *Directory) open(ctx context.Context, c channels.ID, id string) (Pairing, int64, error) {
	if id == "" {
		return Pairing{}, 0, nil
	}
	p, version, err := getVersion[Pairing](ctx, d, pairKey(c, id))
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
		d.set(pairKey(p.Where.Channel, p.ID), version, p),
	}}
}

// newPairing makes a code, if the channel has room for one more.
func (d *Directory) newPairing(ctx context.Context, e channels.Event, asking int64) (Judgement, error) {
	now := d.now()
	key := askKey(e.Where.Channel, e.Account, e.Who.ID)
	code := newCode(CodeLength)
	p := Pairing{
		ID: strings.ToLower(newCode(6)), Workspace: d.workspace, Where: e.Where, Account: e.Account, Who: e.Who,
		Created: now, Expires: now.Add(CodeLife), Status: statusOpen, Waiting: 1,
	}
	p.Hash = pairHash(e.Where.Channel, p.ID, code)
	place, free, err := d.freePlace(ctx, p)
	if err != nil {
		return Judgement{}, err
	}
	if !free {
		return Judgement{Do: Answer, Reply: textBusy, State: []kv.Write{
			d.set(key, asking, asked{At: now}),
		}}, nil
	}
	return Judgement{
		Do: Park, Tag: p.Tag(), Until: p.Expires, Reply: fmt.Sprintf(textCode, code, code, code),
		State: []kv.Write{
			place,
			d.set(pairKey(e.Where.Channel, p.ID), kv.Absent, p),
			d.set(key, asking, asked{At: now, ID: p.ID}),
		},
	}, nil
}

// place is one of the channel's places for open codes. Two strangers who ask at
// the same moment cannot both take the last one.
type place struct {
	ID string `json:"id"`
}

// freePlace makes the write that takes a place for a request.
func (d *Directory) freePlace(ctx context.Context, p Pairing) (w kv.Write, free bool, err error) {
	c := p.Where.Channel
	for i := range OpenCodes {
		key := fmt.Sprintf("place/%s/%d", url.PathEscape(string(c)), i)
		taken, version, err := getVersion[place](ctx, d, key)
		if err != nil && !errors.Is(err, ErrUnknown) {
			return w, false, err
		}
		_, open, err := d.open(ctx, c, taken.ID)
		if err != nil {
			return w, false, err
		}
		if open == 0 {
			return d.set(key, condition(version), place{ID: p.ID}), true, nil
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
		"they let you in with `/approve %s` in their own chat with me, with `gatehouse pair approve %s`, or in the console. " +
		"I keep your message and answer it as soon as they do. The code lasts one hour."
	textBusy = "Hello! I do not know you yet, and several people are waiting to be let in already. Please try again in an hour."
)

func pairKey(c channels.ID, id string) string {
	return "pair/" + url.PathEscape(string(c)) + "/" + id
}

// Pairings lists the open requests, and forgets expired ones.
func (d *Directory) Pairings(ctx context.Context) ([]Pairing, error) {
	all, err := list[Pairing](ctx, d, "pair/")
	if err != nil {
		return nil, err
	}
	open := all[:0]
	for _, p := range all {
		switch {
		case p.Status != statusOpen:
		case d.now().Before(p.Expires):
			p.Hash = nil
			open = append(open, p)
		default:
			if err := d.Forget(ctx, p); err != nil {
				return nil, err
			}
		}
	}
	return open, nil
}

// Passed lists the requests, of all workspaces, that were approved but whose
// events may not have been released, because the process died in between.
func (d *Directory) Passed(ctx context.Context) ([]Pairing, error) {
	all, err := everywhere(ctx, d, func(d *Directory) ([]Pairing, error) { return list[Pairing](ctx, d, "pair/") })
	return slices.DeleteFunc(all, func(p Pairing) bool { return p.Status != statusPassed }), err
}

// Approve links the sender of a request to a new member, on the word of somebody
// who approves. ref is the code that the sender was told, or the request's id.
// The caller then releases what is parked under the request's tag and calls
// Forget; doing either twice is harmless.
func (d *Directory) Approve(ctx context.Context, by scope.Scope, ref string) (Pairing, error) {
	p, version, err := d.pending(ctx, by, ref)
	if err != nil {
		return Pairing{}, err
	}
	p.Status, p.Hash = statusPassed, nil
	passed := d.set(pairKey(p.Where.Channel, p.ID), version, p)
	_, err = get[Link](ctx, d, linkKey(p.Where.Channel, p.Account, p.Who.ID))
	switch {
	case err == nil: // linked meanwhile, perhaps as somebody with more rights
		return p, d.store.Write(ctx, passed)
	case !errors.Is(err, ErrUnknown):
		return Pairing{}, err
	}
	m := Member{ID: newMemberID(), Name: nameOf("", p.Who), Role: scope.Ordinary, Created: d.now()}
	l := Link{Channel: p.Where.Channel, Account: p.Account, Sender: p.Who.ID, Name: p.Who.Name, Member: m.ID, At: d.now(), How: "pairing"}
	err = d.store.Write(ctx, passed,
		d.set(memberKey(m.ID), kv.Absent, m),
		d.set(linkKey(l.Channel, l.Account, l.Sender), kv.Absent, l),
	)
	return p, err
}

// Deny refuses a request. The caller discards what is parked under its tag. The
// sender is not asked again within the hour.
func (d *Directory) Deny(ctx context.Context, by scope.Scope, ref string) (Pairing, error) {
	p, version, err := d.pending(ctx, by, ref)
	if err != nil {
		return Pairing{}, err
	}
	p.Hash = nil
	return p, d.store.Write(ctx, d.unset(pairKey(p.Where.Channel, p.ID), version))
}

// Forget removes a request that is done with.
func (d *Directory) Forget(ctx context.Context, p Pairing) error {
	d = d.In(p.Workspace)
	return d.store.Write(ctx, d.unset(pairKey(p.Where.Channel, p.ID), 0))
}

// Asks reports whether a request is open that has this code or id.
func (d *Directory) Asks(ctx context.Context, by scope.Scope, ref string) (bool, error) {
	_, version, err := d.pending(ctx, by, ref)
	if errors.Is(err, ErrUnknown) {
		err = nil
	}
	return version != 0, err
}

// pending finds an open request. Every one is compared, whichever it is.
func (d *Directory) pending(ctx context.Context, by scope.Scope, ref string) (Pairing, int64, error) {
	if !d.may(by, scope.Approve) {
		return Pairing{}, 0, ErrForbidden
	}
	ref = strings.TrimSpace(ref)
	typed := strings.ToUpper(strings.ReplaceAll(ref, "-", ""))
	all, err := rows[Pairing](ctx, d, "pair/")
	if err != nil {
		return Pairing{}, 0, err
	}
	found, version := Pairing{}, int64(0)
	for _, r := range all {
		p := r.value
		meant := p.has(typed) || p.ID == strings.ToLower(ref)
		if meant && p.Status == statusOpen && d.now().Before(p.Expires) {
			found, version = p, r.version
		}
	}
	if version == 0 {
		return Pairing{}, 0, Unknown{What: "open request or code", Name: ref, See: "pair list"}
	}
	return found, version, nil
}
