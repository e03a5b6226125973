// Package bus is the durable event bus: the inbox with its urgent lane, the
// outbox, and the state that commits together with them.
//
// The contract has three parts. [Bus] is what the stations use. [Store] reads
// the state that batches and settlements wrote. [Desk] is what an operator and
// the housekeeping use. An engine implements all three ([Engine]); bustest is
// the conformance suite, inprocess the reference, and the packages named after
// their database hold the durable engines.
//
// What every engine promises:
//   - A nil error from Publish, Hold or Settle means that everything in the call
//     survives the death of the process, and that all of it stands or none.
//   - A key is accepted once for each (queue, channel, account); a second
//     publication of it is a success that changes nothing.
//   - Within one Order, records are leased in the order of their publication and
//     by one worker at a time. Orders never wait for one another.
//   - Every write of a worker is fenced: after another worker has taken the
//     Order over, Hold and Settle return [ErrLeaseLost] and change nothing.
//   - A record whose turn has not come (NotBefore) holds back the later records
//     of its Order, and nothing else. A parked or dead record holds back nothing.
package bus

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// The queues.
const (
	Inbox  = "inbox"
	Urgent = "urgent" // the inbox's fast lane: presses, /stop and decisions
	Outbox = "outbox"
)

// UrgentSuffix on an Order names the lane in which button presses, /stop and
// decisions travel, so that they reach a conversation that is busy or waiting.
const UrgentSuffix = "!"

// Errors on which a caller branches. Every other error means that the engine
// could not commit; nothing was changed and the call may be repeated.
var (
	// ErrLeaseLost: another worker owns the Order; drop the work without a trace.
	ErrLeaseLost = errors.New("bus: lease lost")
	// ErrConflict: a Write's condition did not hold; read again and decide anew.
	ErrConflict = kv.ErrConflict
	// ErrFull: the channel's backlog is at its limit; slow the intake and try again.
	ErrFull = errors.New("bus: backlog full")
	// ErrClosed: the engine was closed.
	ErrClosed = errors.New("bus: closed")
)

// Bus is the part that the stations use. Its methods may be called concurrently.
type Bus interface {
	// Publish appends the batch in one commit.
	Publish(ctx context.Context, b Batch) error
	// Lease takes up to w.N orders that have due records, oldest first, and
	// blocks until there is at least one, unless w.NoWait. It counts an attempt
	// on every record it hands out. It returns ctx.Err() when ctx ends.
	Lease(ctx context.Context, w Want) ([]*Lease, error)
	// Hold extends the lease, stores progress, state and emissions, and joins
	// what became due in the lease's Order meanwhile; it returns the joined
	// records, which are then part of the lease. A Hold that would change
	// nothing but the expiry of a lease that has more than half its time left
	// commits nothing.
	Hold(ctx context.Context, l *Lease, h Hold) ([]Record, error)
	// Settle ends the lease in one commit.
	Settle(ctx context.Context, l *Lease, o Outcome) error
}

// Batch is published in one commit.
type Batch struct {
	Records []Record
	State   []Write
}

// Record is one entry of a queue.
type Record struct {
	Workspace string
	Channel   string
	Account   string
	Queue     string // Inbox, Urgent or Outbox; an engine treats every name alike
	Key       string // deduplicates within (Queue, Channel, Account)
	Order     string // records of one Order, within (Queue, Channel), are worked off one after the other
	NotBefore time.Time
	Body      json.RawMessage

	// Filled in by the engine.
	Seq       int64           // position; grows in commit order within an Order
	Attempt   int             // how often it was leased, this time included
	Published time.Time       // when it was first published
	Progress  json.RawMessage // what Hold or a verdict stored last; nil: nothing
}

// Write changes one value of the state. A nil Value deletes.
type Write = kv.Write

// Absent as a Write's condition: the key must not exist.
const Absent = kv.Absent

// Want says which orders to lease.
type Want struct {
	Queue    string
	Channels []string      // nil: any
	N        int           // orders at most; 0 means 1
	Max      int           // records a lease at most; 0: all that are due
	For      time.Duration // how long the lease lasts unless held; 0 means 30 s
	NoWait   bool          // return at once, with no lease and no error, when nothing is due
}

// Lease is the right to work on one Order. It is made by an engine and passed
// back to it; a caller reads it and changes nothing. Hold changes Until and
// Records, so calls with the same lease must not overlap.
type Lease struct {
	Queue   string
	Order   string
	Channel string
	Epoch   int64 // the fence
	Until   time.Time
	For     time.Duration
	Records []Record // in order; Hold appends what it joins
}

