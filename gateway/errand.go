package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// errandSpace is where errands are kept, by workspace, member and id.
const errandSpace = "errand"

// Errand is something that a member wants taken up later. When it is due, what
// they wrote comes in once more, as an event of their own account in the same
// conversation. It passes the gate like any other, and runs in the scope that
// the gate mints for its maker then; nothing of the scope in which it was made
// is kept.
type Errand struct {
	ID     string         `json:"id"`
	Made   time.Time      `json:"made"`
	Due    time.Time      `json:"due"`
	Every  time.Duration  `json:"every,omitempty"` // 0: once
	Runs   int            `json:"runs,omitempty"`  // how often it was taken up
	Maker  string         `json:"maker"`           // the member
	Where  string         `json:"where"`           // the conversation, as scopes name it
	Event  channels.Event `json:"event"`           // what comes in; its key, time and text are made when it is due
	Text   string         `json:"text"`
	Quotes string         `json:"quotes,omitempty"` // the message that asked for it
}

// maxErrands is how many a member may have waiting.
const maxErrands = 20

func errandsOf(workspace, member string) string {
	return url.PathEscape(workspace) + "/" + url.PathEscape(member) + "/"
}

// key names the n-th time that it is taken up. It says whose it is, for
// whoever judges the event.
func (e Errand) key() string {
	return fmt.Sprintf("%s%s/%s/%d", errandKey, url.PathEscape(e.Maker), e.ID, e.Runs)
}

// errandKey begins the keys of events that are errands.
const errandKey = "errand/"

// strangersErrand reports whether an event is an errand of somebody else than
// the gate takes its sender for: the account may have been unlinked since, or
// belong to another member. It then comes to nothing, not even to a pairing.
// An adapter that makes up such a key gains nothing by it.
func strangersErrand(key string, j identity.Judgement) bool {
	rest, is := strings.CutPrefix(key, errandKey)
	if !is {
		return false
	}
	maker, _, _ := strings.Cut(rest, "/")
	return j.Do != identity.Run || url.PathEscape(j.Scope.Member()) != maker
}

// said is the event that comes in at a time, in whose zone it speaks.
func (e Errand) said(now time.Time) channels.Event {
	ev := e.Event
	ev.Key, ev.At = e.key(), now
	ev.Content = channels.Message{
		ID:   channels.MessageID(e.Quotes),
		Text: fmt.Sprintf(textErrandDue, e.Made.In(now.Location()).Format(errandTime), e.Text),
	}
	return ev
}

// next is what remains of it when it was taken up now; false: nothing. Times
// that went by while no gateway ran are not made up for.
func (e Errand) next(now time.Time) (Errand, bool) {
	if e.Every <= 0 {
		return e, false
	}
	e.Runs++
	e.Due = e.Due.Add(e.Every)
	if late := now.Sub(e.Due); late >= 0 {
		e.Due = e.Due.Add(late - late%e.Every + e.Every)
	}
	return e, true
}

// errandRow is an errand with the version of its row.
type errandRow struct {
	Errand
	key     string
	version int64
}

// errands reads those under a prefix, in order of their keys.
func (g *Gateway) errands(ctx context.Context, prefix string) ([]errandRow, error) {
	var all []errandRow
	after := ""
	for {
		rows, err := g.bus.List(ctx, errandSpace, prefix, after, 0)
		if err != nil || len(rows) == 0 {
			return all, err
		}
		for _, r := range rows {
			after = r.Key
			e := errandRow{key: r.Key, version: r.Version}
			if err := json.Unmarshal(r.Value, &e.Errand); err != nil {
				return nil, fmt.Errorf("errand %s: %w", r.Key, err)
			}
			all = append(all, e)
		}
	}
}

// errandsBy lists what a member has waiting, the next one first.
func (g *Gateway) errandsBy(ctx context.Context, workspace, member string) ([]errandRow, error) {
	all, err := g.errands(ctx, errandsOf(workspace, member))
	slices.SortStableFunc(all, func(a, b errandRow) int { return a.Due.Compare(b.Due) })
	return all, err
}

// write makes the write that keeps an errand as it is now.
func (e errandRow) write() (bus.Write, error) {
	v, err := json.Marshal(e.Errand)
	return bus.Write{Space: errandSpace, Key: e.key, If: e.version, Value: v}, err
}

