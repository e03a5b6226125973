package audit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

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
