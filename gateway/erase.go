package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/delivery"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Eraser forgets one person in a place of its own, such as the audit log.
type Eraser interface {
	// Erase blocks until nothing of the person is left there, and returns how
	// much there was. It is called again after a failure or a crash, and does no
	// harm then.
	Erase(ctx context.Context, p identity.Departure) (place string, n int, err error)
}

// Erasure is the report of what was erased of one person.
type Erasure struct {
	Workspace string         `json:"workspace"`
	Member    string         `json:"member"`
	Erased    map[string]int `json:"erased"` // by place
	// Waiting is how many messages are still on their way; they are erased when
	// they have arrived.
	Waiting int      `json:"waiting"`
	Kept    []string `json:"kept"` // what stays, and why
}

// keptOfPeople is what an erasure leaves, whoever it is of.
func keptOfPeople() []string {
	return []string{
		"what others wrote, also about them",
		"what the platforms and the model providers keep: ask them",
		"sums of spending, without a name; places in the audit log, without what they held; that this erasure was done",
		"hashes of message keys, until retention.keys ends, so that a late repetition is not answered",
		"files that only they had a part in, for two days at most: the sweep removes what nothing refers to",
		"backups, and copies that a disk keeps, until they are overwritten",
	}
}

// EraseMember takes a member out and erases what is kept of them, here and in
// every place of [Options.Erase]. It may be asked for again, also for somebody
// who was removed before: then by their id alone. What fails, or is on its way,
// is tried again by the housekeeping.
func (g *Gateway) EraseMember(ctx context.Context, by scope.Scope, id string) (Erasure, error) {
	left, err := g.dir.In(by.Workspace()).Erase(ctx, by, id)
	if err != nil {
		return Erasure{}, err
	}
	return g.depart(ctx, left)
}

// erasure is one pass over everything that is kept.
type erasure struct {
	identity.Departure
	report Erasure
	// What is known to be theirs by what is theirs: turns that they began,
	// conversations that nobody else reads.
	turns, direct map[string]bool
	counted       map[int64]bool // records: one may be shown twice
	space         string         // that is looked at
}

// erase removes what is kept of somebody. What others are found by goes last, so
// that a pass that begins anew after a crash finds as much.
func (g *Gateway) erase(ctx context.Context, left identity.Departure) (Erasure, error) {
	e := &erasure{
		Departure: left, turns: map[string]bool{}, direct: map[string]bool{}, counted: map[int64]bool{},
		report: Erasure{Workspace: left.Workspace, Member: left.Member.ID, Erased: map[string]int{}, Kept: keptOfPeople()},
	}
	sessions, err := g.book.IDs(ctx, left.Workspace)
	if err != nil {
		return e.report, err
	}
	for _, id := range sessions {
		if conversation, ok := id.DirectOf(left.Workspace, left.Member.ID); ok {
			e.direct[conversation] = true
		}
	}
	if err := g.reviseAll(ctx, e.learn); err != nil {
		return e.report, err
	}
	if err := g.eraseRows(ctx, e); err != nil {
		return e.report, err
	}
	writes, err := g.approvals.Without(ctx, left.Workspace, left.Member.ID)
	if err := g.eraseAll(ctx, e, "approvals", writes, err); err != nil {
		return e.report, err
	}
	for _, id := range sessions {
		writes, err := g.book.Without(ctx, id, left.Workspace, left.Member.ID)
		if err := g.eraseAll(ctx, e, "histories", writes, err); err != nil {
			return e.report, err
		}
	}
	for _, outbox := range []bool{true, false} {
		if err := g.reviseAll(ctx, func(l bus.Letter) bus.Revision { return e.letter(l, outbox) }); err != nil {
			return e.report, err
		}
	}
	for _, x := range g.erasers {
		place, n, err := x.Erase(ctx, left)
		failpoint.Hit(failpoint.LeaveStep)
		if err != nil {
			return e.report, fmt.Errorf("erase %s in %s: %w", left.Member.ID, place, err)
		}
		e.count(place, n)
	}
	return e.report, nil
}