// runErrands lets those come in that are due. Each comes in together with the
// change of its row, so that a crash or another gateway neither loses nor
// doubles it. One whose channel is not there waits for it.
func (g *Gateway) runErrands(ctx context.Context) error {
	all, err := g.errands(ctx, "")
	if err != nil {
		return err
	}
	for _, e := range all {
		if e.Due.After(g.now()) || g.line(e.Event.Where.Channel) == nil {
			continue
		}
		switch err := g.runErrand(ctx, e); {
		case errors.Is(err, bus.ErrConflict): // taken up or cancelled at this moment
		case errors.Is(err, bus.ErrFull):
			return nil // later
		case err != nil:
			return err
		}
	}
	return nil
}

func (g *Gateway) runErrand(ctx context.Context, e errandRow) error {
	i := &intake{g: g, id: e.Event.Where.Channel}
	r, err := i.record(e.said(g.now().In(g.zone)))
	if err != nil {
		return err
	}
	w := bus.Write{Space: errandSpace, Key: e.key, If: e.version}
	after := e
	if next, again := e.next(g.now()); again {
		after.Errand = next
		if w, err = after.write(); err != nil {
			return err
		}
	}
	if err := g.bus.Publish(ctx, bus.Batch{Records: []bus.Record{r}, State: []bus.Write{w}}); err != nil {
		return err
	}
	g.recordErrand(scope.Principal{Workspace: r.Workspace, Member: "gateway", Role: scope.Service}, "begun", e.Errand)
	return nil
}

// endErrands takes back all that a member has waiting.
func (g *Gateway) endErrands(ctx context.Context, workspace, member string, by scope.Principal) error {
	all, err := g.errands(ctx, errandsOf(workspace, member))
	if err != nil {
		return err
	}
	for _, e := range all {
		if err := g.endErrand(ctx, e, by); err != nil {
			return err
		}
	}
	return nil
}

// EndErrands takes back all that anybody has waiting, in every workspace, and
// returns how many there were. The caller has made sure that they may.
func (g *Gateway) EndErrands(ctx context.Context, by scope.Scope) (n int, err error) {
	all, err := g.errands(ctx, "")
	for _, e := range all {
		if err := g.endErrand(ctx, e, by.Principal()); err != nil {
			return n, err
		}
		n++
	}
	return n, err
}

// forgetErrands removes all of a workspace that is deleted. They go before its
// key does: what cannot be opened cannot be listed.
func (g *Gateway) forgetErrands(ctx context.Context, workspace string) error {
	all, err := g.errands(ctx, url.PathEscape(workspace)+"/")
	if err != nil {
		return err
	}
	for _, e := range all {
		if err := g.bus.Write(ctx, bus.Write{Space: errandSpace, Key: e.key}); err != nil {
			return err
		}
	}
	return nil
}

// endErrand takes one back, whatever becomes of it at this moment.
func (g *Gateway) endErrand(ctx context.Context, e errandRow, by scope.Principal) error {
	if err := g.bus.Write(ctx, bus.Write{Space: errandSpace, Key: e.key}); err != nil {
		return err
	}
	g.recordErrand(by, "cancelled", e.Errand)
	return nil
}

// recordErrand puts what became of an errand into the audit log.
func (g *Gateway) recordErrand(by scope.Principal, do string, e Errand) {
	if g.audit != nil {
		g.audit.Record(audit.Entry{
			Kind: audit.Errand, Do: do, By: by, On: e.ID, For: e.Maker, Facts: audit.Facts{"channel": string(e.Event.Where.Channel)},
		})
	}
}

// Waiting describes an errand without its words.
type Waiting struct {
	ID      string        `json:"id"`
	Member  string        `json:"member"`
	Channel channels.ID   `json:"channel"`
	Due     time.Time     `json:"due"`
	Every   time.Duration `json:"every,omitempty"` // nanoseconds; 0: once
}

// Errands lists what the members of a workspace want taken up later, the next
// one first.
func (g *Gateway) Errands(ctx context.Context, workspace string) ([]Waiting, error) {
	all, err := g.errands(ctx, url.PathEscape(workspace)+"/")
	var out []Waiting
	for _, e := range all {
		out = append(out, Waiting{ID: e.ID, Member: e.Maker, Channel: e.Event.Where.Channel, Due: e.Due, Every: e.Every})
	}
	slices.SortStableFunc(out, func(a, b Waiting) int { return a.Due.Compare(b.Due) })
	return out, err
}

// CancelErrand takes one of the scope's workspace back; false when there is none
// of that id.
func (g *Gateway) CancelErrand(ctx context.Context, by scope.Scope, id string) (bool, error) {
	all, err := g.errands(ctx, url.PathEscape(by.Workspace())+"/")
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(all, func(e errandRow) bool { return e.ID == id })
	if i < 0 {
		return false, nil
	}
	return true, g.endErrand(ctx, all[i], by.Principal())
}
