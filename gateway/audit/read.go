package audit

import (
	"context"
	"fmt"
	"iter"
	"slices"
)

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
	slices.Reverse(found)
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
