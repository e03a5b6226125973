// Package approval keeps questions to people: may this call be made? A question
// is a row, decided once by compare-and-swap, so that two presses of a button,
// or two replicas, can never both decide it. Beside them stand the approvals
// that last: for one tool and destination, in one conversation or everywhere.
//
// Nothing here writes what belongs to a turn: it makes the writes that the
// gateway commits together with the turn's suspension, or with the press.
package approval

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
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

// space holds everything that this package keeps.
const space = "approval"

// The times of approvals.
const (
	Patience = 15 * time.Minute    // until a question is answered with no
	Lasting  = 30 * 24 * time.Hour // of an approval for more than one call
	kept     = 7 * 24 * time.Hour  // a decided question, for late presses
)

// Errors on which a caller branches.
var (
	ErrUnknown = errors.New("there is no such question")
	ErrDecided = errors.New("it was decided already")
	ErrExpired = errors.New("nobody answered in time")
	ErrDenied  = errors.New("this is not yours to decide")
	ErrOnce    = errors.New("what cannot be undone is approved once only")
)

// Outcome is how a question ended. The set is closed.
type Outcome string

// The outcomes.
const (
	Approved Outcome = "approved"
	Refused  Outcome = "refused"
	Expired  Outcome = "expired"
	Stopped  Outcome = "stopped" // its turn was, with /stop
)

// Extent says for how much a yes counts. The set is closed.
type Extent string

// The extents.
const (
	Once         Extent = "once"
	Conversation Extent = "conversation" // this tool and destination, here
	Always       Extent = "always"       // this tool and destination, wherever the requester speaks
)

// Question is what a person is asked. It is bound to everything that it was
// asked about: a decision is void for anything else.
type Question struct {
	ID        string           `json:"id"`   // 128 random bits; it stands in the button
	Code      string           `json:"code"` // for people who type, valid in the conversation only
	Turn      string           `json:"turn"`
	Step      int              `json:"step"`
	Requester scope.Principal  `json:"requester"`
	Where     channels.Address `json:"where"`
	Direct    bool             `json:"direct,omitempty"`
	Tool      string           `json:"tool"`
	Target    string           `json:"target,omitempty"`
	Hash      string           `json:"hash"`    // SHA-256 of tool, canonical arguments and policy version
	Summary   string           `json:"summary"` // with control, bidi and zero-width characters escaped
	OnceOnly  bool             `json:"once_only,omitempty"`
	Asked     time.Time        `json:"asked"`
	Expires   time.Time        `json:"expires"`
	Answer    *Answer          `json:"answer,omitempty"`

	version int64
}

// Answer is a decision.
type Answer struct {
	Outcome Outcome   `json:"outcome"`
	Extent  Extent    `json:"extent,omitempty"`
	By      string    `json:"by,omitempty"`    // member id
	Event   string    `json:"event,omitempty"` // key of the press or command that decided, so that it can be worked on again
	At      time.Time `json:"at"`
}

// Standing is an approval that lasts.
type Standing struct {
	ID           string    `json:"id"`
	Workspace    string    `json:"workspace"`
	Member       string    `json:"member"` // whose turns it is for
	Tool         string    `json:"tool"`
	Target       string    `json:"target,omitempty"`
	Conversation string    `json:"conversation,omitempty"` // "": everywhere
	By           string    `json:"by"`
	Since        time.Time `json:"since"`
	Expires      time.Time `json:"expires"`
}

// Tag is the tag under which the events of the asking turn are parked.
func (q Question) Tag() string { return "approval/" + q.ID }

// Open reports whether the question can still be decided.
func (q Question) Open(now time.Time) bool { return q.Answer == nil && now.Before(q.Expires) }

// Permits says whether a member may decide: whoever asked, unless they are a
// guest or a program, and whoever approves for others. Presses and texts count
// in the question's own conversation; the console and the command line, which
// have none, stand above it.
func (q Question) Permits(by scope.Scope) bool {
	if !by.Valid() || by.Workspace() != q.Requester.Workspace {
		return false
	}
	if by.Channel() != "" && by.Conversation() != q.Requester.Conversation {
		return false
	}
	if by.Role().Approves() {
		return true
	}
	return by.Member() == q.Requester.Member && by.Role() == scope.Ordinary
}

// Book reads questions and standing approvals. It is safe for concurrent use.
type Book struct {
	store kv.Store
	now   func() time.Time
}

// NewBook keeps everything in the given state.
func NewBook(store kv.Store, now func() time.Time) *Book { return &Book{store: store, now: now} }

// Fill gives a question its id, its code and its times.
func (b *Book) Fill(q Question) Question {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails; see crypto/rand
	q.ID, q.Code = hex.EncodeToString(raw[:]), newCode()
	q.Asked = b.now()
	q.Expires = q.Asked.Add(Patience)
	return q
}

