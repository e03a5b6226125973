package sealed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
	"github.com/gatehouse-chat/gatehouse/vault"
)

// Where the progress of a conversion lies.
const (
	markSpace = "sealed"
	markKey   = "pass"
)

// mark is how far everything that is stored is in the form that is wanted.
type mark struct {
	Sealed  bool   `json:"sealed"`            // the form
	Records int64  `json:"records,omitempty"` // the last position that was looked at; -1: all were
	Space   string `json:"space,omitempty"`
	Key     string `json:"key,omitempty"` // of the last row that was looked at
	Files   bool   `json:"files,omitempty"`
	Done    bool   `json:"done,omitempty"`
}

func readMark(ctx context.Context, state kv.Reader) (m mark, known bool, err error) {
	e, err := state.Get(ctx, markSpace, markKey)
	if err != nil || e.Version == 0 {
		return m, false, err
	}
	if err := json.Unmarshal(e.Value, &m); err != nil {
		return m, false, fmt.Errorf("how far the content is encrypted: %w", err)
	}
	return m, true, nil
}

// Needed reports whether a state has to be read through an [Engine]: content is
// to be sealed, or some of it still is.
func Needed(ctx context.Context, state kv.Reader, on bool) (bool, error) {
	m, known, err := readMark(ctx, state)
	return on || known && (m.Sealed || !m.Done), err
}

// atOnce is how many records or rows are converted in one commit.
const atOnce = 200

// Convert brings what is stored into the form that is wanted, a few at a time,
// while the gateway runs. It blocks until that is done, and goes on where a
// process before has died. files converts the files, when all else is done; nil:
// there are none. It reports whether there was something to do.
func (e *Engine) Convert(ctx context.Context, files func(context.Context) error) (bool, error) {
	m, known, err := readMark(ctx, e.Engine)
	if err != nil || known && m.Done && m.Sealed == e.o.On {
		return false, err
	}
	if !known || m.Sealed != e.o.On {
		m = mark{Sealed: e.o.On}
		if err := e.keep(ctx, m); err != nil { // before anything is in the other form
			return true, err
		}
	}
	for m.Records >= 0 {
		if m.Records, err = e.convertRecords(ctx, m.Records); err == nil {
			err = e.keep(ctx, m)
		}
		if err != nil {
			return true, fmt.Errorf("convert the messages: %w", err)
		}
	}
	if m, err = e.convertSpaces(ctx, m); err != nil {
		return true, fmt.Errorf("convert the state: %w", err)
	}
	if files != nil && !m.Files {
		if err := files(ctx); err != nil {
			return true, fmt.Errorf("convert the files: %w", err)
		}
	}
	if c, ok := e.Engine.(interface{ Compact(context.Context) error }); ok {
		// What stood in the file before is still in its free pages.
		if err := c.Compact(ctx); err != nil {
			return true, err
		}
	}
	m.Files, m.Done = true, true
	return true, e.keep(ctx, m)
}

func (e *Engine) keep(ctx context.Context, m mark) error {
	v, err := json.Marshal(m)
	if err != nil {
		return err
	}
	err = e.Engine.Write(ctx, kv.Write{Space: markSpace, Key: markKey, Value: v})
	failpoint.Hit(failpoint.ContentStep)
	return err
}

// convertRecords converts the next records; -1 when there are none left.
func (e *Engine) convertRecords(ctx context.Context, after int64) (int64, error) {
	last, err := e.revise(ctx, after, atOnce, func(l bus.Letter) (v bus.Revision, err error) {
		if v.Body, err = e.other(ctx, l.Workspace, l.Body, bodyPlace(&l.Record)...); err != nil {
			return v, err
		}
		v.Progress, err = e.other(ctx, l.Workspace, l.Progress, progressPlace(l.Queue, l.Channel, l.Key)...)
		return v, err
	})
	if err == nil && last == 0 {
		last = -1
	}
	return last, err
}

// other is a value in the form that is wanted; nil when it is, and when its key
// is no more.
func (e *Engine) other(ctx context.Context, workspace string, v []byte, place ...string) ([]byte, error) {
	if v == nil || isSealed(v) == e.o.On {
		return nil, nil
	}
	if e.o.On {
		return e.seal(ctx, workspace, v, place...)
	}
	plain, err := e.open(ctx, v, place...)
	if errors.Is(err, vault.ErrNotFound) || errors.Is(err, vault.ErrCorrupt) {
		return nil, nil // nobody can read it, in either form
	}
	return plain, err
}

