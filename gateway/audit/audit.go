// Package audit keeps the record of what was done with power: every use of a
// secret, model call, tool call, way out of the process, approval and change by
// somebody in charge. It says who, what, where to and how it ended, never a
// value and never a text that people wrote.
//
// The entries form a chain: each one's hash covers the one before, so that no
// entry can be changed, removed or put in between unnoticed. What a chain cannot
// show is that its end was cut off; for that, signed checkpoints go to a place
// outside the database. An entry's content can be buried (see [Log.Bury]), for
// people have a right to be forgotten: its hash stays and the chain holds.
package audit

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Kind is what an entry is about. The set is closed.
type Kind string

// The kinds.
const (
	Secret   Kind = "secret"   // a lease of a secret
	Model    Kind = "model"    // a call of a model
	Tool     Kind = "tool"     // a call of a tool
	Egress   Kind = "egress"   // a way out of the process
	Approval Kind = "approval" // a question to a person
	Errand   Kind = "errand"   // something that a member wants taken up later
	Admin    Kind = "admin"    // a change by somebody in charge
	Record   Kind = "log"      // about this record itself
)

// Kinds lists all kinds.
func Kinds() []Kind { return []Kind{Secret, Model, Tool, Egress, Approval, Errand, Admin, Record} }

// Entry is one act. Its texts are names and figures; they are cut after 512
// bytes.
type Entry struct {
	Seq   int64           `json:"seq"` // set when it is kept; the first is 1
	At    time.Time       `json:"at"`  // zero: when it is given to the log
	Kind  Kind            `json:"kind"`
	Do    string          `json:"do"` // what was done: "used", "refused", "granted", "removed"
	By    scope.Principal `json:"by"`
	On    string          `json:"on,omitempty"`    // what it was done to: the name of a secret, a model, a member
	To    string          `json:"to,omitempty"`    // where to: a host and port
	For   string          `json:"for,omitempty"`   // what for: a channel, a provider, a tool
	Turn  string          `json:"turn,omitempty"`  // the turn that it was part of
	Count int             `json:"count,omitempty"` // acts alike that this entry stands for; 0 means 1
	Err   string          `json:"err,omitempty"`   // why it was refused or failed
	Facts Facts           `json:"facts,omitempty"`
}

// Facts are further figures and names, such as tokens or a version.
type Facts map[string]string

// Errors of the log.
var (
	// ErrTampered: the chain or a checkpoint does not hold.
	ErrTampered = errors.New("the audit log was tampered with")
	errKind     = errors.New("audit: an entry needs a kind and what was done")
)

// Query selects entries. The zero Query selects all.
type Query struct {
	After  int64 // only those with a greater Seq
	Since  time.Time
	Until  time.Time
	Kinds  []Kind
	Member string // of By
	On     string
	Failed bool // only what was refused or failed
}

func (q Query) matches(e Entry) bool {
	switch {
	case !q.Since.IsZero() && e.At.Before(q.Since),
		!q.Until.IsZero() && !e.At.Before(q.Until),
		q.Member != "" && e.By.Member != q.Member,
		q.On != "" && e.On != q.On,
		q.Failed && e.Err == "":
		return false
	}
	for _, k := range q.Kinds {
		if k == e.Kind {
			return true
		}
	}
	return len(q.Kinds) == 0
}

// Recorder takes entries. Record never blocks and never fails: the entry is
// kept within a second, and if that cannot be done the log says how many are
// missing. Keep returns when the entry is durable; it is for acts that must not
// happen unrecorded.
type Recorder interface {
	Record(e Entry)
	Keep(ctx context.Context, entries ...Entry) error
}

var _ Recorder = (*Log)(nil)