// eraseAll commits writes that belong together.
func (g *Gateway) eraseAll(ctx context.Context, e *erasure, place string, writes []kv.Write, err error) error {
	if err == nil && len(writes) > 0 {
		err = g.bus.Write(ctx, writes...)
		failpoint.Hit(failpoint.LeaveStep)
	}
	if err == nil {
		e.count(place, len(writes))
	}
	return err
}

func (e *erasure) count(place string, n int) {
	if n > 0 {
		e.report.Erased[place] += n
	}
}

// eraseAtOnce is how many records or rows are looked at in one commit.
const eraseAtOnce = 500

func (g *Gateway) reviseAll(ctx context.Context, f func(bus.Letter) bus.Revision) error {
	for after := int64(0); ; {
		last, err := g.bus.Revise(ctx, after, eraseAtOnce, f)
		failpoint.Hit(failpoint.LeaveStep)
		if err != nil || last == 0 {
			return err
		}
		after = last
	}
}

// said reports whether an event is of this person. On the console people are
// known by their member's id.
func (e *erasure) said(v channels.Event, channel string) bool {
	return v.Who.ID == e.Member.ID || slices.ContainsFunc(e.Links, func(l identity.Link) bool {
		return string(l.Channel) == channel && l.Account == v.Account && l.Sender == v.Who.ID
	})
}

// event reads a record of the inbox that is theirs.
func (e *erasure) event(r bus.Record) (v channels.Event, ok bool) {
	ok = r.Workspace == e.Workspace && r.Queue != bus.Outbox && json.Unmarshal(r.Body, &v) == nil && e.said(v, r.Channel)
	return v, ok
}

// learn finds out from their messages what else is theirs. It changes nothing.
func (e *erasure) learn(l bus.Letter) bus.Revision {
	if v, ok := e.event(l.Record); ok {
		e.turns[turnID(l.Channel, l.Account, l.Key)] = true
		if v.Room.Direct {
			e.direct[v.Where.Order()] = true
		}
	}
	return bus.Revision{}
}

// letter decides on a record, of the outbox or of the inbox.
func (e *erasure) letter(l bus.Letter, outbox bool) bus.Revision {
	if l.Workspace != e.Workspace || outbox != (l.Queue == bus.Outbox) {
		return bus.Revision{}
	}
	if outbox {
		var out delivery.Outbound
		if json.Unmarshal(l.Body, &out) != nil || !e.turns[out.Turn] && !e.direct[out.To.Order()] {
			return bus.Revision{}
		}
	} else if _, theirs := e.event(l.Record); !theirs {
		return bus.Revision{}
	}
	switch {
	case e.counted[l.Seq]:
	case l.State == bus.Ready, l.State == bus.Leased:
		e.report.Waiting++
	default:
		e.count("messages in the "+l.Queue, 1)
	}
	e.counted[l.Seq] = true
	return bus.Revision{Remove: true}
}

// change is what becomes of a row. The zero change leaves it.
type change struct {
	remove bool
	value  []byte // in its place
}

func gone(is bool) change { return change{remove: is} }

// eraseRows walks through the spaces of the state.
func (g *Gateway) eraseRows(ctx context.Context, e *erasure) error {
	spaces, err := g.bus.Spaces(ctx)
	if err != nil {
		return err
	}
	for _, k := range allKept() {
		if k.erase == nil {
			continue
		}
		for _, space := range spaces {
			if !k.names(space) {
				continue
			}
			if err := g.eraseSpace(ctx, e, k, space); err != nil {
				return fmt.Errorf("erase %s in %s: %w", e.Member.ID, space, err)
			}
		}
	}
	return nil
}

func (g *Gateway) eraseSpace(ctx context.Context, e *erasure, k kept, space string) error {
	after := ""
	for {
		rows, err := g.bus.List(ctx, space, "", after, eraseAtOnce)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			after, e.space = r.Key, space
			c := k.erase(e, r)
			if !c.remove && c.value == nil {
				continue
			}
			err := g.bus.Write(ctx, kv.Write{Space: space, Key: r.Key, If: r.Version, Value: c.value})
			if errors.Is(err, kv.ErrConflict) {
				e.report.Waiting++ // somebody changes it at this moment
				continue
			}
			if err != nil {
				return err
			}
			failpoint.Hit(failpoint.LeaveStep)
			e.count(k.what, 1)
		}
	}
}

