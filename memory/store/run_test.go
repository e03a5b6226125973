package store_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/memory/memorytest"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// slow is an engine that holds one chunk and takes ten minutes to index vectors;
// whoever asks first is told that it fails.
type slow struct {
	store.Engine
	began []time.Duration
	start time.Time
	sets  int
}

func (e *slow) Model(context.Context, string, int) (store.Model, error) {
	return store.Model{ID: 1, Dimensions: 64}, nil
}

func (e *slow) Rows(context.Context, store.Filter) ([]store.Row, error) { return nil, nil }

func (e *slow) Pending(context.Context, store.Model, int) ([]store.Chunk, error) {
	if e.sets > 0 {
		return nil, nil
	}
	return []store.Chunk{{ID: 1, Body: []byte("\x00fox"), Item: &store.Row{ID: "x"}}}, nil
}

func (e *slow) SetVectors(context.Context, store.Model, []store.Vector) error {
	e.sets++
	return nil
}

func (e *slow) Progress(context.Context, store.Model) (done, all int64, err error) { return 1, 1, nil }

func (e *slow) Compared(context.Context, store.Model) (int64, error) { return 17, nil }

func (e *slow) IndexVectors(ctx context.Context, _ store.Model, settled bool) (int, error) {
	e.began = append(e.began, time.Since(e.start))
	switch {
	case settled:
		return 0, errors.New("more may come")
	case len(e.began) == 1:
		return 0, errors.New("no luck")
	}
	select {
	case <-time.After(10 * time.Minute):
		return 2, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// TestRunIndexesVectors: what takes long is done beside the making of vectors, is
// tried again, and ends with the store.
func TestRunIndexesVectors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &slow{start: time.Now()}
		var log bytes.Buffer
		s := store.New(store.Options{Engine: e, Embedder: &memorytest.Embedder{Name: "m"}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if e.sets != 1 {
			t.Errorf("vectors were set %d times", e.sets)
		}
		time.Sleep(8 * time.Minute)
		synctest.Wait()
		if p, err := s.Progress(ctx); err != nil || p.Compared != 17 {
			t.Errorf("%+v %v", p, err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]time.Duration{0, time.Minute, 12 * time.Minute}, e.began); diff != "" {
			t.Error(diff)
		}
		for _, want := range []string{`it is tried again" what="index vectors"`, "indexes=2 took=10m0s"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, log.String())
			}
		}
	})
}