// Hold says what to do with a lease that is kept.
type Hold struct {
	Join     bool                       // take in what became due in this Order
	Progress map[string]json.RawMessage // by record key
	Emit     []Record                   // published with it, such as the first draft
	State    []Write
}

// Outcome ends a lease. A record of the lease that no verdict names is released;
// a verdict for a record that the lease does not hold is an error.
type Outcome struct {
	Verdicts map[string]Verdict // by record key
	Emit     []Record
	State    []Write
}

// Fate is what becomes of a record. The set is closed.
type Fate string

// The fates.
const (
	Ack     Fate = "ack"     // done; the body expires by retention
	Retry   Fate = "retry"   // again, not before At
	Release Fate = "release" // as if it had not been leased: the attempt does not count
	Dead    Fate = "dead"    // to an operator, with Reason
	Park    Fate = "park"    // set aside under Tag until Release(tag), at most until At
)

// Verdict is the fate of one record.
type Verdict struct {
	Fate     Fate
	At       time.Time       // Retry: due again; Park: expires (then dead, reason "expired")
	Reason   string          // Dead, Retry: for an operator; no secret and no message text
	Tag      string          // Park
	Progress json.RawMessage // nil leaves what is stored
}

// Entry is one value of the state.
type Entry = kv.Entry

// Store reads the state, and writes what no record belongs to.
type Store = kv.Store

// Desk is what an operator and the housekeeping use.
type Desk interface {
	// Unpark makes the records under tag due again, in their old places, and
	// returns how many there were.
	Unpark(ctx context.Context, tag string) (int, error)
	// Discard acknowledges the records under tag without running them.
	Discard(ctx context.Context, tag string) (int, error)
	// DeadLetters lists dead records, oldest first, after the given Seq.
	DeadLetters(ctx context.Context, queue string, after int64, limit int) ([]Letter, error)
	// Replay makes dead records due again: the same rows, their attempts reset.
	Replay(ctx context.Context, seqs ...int64) (int, error)
	// Drop removes dead records for good; their keys stay known.
	Drop(ctx context.Context, seqs ...int64) (int, error)
	// Depths counts what is waiting, by queue, channel and state.
	Depths(ctx context.Context) ([]Depth, error)
	// Replies returns the outbox records whose key begins with prefix, in
	// order, whatever became of them, for readers that attach again.
	Replies(ctx context.Context, channel, prefix string) ([]Letter, error)
	// Sweep applies the retention and reports what it removed.
	Sweep(ctx context.Context, r Retention) (Swept, error)
	// Spaces lists the spaces of the state in which something stands, in byte
	// order.
	Spaces(ctx context.Context) ([]string, error)
	// Revise shows f up to limit records behind the position after, in order and
	// whatever became of them, and stores what f makes of them, all in one
	// commit. It returns the last position that it looked at, 0 when there was
	// none. f must not block and not call the bus; it may be called again with
	// the same records.
	Revise(ctx context.Context, after int64, limit int, f func(Letter) Revision) (last int64, err error)
}

// Revision is what becomes of a stored record. The zero Revision leaves it.
type Revision struct {
	// Remove forgets the record but for the hash of its key. One that waits or
	// is leased stays as it is.
	Remove         bool
	Body, Progress json.RawMessage // in the place of what is stored; nil leaves that
}

// Letter is a record with what became of it.
type Letter struct {
	Record
	State  State
	Reason string
	At     time.Time // when it got there
}

// State is where a record stands. The set is closed.
type State string

// The states of a record.
const (
	Ready  State = "ready"  // due, or waiting for its time
	Leased State = "leased" // a worker has it
	Parked State = "parked"
	Died   State = "dead"
	Done   State = "done"
)

// Depth counts records.
type Depth struct {
	Queue, Channel string
	State          State
	Count          int
	Oldest         time.Time // publication of the oldest; zero when there is none
}

// Retention says how long things are kept. A zero field keeps for ever.
type Retention struct {
	Bodies time.Duration // bodies of records that are done
	Dead   time.Duration // dead letters
	Keys   time.Duration // 16-byte hashes of keys; never less than Bodies
}

// Swept counts what a sweep removed.
type Swept struct{ Bodies, Dead, Keys, Expired int }

// Engine is a whole bus. Close ends waiting leases and releases its resources;
// what was accepted stays.
type Engine interface {
	Bus
	Store
	Desk
	Close() error
}
