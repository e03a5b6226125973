package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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

// The lives and lengths of codes that make whoever sends them somebody. Their
// hashes alone are kept.
const (
	StartLife  = 72 * time.Hour // of invitations, and of links that connect a member
	OwnLife    = 15 * time.Minute
	longCode   = 20 // of 32 letters each: 100 bits, for links and for copying
	ownCode    = 8  // 40 bits, for typing into a phone
	triesEach  = 5  // wrong codes a sender and hour
	triesAll   = 30 // wrong codes of strangers a channel and hour
	triesReset = time.Hour
)

const (
	textWelcome = "Welcome, %s! You are linked to this bot as **%s**. Just write to me; /help shows what I can do."
	textLinked  = "This account is now linked to **%s**. What I know of you there, I know here."
	textStale   = "This link has expired or was used already. Ask the person who runs this bot for a new one."
	textAlready = "You are linked to this bot already, as **%s**. The invitation was not used."
)

// kindOfCode says what a code does. The set is closed.
type kindOfCode string

const (
	connects kindOfCode = "connect" // makes the sender a given member; made by somebody in charge, or by the member
	own      kindOfCode = "own"     // the same, made by the member for another account of theirs
	invites  kindOfCode = "invite"  // makes the sender a new member
)

// code is what stands under the hash of a code.
type code struct {
	ID      string     `json:"id"`
	Kind    kindOfCode `json:"kind"`
	Member  string     `json:"member,omitempty"` // connects, own
	Name    string     `json:"name,omitempty"`   // invites; empty: what the sender is called
	Role    scope.Role `json:"role,omitempty"`   // invites
	By      string     `json:"by"`
	Created time.Time  `json:"created"`
	Expires time.Time  `json:"expires"`
}

// Invitation is an open invitation, without its code.
type Invitation struct {
	ID      string     `json:"id"`
	Name    string     `json:"name,omitempty"`
	Role    scope.Role `json:"role"`
	By      string     `json:"by"`
	Created time.Time  `json:"created"`
	Expires time.Time  `json:"expires"`
}

func (c code) invitation() Invitation {
	return Invitation{ID: c.ID, Name: c.Name, Role: c.Role, By: c.By, Created: c.Created, Expires: c.Expires}
}

// StartCode makes a single-use code that links the sender who presents it to a
// member. Nobody but an owner makes one for somebody else who administers, so
// that no admin becomes an owner by it.
func (d *Directory) StartCode(ctx context.Context, by scope.Scope, member string) (string, error) {
	if !d.administers(by) {
		return "", ErrForbidden
	}
	m, err := d.Member(ctx, member)
	if err != nil {
		return "", fmt.Errorf("member %q: %w", member, err)
	}
	if m.ID != by.Member() && !d.masters(by, m.Role) {
		return "", ErrForbidden
	}
	text := newCode(longCode)
	return text, d.keep(ctx, text, code{Kind: connects, Member: member, By: by.Member()}, StartLife)
}

// OwnCode makes a single-use code that links the sender who presents it to the
// member who asks for it. An earlier one that was not used yet ends.
func (d *Directory) OwnCode(ctx context.Context, by scope.Scope) (string, error) {
	if !d.may(by, scope.Console) {
		return "", ErrForbidden
	}
	if _, err := d.Member(ctx, by.Member()); err != nil {
		return "", ErrForbidden
	}
	err := d.withdraw(ctx, func(c code) bool { return c.Kind == own && c.Member == by.Member() })
	if err != nil {
		return "", err
	}
	text := newCode(ownCode)
	return text, d.keep(ctx, text, code{Kind: own, Member: by.Member(), By: by.Member()}, OwnLife)
}

// Invite makes a single-use code that makes the sender who presents it a new
// member with a role. It ends when whoever made it may no longer give that role.
func (d *Directory) Invite(ctx context.Context, by scope.Scope, name string, role scope.Role) (string, Invitation, error) {
	if !d.administers(by) || !d.masters(by, role) {
		return "", Invitation{}, ErrForbidden
	}
	if !slices.Contains(scope.Roles(), role) || role == scope.Service {
		return "", Invitation{}, refuse("nobody can be invited as %q; there are owner, admin, approver, member and guest", role)
	}
	if name != "" {
		var err error
		if name, err = checkName(name); err != nil {
			return "", Invitation{}, err
		}
	}
	text := newCode(longCode)
	c := code{Kind: invites, Name: name, Role: role, By: by.Member()}
	if err := d.keep(ctx, text, c, StartLife); err != nil {
		return "", Invitation{}, err
	}
	all, err := d.Invitations(ctx)
	i := slices.IndexFunc(all, func(v Invitation) bool { return v.ID == codeID(text) })
	if err != nil || i < 0 {
		return text, Invitation{}, err
	}
	return text, all[i], nil
}

