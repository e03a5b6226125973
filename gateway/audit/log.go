package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// The rhythm and the bounds of the log.
const (
	flushEvery  = 500 * time.Millisecond // how long an entry waits for others at most
	maxWaiting  = 5000                   // entries in memory when the store does not take them
	maxCommit   = 500                    // entries in one commit
	markEvery   = 10 * time.Minute       // between checkpoints while anything happens
	lastFlush   = 3 * time.Second        // for what is left when the gateway stops
	collisions  = 50                     // attempts against replicas that append at the same time
	pageEntries = 500
	folded      = 16 // waiting entries among which one more of the same kind is looked for
)

// Options of a log.
type Options struct {
	Store kv.Store
	// Sign and Outside make the checkpoints: Sign gives the signature of a
	// text, Outside keeps signed lines where whoever can change the database
	// cannot. Without Outside there are none.
	Sign    *Signer
	Outside Outside
	Keep    time.Duration    // entries older than this are removed; 0: none are
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: none
}

// Log is the record. Its methods may be called concurrently, and several
// gateways may append to the same one.
type Log struct {
	o Options

	mu      sync.Mutex
	waiting []Entry
	lost    int           // entries that found no place since the last flush
	rung    chan struct{} // holds a token when something waits

	commit sync.Mutex // one commit of this process at a time
	marked int64      // position of the last checkpoint
}

// Open returns the log that the store holds. It reads nothing yet.
func Open(o Options) *Log {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Log{o: o, rung: make(chan struct{}, 1)}
}

// Checkpoint lets the log make checkpoints from now on, as Options do; for a
// key that comes out of a vault which records its own use here. It is called
// before Run.
func (l *Log) Checkpoint(sign *Signer, outside Outside) {
	l.o.Sign, l.o.Outside = sign, outside
}

// Signer is what signs the checkpoints; nil when nothing does.
func (l *Log) Signer() *Signer { return l.o.Sign }

