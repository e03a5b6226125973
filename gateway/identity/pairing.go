package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	startLength  = 20
	StartLife    = 72 * time.Hour
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
}

// Tag is the tag under which the stranger's events are parked.
func (p Pairing) Tag() string { return "pairing/" + p.Code }

// asked remembers when a sender was last told something, and the open code.
type asked struct {
	At   time.Time `json:"at"`
	Code string    `json:"code,omitempty"`
}

// ask parks a stranger's event. The first one makes a code, and is answered.
func (d *Directory) ask(ctx context.Context, e channels.Event) (Judgement, error) {
	askKey := "asked/" + linkKey(e.Where.Channel, e.Account, e.Who.ID)[len("link/"):]
	last, version, err := getVersion[asked](ctx, d.store, askKey)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return Judgement{}, err
	}
	now := d.now()
	if last.Code != "" {
		p, err := get[Pairing](ctx, d.store, pairKey(e.Where.Channel, last.Code))
		if err == nil && now.Before(p.Expires) {
			return Judgement{Do: Park, Tag: p.Tag(), Until: p.Expires}, nil
		}
		if err != nil && !errors.Is(err, ErrUnknown) {
			return Judgement{}, err
		}
	}
	if now.Sub(last.At) < AskAgain {
		return ignore("stranger was answered within the hour"), nil
	}
	cond := version
	if cond == 0 {
		cond = kv.Absent
	}
	if open, err := d.openOn(ctx, e.Where.Channel); err != nil {
		return Judgement{}, err
	} else if open >= OpenCodes {
		return Judgement{Do: Answer, Reply: textBusy, State: []kv.Write{
			{Space: space, Key: askKey, If: cond, Value: encode(asked{At: now})},
		}}, nil
	}
	p := Pairing{
		Code: newCode(CodeLength), Where: e.Where, Account: e.Account, Who: e.Who,
		Created: now, Expires: now.Add(CodeLife), Status: statusOpen,
	}
	return Judgement{
		Do: Park, Tag: p.Tag(), Until: p.Expires, Reply: fmt.Sprintf(textCode, p.Code, p.Code),
		State: []kv.Write{
			{Space: space, Key: pairKey(e.Where.Channel, p.Code), If: kv.Absent, Value: encode(p)},
			{Space: space, Key: askKey, If: cond, Value: encode(asked{At: now, Code: p.Code})},
		},
	}, nil
}

const (
	textCode = "Hello! I do not know you yet. Your code is `%s`. Pass it on to the person who runs this bot; " +
		"they let you in with `gatehouse pair approve %s` or in the console. " +
		"I keep your message and answer it as soon as they do. The code lasts one hour."
	textBusy    = "Hello! I do not know you yet, and several people are waiting to be let in already. Please try again in an hour."
	textWelcome = "Welcome, %s! You are linked to this bot as **%s**. Just write to me; /help shows what I can do."
	textStale   = "This link has expired or was used already. Ask the person who runs this bot for a new one."
)

func pairKey(c channels.ID, code string) string {
	return "pair/" + url.PathEscape(string(c)) + "/" + code
}

func (d *Directory) openOn(ctx context.Context, c channels.ID) (int, error) {
	all, err := list[Pairing](ctx, d.store, "pair/"+url.PathEscape(string(c))+"/")
	if err != nil {
		return 0, err
	}
	n := 0
	for _, p := range all {
		if p.Status == statusOpen && d.now().Before(p.Expires) {
			n++
		}
	}
	return n, nil
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
	m := Member{ID: "m-" + strings.ToLower(newCode(12)), Name: p.Who.Name, Role: scope.Ordinary, Created: d.now()}
	l := Link{Channel: p.Where.Channel, Account: p.Account, Sender: p.Who.ID, Name: p.Who.Name, Member: m.ID, At: d.now(), How: "pairing"}
	err = d.store.Write(ctx,
		kv.Write{Space: space, Key: pairKey(p.Where.Channel, p.Code), If: version, Value: encode(p)},
		kv.Write{Space: space, Key: memberKey(m.ID), If: kv.Absent, Value: encode(m)},
		kv.Write{Space: space, Key: linkKey(l.Channel, l.Account, l.Sender), Value: encode(l)},
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
	if by.Workspace() != d.workspace || !by.Role().Administers() {
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

// start is a code in a link that makes whoever taps it a given member.
type start struct {
	Member  string    `json:"member"`
	Expires time.Time `json:"expires"`
}

// StartCode makes a single-use code that links the sender who presents it to a
// member. Only its hash is kept.
func (d *Directory) StartCode(ctx context.Context, by scope.Scope, member string) (string, error) {
	if by.Workspace() != d.workspace || !by.Role().Administers() {
		return "", ErrForbidden
	}
	code := newCode(startLength)
	err := d.store.Write(ctx, kv.Write{
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
	if errors.Is(err, ErrUnknown) || err == nil && d.now().After(s.Expires) {
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
	return Judgement{
		Do: Answer, Reply: fmt.Sprintf(textWelcome, e.Who.Name, as.Role),
		State: []kv.Write{
			{Space: space, Key: startKey(c.Args), If: version},
			{Space: space, Key: linkKey(l.Channel, l.Account, l.Sender), Value: encode(l)},
		},
	}, true, nil
}