// codePrefix keeps codes of questions apart from codes of pairings, which have
// no hyphen.
const codePrefix = "q-"

// codeLetters have no two that people confuse.
const codeLetters = "23456789abcdefghjkmnpqrstuvwxyz"

func newCode() string {
	var raw [6]byte
	_, _ = rand.Read(raw[:])
	out := []byte(codePrefix)
	for _, x := range raw {
		out = append(out, codeLetters[int(x)%len(codeLetters)])
	}
	return string(out)
}

// IsCode reports whether a text has the form of a question's code.
func IsCode(s string) bool { return strings.HasPrefix(strings.ToLower(s), codePrefix) }

// Ask makes the writes that keep a question.
func (b *Book) Ask(q Question) []kv.Write {
	return []kv.Write{
		{Space: space, Key: questionKey(q.ID), If: kv.Absent, Value: encode(q)},
		{Space: space, Key: turnKey(q.Turn, q.Step), Value: []byte(q.ID)},
	}
}

// Get returns a question; ErrUnknown when there is none.
func (b *Book) Get(ctx context.Context, id string) (Question, error) {
	e, err := b.store.Get(ctx, space, questionKey(id))
	if err != nil {
		return Question{}, err
	}
	return question(e)
}

// Of returns the question that a turn asked last at a step.
func (b *Book) Of(ctx context.Context, turn string, step int) (Question, error) {
	e, err := b.store.Get(ctx, space, turnKey(turn, step))
	if err != nil {
		return Question{}, err
	}
	if e.Version == 0 {
		return Question{}, ErrUnknown
	}
	return b.Get(ctx, string(e.Value))
}

// Done makes the write that says that a turn has heard the answer and ended.
// The question stays, for late presses.
func (b *Book) Done(turn string, step int) kv.Write {
	return kv.Write{Space: space, Key: turnKey(turn, step)}
}

// Questions lists those that are kept, the decided ones included, oldest first.
func (b *Book) Questions(ctx context.Context) ([]Question, error) {
	var all []Question
	err := b.each(ctx, "q/", func(e kv.Entry) error {
		q, err := question(e)
		all = append(all, q)
		return err
	})
	slices.SortFunc(all, func(x, y Question) int { return x.Asked.Compare(y.Asked) })
	return all, err
}

// ByCode finds a question of a conversation by what a person typed.
func (b *Book) ByCode(ctx context.Context, conversation, code string) (Question, error) {
	all, err := b.Questions(ctx)
	if err != nil {
		return Question{}, err
	}
	for _, q := range slices.Backward(all) {
		if q.Code == strings.ToLower(strings.TrimSpace(code)) && q.Requester.Conversation == conversation {
			return q, nil
		}
	}
	return Question{}, ErrUnknown
}

// Decide makes the writes that answer a question, on condition that nobody has
// answered it: a commit of them fails with [kv.ErrConflict] when somebody was
// faster. A press that is worked on again finds its own answer: then there is
// nothing to write and no error.
func (b *Book) Decide(q Question, by scope.Scope, a Answer) (Question, []kv.Write, error) {
	switch {
	case q.Answer != nil && a.Event != "" && q.Answer.Event == a.Event:
		return q, nil, nil
	case !q.Permits(by):
		return q, nil, ErrDenied
	case q.Answer != nil && q.Answer.Outcome == Expired:
		return q, nil, ErrExpired
	case q.Answer != nil:
		return q, nil, ErrDecided
	case !b.now().Before(q.Expires):
		return q, nil, ErrExpired
	case a.Outcome == Approved && a.Extent != Once && q.OnceOnly:
		return q, nil, ErrOnce
	}
	a.By, a.At = by.Member(), b.now()
	writes := []kv.Write{b.answered(&q, a)}
	if s, ok := standing(q, a); ok {
		writes = append(writes, kv.Write{Space: space, Key: standingKey(s), Value: encode(s)})
	}
	return q, writes, nil
}

// Stop makes the write that ends a question because its turn was stopped.
func (b *Book) Stop(q Question, by scope.Scope, a Answer) (Question, kv.Write) {
	a.By, a.At = by.Member(), b.now()
	w := b.answered(&q, a)
	return q, w
}

// Expire makes the write that answers a question whose time is up with no.
func (b *Book) Expire(q Question) (Question, kv.Write) {
	w := b.answered(&q, Answer{Outcome: Expired, At: b.now()})
	return q, w
}

func (b *Book) answered(q *Question, a Answer) kv.Write {
	q.Answer = &a
	return kv.Write{Space: space, Key: questionKey(q.ID), If: q.version, Value: encode(*q)}
}