// Record implements [Recorder].
func (l *Log) Record(e Entry) {
	e, err := e.tidy(l.o.Now())
	if err != nil {
		l.o.Log.Error("record an act", "err", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.waiting) - 1; i >= 0 && i >= len(l.waiting)-folded; i-- {
		if w := &l.waiting[i]; w.absorbs(e) {
			w.Count = max(w.Count, 1) + max(e.Count, 1)
			return
		}
	}
	if len(l.waiting) >= maxWaiting {
		l.lost++
		return
	}
	l.waiting = append(l.waiting, e)
	select {
	case l.rung <- struct{}{}:
	default:
	}
}

// absorbs reports whether other is the same act once more, such as the next call of
// a poll: they are counted and not listed one by one.
func (e Entry) absorbs(other Entry) bool {
	return len(e.Facts)+len(other.Facts) == 0 && e.Kind == other.Kind && e.Do == other.Do && e.By == other.By &&
		e.On == other.On && e.To == other.To && e.For == other.For && e.Turn == other.Turn && e.Err == other.Err
}

// Keep implements [Recorder]. What was recorded before comes before it.
func (l *Log) Keep(ctx context.Context, entries ...Entry) error {
	l.mu.Lock()
	all := l.takeLocked()
	l.mu.Unlock()
	recorded := len(all)
	for _, e := range entries {
		e, err := e.tidy(l.o.Now())
		if err != nil {
			l.giveBack(all[:recorded])
			return err
		}
		all = append(all, e)
	}
	if err := l.append(ctx, all); err != nil {
		l.giveBack(all[:recorded])
		return fmt.Errorf("keep the audit entry: %w", err)
	}
	return nil
}

// doLost is said of entries that found no place.
const doLost = "lost"

func (l *Log) takeLocked() []Entry {
	all := l.waiting
	l.waiting = nil
	if l.lost > 0 {
		all = append(all, Entry{At: l.o.Now().UTC(), Kind: Record, Do: doLost, Count: l.lost, Err: "the store did not take them in time"})
		l.lost = 0
	}
	return all
}

func (l *Log) giveBack(entries []Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(entries); n > 0 && entries[n-1].Kind == Record && entries[n-1].Do == doLost {
		l.lost += entries[n-1].Count
		entries = entries[:n-1]
	}
	l.waiting = append(entries[:len(entries):len(entries)], l.waiting...)
	if over := len(l.waiting) - maxWaiting; over > 0 {
		l.lost += over
		l.waiting = l.waiting[:maxWaiting]
	}
}

// Run keeps what is recorded and makes the checkpoints until ctx ends, and then
// once more.
func (l *Log) Run(ctx context.Context) error {
	marks := time.NewTicker(markEvery)
	defer marks.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-marks.C:
			l.retain(ctx)
			l.checkpoint(ctx)
		case <-l.rung:
			l.flush(ctx)
			pause(ctx, flushEvery)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
	defer cancel()
	l.flush(ctx)
	l.checkpoint(ctx)
	return nil
}

// retain removes what is too old.
func (l *Log) retain(ctx context.Context) {
	if l.o.Keep <= 0 {
		return
	}
	n, err := l.Forget(ctx, l.o.Now().Add(-l.o.Keep))
	switch {
	case err != nil && ctx.Err() == nil:
		l.o.Log.Error("forget old audit entries", "err", err)
	case n > 0:
		l.Record(Entry{Kind: Record, Do: "forgotten", Facts: Facts{"entries": strconv.Itoa(n)}})
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (l *Log) flush(ctx context.Context) {
	l.mu.Lock()
	all := l.takeLocked()
	l.mu.Unlock()
	if len(all) == 0 {
		return
	}
	if err := l.append(ctx, all); err != nil {
		l.giveBack(all)
		if ctx.Err() == nil {
			l.o.Log.Error("the audit log cannot be written; its entries wait in memory", "err", err)
		}
		select { // to be tried again
		case l.rung <- struct{}{}:
		default:
		}
	}
}

// append puts the entries at the end of the chain.
func (l *Log) append(ctx context.Context, entries []Entry) error {
	l.commit.Lock()
	defer l.commit.Unlock()
	for len(entries) > 0 {
		n := min(len(entries), maxCommit)
		if err := l.appendSome(ctx, entries[:n]); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

func (l *Log) appendSome(ctx context.Context, entries []Entry) error {
	for range collisions {
		head, version, err := l.mark(ctx, headKey)
		if err != nil {
			return err
		}
		writes, err := chained(head, version, entries)
		if err != nil {
			return err
		}
		err = l.o.Store.Write(ctx, writes...)
		if !errors.Is(err, kv.ErrConflict) {
			return err
		}
	}
	return errors.New("audit: other gateways append all the time")
}

// chained makes the writes that put entries behind head.
func chained(head mark, version int64, entries []Entry) ([]kv.Write, error) {
	writes := make([]kv.Write, 0, len(entries)+1)
	for _, e := range entries {
		e.Seq = head.Seq + 1
		r, err := newRow(e, head)
		if err != nil {
			return nil, err
		}
		w, err := put(rowSpace, rowKey(e.Seq), r, kv.Absent)
		if err != nil {
			return nil, err
		}
		writes = append(writes, w)
		head = mark{Seq: e.Seq, Hash: r.Hash}
	}
	w, err := put(markSpace, headKey, head, orAbsent(version))
	return append(writes, w), err
}

func orAbsent(version int64) int64 {
	if version == 0 {
		return kv.Absent
	}
	return version
}

func (l *Log) mark(ctx context.Context, key string) (m mark, version int64, err error) {
	x, err := l.o.Store.Get(ctx, markSpace, key)
	if err != nil || x.Version == 0 {
		return m, 0, err
	}
	if err := json.Unmarshal(x.Value, &m); err != nil {
		return m, 0, fmt.Errorf("%w: its %s cannot be read", ErrTampered, key)
	}
	return m, x.Version, nil
}
