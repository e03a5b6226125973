package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
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

// Read yields the entries that a query selects, oldest first, and an error at
// most once, at the end. What was recorded in the last moment is not yet there.
func (l *Log) Read(ctx context.Context, q Query) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for seq, r := range l.rows(ctx, q.After, yield) {
			e, err := r.entry(seq)
			if err != nil {
				yield(Entry{}, fmt.Errorf("%w: entry %d cannot be read", ErrTampered, seq))
				return
			}
			if q.matches(e) && !yield(e, nil) {
				return
			}
		}
	}
}

// Last returns the last n entries that a query selects, oldest first. It looks
// at the newest entries first and reads no more than it has to.
func (l *Log) Last(ctx context.Context, q Query, n int) ([]Entry, error) {
	head, _, err := l.mark(ctx, headKey)
	if err != nil {
		return nil, err
	}
	floor, _, err := l.mark(ctx, floorKey)
	if err != nil {
		return nil, err
	}
	low := max(q.After, floor.Seq)
	var found []Entry // newest first
	for end := head.Seq; end > low && len(found) < n; {
		start := max(end-pageEntries, low)
		page, err := l.o.Store.List(ctx, rowSpace, "", rowKey(start), int(end-start))
		if err != nil {
			return nil, err
		}
		for i := len(page) - 1; i >= 0 && len(found) < n; i-- {
			seq, r, err := decodeRow(page[i])
			if err != nil {
				return nil, err
			}
			if seq > end { // where retention has removed entries, a page reaches further
				continue
			}
			e, err := r.entry(seq)
			if err != nil {
				return nil, err
			}
			if q.matches(e) {
				found = append(found, e)
			}
		}
		end = start
	}
	for i, j := 0, len(found)-1; i < j; i, j = i+1, j-1 {
		found[i], found[j] = found[j], found[i]
	}
	return found, nil
}

// rows yields what is kept after a position; a failure goes to fail.
func (l *Log) rows(ctx context.Context, after int64, fail func(Entry, error) bool) iter.Seq2[int64, row] {
	return func(yield func(int64, row) bool) {
		for {
			page, err := l.o.Store.List(ctx, rowSpace, "", rowKey(after), pageEntries)
			if err != nil {
				fail(Entry{}, fmt.Errorf("read the audit log: %w", err))
				return
			}
			for _, x := range page {
				seq, r, err := decodeRow(x)
				if err != nil {
					fail(Entry{}, err)
					return
				}
				if !yield(seq, r) {
					return
				}
				after = seq
			}
			if len(page) < pageEntries {
				return
			}
		}
	}
}

// Bury removes the content of every entry that an erasure asks for and keeps
// its place in the chain, with the reason. It returns how many there were, and
// records that it was done.
func (l *Log) Bury(ctx context.Context, by Entry, match func(Entry) bool) (n int, err error) {
	why := cut(by.Err)
	if why == "" {
		why = "erased"
	}
	after := int64(0)
	for {
		page, err := l.o.Store.List(ctx, rowSpace, "", rowKey(after), pageEntries)
		if err != nil {
			return n, err
		}
		var writes []kv.Write
		for _, x := range page {
			seq, r, err := decodeRow(x)
			if err != nil {
				return n, err
			}
			after = seq
			e, err := r.entry(seq)
			if err != nil || r.Buried != "" || !match(e) {
				continue
			}
			w, err := put(rowSpace, x.Key, row{Sum: r.Sum, Buried: why, Hash: r.Hash}, x.Version)
			if err != nil {
				return n, err
			}
			writes = append(writes, w)
		}
		if len(writes) > 0 {
			if err := l.o.Store.Write(ctx, writes...); err != nil {
				return n, fmt.Errorf("bury audit entries: %w", err)
			}
			n += len(writes)
		}
		if len(page) < pageEntries {
			break
		}
	}
	by.Kind, by.Do, by.Facts = Record, "buried", Facts{"entries": strconv.Itoa(n)}
	return n, l.Keep(ctx, by)
}

// Forget removes entries that are older than a time, from the beginning on. The
// mark of the last one stays, so that the rest of the chain can be checked.
func (l *Log) Forget(ctx context.Context, before time.Time) (n int, err error) {
	for {
		removed, err := l.forgetSome(ctx, before)
		n += removed
		if err != nil || removed < pageEntries {
			return n, err
		}
	}
}

func (l *Log) forgetSome(ctx context.Context, before time.Time) (int, error) {
	floor, version, err := l.mark(ctx, floorKey)
	if err != nil {
		return 0, err
	}
	page, err := l.o.Store.List(ctx, rowSpace, "", rowKey(floor.Seq), pageEntries)
	if err != nil {
		return 0, err
	}
	var writes []kv.Write
	for _, x := range page {
		seq, r, err := decodeRow(x)
		if err != nil {
			return 0, err
		}
		e, err := r.entry(seq)
		if err != nil {
			return 0, err
		}
		if r.Buried == "" && !e.At.Before(before) {
			break
		}
		if err := r.follows(floor); err != nil {
			return 0, err // what was tampered with is evidence
		}
		writes = append(writes, kv.Write{Space: rowSpace, Key: x.Key})
		floor = mark{Seq: seq, Hash: r.Hash}
	}
	if len(writes) == 0 {
		return 0, nil
	}
	w, err := put(markSpace, floorKey, floor, orAbsent(version))
	if err != nil {
		return 0, err
	}
	err = l.o.Store.Write(ctx, append(writes, w)...)
	if errors.Is(err, kv.ErrConflict) {
		return 0, nil // another gateway does it
	}
	return len(writes), err
}