// What becomes of the rows of each space.

func (e *erasure) overheard(r kv.Entry) change {
	var v channels.Event
	return gone(json.Unmarshal(r.Value, &v) == nil && e.said(v, string(v.Where.Channel)))
}

func (e *erasure) note(r kv.Entry) change {
	var n struct{ Member string }
	workspace := url.PathEscape(e.Workspace) + "/"
	own := workspace + "member/" + url.PathEscape(e.Member.ID) + "/"
	return gone(strings.HasPrefix(r.Key, own) ||
		strings.HasPrefix(r.Key, workspace) && json.Unmarshal(r.Value, &n) == nil && n.Member == e.Member.ID)
}

func (e *erasure) errand(r kv.Entry) change {
	return gone(strings.HasPrefix(r.Key, errandsOf(e.Workspace, e.Member.ID)))
}

// ofTurn is for keys that begin, or end, with a turn.
func (e *erasure) ofTurn(r kv.Entry) change {
	first, _, _ := strings.Cut(r.Key, "/")
	return gone(e.turns[first] || e.turns[r.Key[strings.LastIndexByte(r.Key, '/')+1:]])
}

func (e *erasure) gathered(r kv.Entry) change {
	return gone(e.turns[r.Key] || e.turns[string(r.Value)])
}

func (e *erasure) turn(r kv.Entry) change {
	var t turnRecord
	if json.Unmarshal(r.Value, &t) != nil {
		return change{}
	}
	_, own := t.Session.DirectOf(e.Workspace, e.Member.ID)
	return gone(own || e.turns[r.Key])
}

// spent leaves the figures without the name.
func (e *erasure) spent(r kv.Entry) change {
	var row spendRow
	if json.Unmarshal(r.Value, &row) != nil || row.Member != e.Member.ID {
		return change{}
	}
	row.Member = "erased"
	v, err := json.Marshal(row)
	if err != nil {
		return change{}
	}
	return change{value: v}
}

// adapters removes a chat of the console, whose keys name the member, and what
// other channels note of their accounts and direct chats. The rest are positions.
func (e *erasure) adapters(r kv.Entry) change {
	id := url.PathEscape(e.Member.ID)
	return gone(strings.HasPrefix(r.Key, "m/"+id+"/") || strings.HasPrefix(r.Key, "k/"+id+"/") ||
		e.theirs(strings.TrimPrefix(e.space, channelSpaces), r.Key[strings.LastIndexByte(r.Key, '/')+1:]))
}

// theirs reports whether an id on a channel is an account of theirs, or a
// conversation that nobody else reads. Adapters keep what they note of one, such
// as when somebody last wrote, under keys that end with it.
func (e *erasure) theirs(channel, id string) bool {
	for _, l := range e.Links {
		if string(l.Channel) == channel && l.Sender == id {
			return true
		}
	}
	for order := range e.direct {
		if c, rest, ok := strings.Cut(order, "/"); ok && c == channel {
			if _, rest, ok = strings.Cut(rest, "/"); ok {
				if conversation, _, _ := strings.Cut(rest, "/"); conversation == id && id != "" {
					return true
				}
			}
		}
	}
	return false
}

// erased notes that somebody was erased, with the figures.
func (g *Gateway) erased(ctx context.Context, left identity.Departure, done Erasure) error {
	g.log.Info("what is kept of a member was erased", "member", left.Member.ID, "places", len(done.Erased))
	if g.audit == nil {
		return nil
	}
	facts := audit.Facts{}
	for place, n := range done.Erased {
		facts[place] = strconv.Itoa(n)
	}
	by := scope.Principal{Workspace: left.Workspace, Member: left.By}
	return g.audit.Keep(ctx, audit.Entry{Kind: audit.Admin, Do: DoErased, By: by, On: left.Member.ID, Facts: facts})
}

// DoErased is what the audit log says of an erasure. It is not erased itself.
const DoErased = "erased"