// standing is the lasting approval that a yes makes, if any.
func standing(q Question, a Answer) (Standing, bool) {
	if a.Outcome != Approved || a.Extent != Conversation && a.Extent != Always {
		return Standing{}, false
	}
	s := Standing{
		ID: q.ID[:12], Workspace: q.Requester.Workspace, Member: q.Requester.Member, Tool: q.Tool, Target: q.Target, By: a.By, Since: a.At, Expires: a.At.Add(Lasting),
	}
	if a.Extent == Conversation {
		s.Conversation = q.Requester.Conversation
	}
	return s, true
}

// Stands finds a standing approval for a tool and destination.
func (b *Book) Stands(ctx context.Context, sc scope.Scope, tool, target string) (Standing, bool, error) {
	var found Standing
	if !sc.Valid() {
		return found, false, nil
	}
	err := b.each(ctx, "s/"+url.PathEscape(sc.Member())+"/", func(e kv.Entry) error {
		s, err := decode[Standing](e)
		here := s.Conversation == "" || s.Conversation == sc.Conversation()
		if here && s.Workspace == sc.Workspace() && s.Member == sc.Member() && s.Tool == tool && s.Target == target && b.now().Before(s.Expires) {
			found = s
		}
		return err
	})
	return found, found.ID != "", err
}

// Standings lists the approvals that last, the oldest first.
func (b *Book) Standings(ctx context.Context) ([]Standing, error) {
	var all []Standing
	err := b.each(ctx, "s/", func(e kv.Entry) error {
		s, err := decode[Standing](e)
		if b.now().Before(s.Expires) {
			all = append(all, s)
		}
		return err
	})
	slices.SortFunc(all, func(x, y Standing) int { return x.Since.Compare(y.Since) })
	return all, err
}

// Revoke ends a standing approval, from the next call on.
func (b *Book) Revoke(ctx context.Context, by scope.Scope, id string) (Standing, error) {
	all, err := b.Standings(ctx)
	if err != nil {
		return Standing{}, err
	}
	for _, s := range all {
		if s.ID != id {
			continue
		}
		if by.Workspace() != s.Workspace || !by.Role().Approves() && by.Member() != s.Member {
			return Standing{}, ErrDenied
		}
		return s, b.End(ctx, s)
	}
	return Standing{}, fmt.Errorf("%q: %w", id, ErrUnknown)
}

// End is Revoke for those who look after the installation, whosever it is.
func (b *Book) End(ctx context.Context, s Standing) error {
	return b.store.Write(ctx, kv.Write{Space: space, Key: standingKey(s)})
}

// Tidy forgets what has ended long ago.
func (b *Book) Tidy(ctx context.Context) error {
	var old []kv.Write
	now := b.now()
	err := b.each(ctx, "", func(e kv.Entry) error {
		switch {
		case strings.HasPrefix(e.Key, "q/"):
			q, err := question(e)
			if err == nil && q.Answer != nil && now.Sub(q.Answer.At) > kept {
				old = append(old, kv.Write{Space: space, Key: e.Key}, kv.Write{Space: space, Key: turnKey(q.Turn, q.Step)})
			}
			return err
		case strings.HasPrefix(e.Key, "s/"):
			s, err := decode[Standing](e)
			if err == nil && !now.Before(s.Expires) {
				old = append(old, kv.Write{Space: space, Key: e.Key})
			}
			return err
		}
		return nil
	})
	if err != nil || len(old) == 0 {
		return err
	}
	return b.store.Write(ctx, old...)
}

// each calls f with every row below a prefix.
func (b *Book) each(ctx context.Context, prefix string, f func(kv.Entry) error) error {
	after := ""
	for {
		page, err := b.store.List(ctx, space, prefix, after, 0)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, e := range page {
			if err := f(e); err != nil {
				return err
			}
			after = e.Key
		}
	}
}

func questionKey(id string) string { return "q/" + url.PathEscape(id) }

func turnKey(turn string, step int) string {
	return fmt.Sprintf("t/%s/%06d", url.PathEscape(turn), step)
}

func standingKey(s Standing) string { return "s/" + url.PathEscape(s.Member) + "/" + s.ID }

func question(e kv.Entry) (Question, error) {
	if e.Version == 0 {
		return Question{}, ErrUnknown
	}
	q, err := decode[Question](e)
	q.version = e.Version
	return q, err
}

func decode[T any](e kv.Entry) (T, error) {
	var v T
	if err := json.Unmarshal(e.Value, &v); err != nil {
		return v, fmt.Errorf("approval %s: %w", e.Key, err)
	}
	return v, nil
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("approval: own type does not encode: %v", err))
	}
	return b
}