// Invitations lists those that can still be used.
func (d *Directory) Invitations(ctx context.Context) ([]Invitation, error) {
	all, err := list[code](ctx, d, "code/")
	var open []Invitation
	for _, c := range all {
		if c.Kind == invites && d.now().Before(c.Expires) {
			open = append(open, c.invitation())
		}
	}
	return open, err
}

// Withdraw ends an invitation; ErrUnknown when it was used or has expired.
func (d *Directory) Withdraw(ctx context.Context, by scope.Scope, id string) error {
	if !d.administers(by) {
		return ErrForbidden
	}
	all, err := d.Invitations(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(v Invitation) bool { return v.ID == id })
	if i < 0 {
		return Unknown{What: "open invitation", Name: id, See: "members invitations list"}
	}
	if !d.masters(by, all[i].Role) {
		return ErrForbidden
	}
	return d.withdraw(ctx, func(c code) bool { return c.ID == id })
}

// withdraw ends the codes that match.
func (d *Directory) withdraw(ctx context.Context, match func(code) bool) error {
	all, err := rows[code](ctx, d, "code/")
	if err != nil {
		return err
	}
	var gone []kv.Write
	for _, c := range all {
		if match(c.value) {
			gone = append(gone, kv.Write{Space: space, Key: c.key})
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return d.store.Write(ctx, gone...)
}

// keep stores what a code does, under its hash.
func (d *Directory) keep(ctx context.Context, text string, c code, life time.Duration) error {
	c.ID, c.Created, c.Expires = codeID(text), d.now(), d.now().Add(life)
	return d.store.Write(ctx, d.set(codeKey(text), kv.Absent, c))
}

// codeKey is a look-up by the whole hash: no comparison takes longer for a code
// that is nearly right.
func codeKey(text string) string {
	h := sha256.Sum256([]byte("code\x00" + text))
	return "code/" + hex.EncodeToString(h[:])
}

// codeID names a code where it is listed. It tells nothing about the code.
func codeID(text string) string {
	h := sha256.Sum256([]byte("id\x00" + text))
	return hex.EncodeToString(h[:4])
}

// between is what people put between the letters of a code, and around it.
var between = strings.NewReplacer(" ", "", "-", "", "`", "")

// presented finds the code in an event: "/start <code>", "/link <code>", or a
// message that is nothing but a code, as people copy or type it.
func presented(e channels.Event) (string, bool) {
	said := ""
	switch c := e.Content.(type) {
	case channels.Command:
		if c.Name != "start" && c.Name != "link" {
			return "", false
		}
		said = c.Args
	case channels.Message:
		said = c.Text
	default:
		return "", false
	}
	if len(said) > 2*longCode {
		return "", false
	}
	said = strings.ToUpper(between.Replace(strings.TrimSpace(said)))
	shaped := (len(said) == longCode || len(said) == ownCode) && strings.Trim(said, alphabet) == ""
	return said, shaped
}

// redeem judges an event that presents a code; ok is false when it is to be
// judged like any other. missed are the writes that count a wrong code.
func (d *Directory) redeem(ctx context.Context, e channels.Event, p Policy, m Member) (j Judgement, ok bool, missed []kv.Write, err error) {
	text, shaped := presented(e)
	if !shaped || p.Authenticated {
		return Judgement{}, false, nil, nil
	}
	allowed, missed, err := d.try(ctx, e, m)
	if err != nil || !allowed {
		return Judgement{}, false, nil, err
	}
	c, version, err := getVersion[code](ctx, d, codeKey(text))
	_, command := e.Content.(channels.Command)
	switch {
	case err != nil && !errors.Is(err, ErrUnknown):
		return Judgement{}, false, nil, err
	case err == nil && d.now().Before(c.Expires):
		j, err := d.accept(ctx, e, m, c, d.unset(codeKey(text), version))
		return j, true, nil, err
	case m.ID != "" && command && len(text) == longCode: // tapped twice: it worked the first time
		return Judgement{Do: Answer, Reply: fmt.Sprintf(textWelcome, e.Who.Name, m.Role)}, true, nil, nil
	}
	return Judgement{}, false, missed, nil
}

// accept makes the sender who they are by a code that is right.
func (d *Directory) accept(ctx context.Context, e channels.Event, m Member, c code, used kv.Write) (Judgement, error) {
	maker, err := d.Member(ctx, c.By)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return Judgement{}, err
	}
	l := Link{Channel: e.Where.Channel, Account: e.Account, Sender: e.Who.ID, Name: e.Who.Name, At: d.now()}
	var writes []kv.Write
	switch c.Kind {
	case invites:
		if m.ID != "" {
			return Judgement{Do: Answer, Reply: fmt.Sprintf(textAlready, m.Role)}, nil
		}
		if !maker.Role.Administers() || c.Role.Administers() && !maker.Role.May(scope.Own) {
			return Judgement{Do: Answer, Reply: textStale}, nil
		}
		m = Member{ID: newMemberID(), Name: nameOf(c.Name, e.Who), Role: c.Role, Created: d.now()}
		if writes, err = d.ownership(ctx, m.ID, m.Role == scope.Owner); err != nil {
			return Judgement{}, err
		}
		writes = append(writes, d.set(memberKey(m.ID), kv.Absent, m))
		l.How = "invitation"
	default:
		m, err = d.Member(ctx, c.Member)
		if errors.Is(err, ErrUnknown) || err == nil && !maker.Role.May(scope.Console) {
			return Judgement{Do: Answer, Reply: textStale}, nil
		}
		if err != nil {
			return Judgement{}, err
		}
		l.How = "start-link"
		if c.Kind == own {
			l.How = "code"
		}
	}
	l.Member = m.ID
	j := Judgement{Do: Answer, Reply: fmt.Sprintf(textWelcome, e.Who.Name, m.Role)}
	if c.Kind == own {
		j.Reply = fmt.Sprintf(textLinked, m.Name)
	}
	j.State = append(slices.Clip(writes), used, d.set(linkKey(l.Channel, l.Account, l.Sender), 0, l))
	return j, d.passOwn(ctx, e, &j)
}

// nameOf is what a new member is called: what the invitation says, else what
// the sender calls themselves.
func nameOf(given string, who channels.Sender) string {
	if given != "" {
		return given
	}
	name, err := checkName(who.Name)
	if err != nil {
		return "Somebody"
	}
	return name
}

func newMemberID() string { return "m-" + strings.ToLower(newCode(12)) }

// passOwn settles the request that a sender had open before they were linked.
func (d *Directory) passOwn(ctx context.Context, e channels.Event, j *Judgement) error {
	last, err := get[asked](ctx, d, askKey(e.Where.Channel, e.Account, e.Who.ID))
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	p, version, err := d.open(ctx, e.Where.Channel, last.ID)
	if err != nil || version == 0 {
		return err
	}
	p.Status = statusPassed
	j.Passed = &p
	j.State = append(j.State, d.set(pairKey(p.Where.Channel, p.ID), version, p))
	return nil
}

// tries counts wrong codes since a moment.
type tries struct {
	Since time.Time `json:"since"`
	N     int       `json:"n"`
}

// try reports whether a sender may present another code, and the writes that
// count it should it be wrong. The channel's count is for strangers, who can
// come with many accounts; it is kept without a condition, since strangers who
// guess at the same moment must not hold each other up.
func (d *Directory) try(ctx context.Context, e channels.Event, m Member) (allowed bool, missed []kv.Write, err error) {
	limits := []struct {
		key  string
		most int
	}{{triesKey(e.Where.Channel, e.Account, e.Who.ID), triesEach}}
	if m.ID == "" {
		limits = append(limits, struct {
			key  string
			most int
		}{triesKey(e.Where.Channel, "", ""), triesAll})
	}
	for _, l := range limits {
		t, err := get[tries](ctx, d, l.key)
		if err != nil && !errors.Is(err, ErrUnknown) {
			return false, nil, err
		}
		if d.now().Sub(t.Since) >= triesReset {
			t = tries{Since: d.now()}
		}
		if t.N >= l.most {
			return false, nil, nil
		}
		t.N++
		missed = append(missed, d.set(l.key, 0, t))
	}
	return true, missed, nil
}

func triesKey(c channels.ID, a channels.AccountID, sender string) string {
	return "tries/" + url.PathEscape(string(c)) + "/" + url.PathEscape(string(a)) + "/" + url.PathEscape(sender)
}