func (e *Engine) convertSpaces(ctx context.Context, m mark) (mark, error) {
	spaces, err := e.Spaces(ctx)
	if err != nil {
		return m, err
	}
	for _, space := range spaces {
		if space < m.Space || !e.o.Content(space) {
			continue
		}
		if space > m.Space {
			m.Space, m.Key = space, ""
		}
		for {
			page, err := e.Engine.List(ctx, space, "", m.Key, atOnce)
			if err != nil {
				return m, err
			}
			if len(page) == 0 {
				break
			}
			if err := e.convertRows(ctx, space, page); err != nil {
				return m, err
			}
			m.Key = page[len(page)-1].Key
			if err := e.keep(ctx, m); err != nil {
				return m, err
			}
		}
	}
	return m, nil
}

// convertRows converts rows that nobody has changed since they were read: who
// did has written them in the form that is wanted.
func (e *Engine) convertRows(ctx context.Context, space string, rows []kv.Entry) error {
	var writes []kv.Write
	for _, r := range rows {
		workspace := ""
		if e.o.On {
			workspace = e.o.Owner(space, r.Key)
		}
		v, err := e.other(ctx, workspace, r.Value, rowPlace(space, r.Key)...)
		if err != nil {
			return err
		}
		if v != nil {
			writes = append(writes, kv.Write{Space: space, Key: r.Key, If: r.Version, Value: v})
		}
	}
	if len(writes) == 0 {
		return nil
	}
	err := e.Engine.Write(ctx, writes...)
	if !errors.Is(err, kv.ErrConflict) {
		return err
	}
	for _, w := range writes {
		if err := e.Engine.Write(ctx, w); err != nil && !errors.Is(err, kv.ErrConflict) {
			return err
		}
	}
	return nil
}

// Shred removes what a workspace that was deleted has left: its key is no more,
// so nobody can read it. What still waits goes when it would have been worked
// on.
func (e *Engine) Shred(ctx context.Context, workspace string) error {
	for after := int64(0); ; {
		last, err := e.Engine.Revise(ctx, after, atOnce, func(l bus.Letter) bus.Revision {
			return bus.Revision{Remove: l.Workspace == workspace && isSealed(l.Body)}
		})
		if err != nil {
			return fmt.Errorf("remove the messages of workspace %s: %w", workspace, err)
		}
		if last == 0 {
			break
		}
		after = last
	}
	spaces, err := e.Spaces(ctx)
	if err != nil {
		return err
	}
	for _, space := range spaces {
		if !e.o.Content(space) {
			continue
		}
		if err := e.shredRows(ctx, space, workspace); err != nil {
			return fmt.Errorf("remove the state of workspace %s: %w", workspace, err)
		}
	}
	return nil
}

func (e *Engine) shredRows(ctx context.Context, space, workspace string) error {
	after := ""
	for {
		page, err := e.Engine.List(ctx, space, "", after, atOnce)
		if err != nil || len(page) == 0 {
			return err
		}
		var writes []kv.Write
		for _, r := range page {
			after = r.Key
			if !isSealed(r.Value) {
				continue
			}
			if w, _, ok := owner(r.Value); ok && w == workspace {
				writes = append(writes, kv.Write{Space: space, Key: r.Key})
			}
		}
		if len(writes) == 0 {
			continue
		}
		if err := e.Engine.Write(ctx, writes...); err != nil {
			return err
		}
	}
}

// again is how long Run waits after a failure.
const again = 10 * time.Minute

// Run converts until that is done, or ctx ends.
func (e *Engine) Run(ctx context.Context, files func(context.Context) error) error {
	for {
		did, err := e.Convert(ctx, files)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && did:
			e.o.Log.Info("stored content was converted", "encrypted", e.o.On)
			return nil
		case err == nil:
			return nil
		}
		e.o.Log.Error("convert the stored content; it is tried again", "err", err)
		t := time.NewTimer(again)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil
		}
	}
}
