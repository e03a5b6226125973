package endpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/memory"
)

// busyError says that asking again may help.
type busyError struct {
	err   error
	after time.Duration
}

func (b *busyError) Error() string { return b.err.Error() }
func (b *busyError) Unwrap() error { return b.err }

type question struct {
	Model      string   `json:"model"`
	Input      []string `json:"input"`
	Dimensions int      `json:"dimensions,omitempty"`
}

type answer struct {
	Data []struct {
		Index     *int      `json:"index"`
		Embedding []float32 `json:"embedding"`
	} `json:"data"`
}

// ask makes one request for the texts of a batch.
func (e *Embedder) ask(ctx context.Context, kind memory.EmbedKind, texts []string, batch []int, vectors [][]float32) error {
	q := question{Model: e.o.Model}
	if e.o.Shorten {
		q.Dimensions = e.o.Dimensions
	}
	lead := e.o.Passage
	if kind == memory.ForQuery {
		lead = e.o.Query
	}
	for _, i := range batch {
		q.Input = append(q.Input, lead+strings.ToValidUTF8(texts[i], "\ufffd"))
	}
	body, err := json.Marshal(q)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.o.BaseURL+"/embeddings", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if e.o.Key != "" {
		req.Header.Set("Authorization", "Bearer "+e.o.Key)
	}
	resp, err := e.o.Client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &busyError{err: fmt.Errorf("ask %s for vectors: %w", e.o.Name, err)}
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return e.refused(resp)
	}
	var a answer
	if err := json.NewDecoder(io.LimitReader(resp.Body, mostAnswer)).Decode(&a); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("vectors of %s: the answer is not JSON as it should be: %w", e.o.Name, shape(err))
	}
	return e.place(a, batch, vectors)
}

// place puts the vectors of an answer where their texts are.
func (e *Embedder) place(a answer, batch []int, vectors [][]float32) error {
	if len(a.Data) != len(batch) {
		return fmt.Errorf("%s made %d vectors of %d texts", e.o.Name, len(a.Data), len(batch))
	}
	placed := make([]bool, len(batch))
	for i, d := range a.Data {
		at := i
		if d.Index != nil {
			at = *d.Index
		}
		if at < 0 || at >= len(batch) || placed[at] {
			return fmt.Errorf("%s answered with a vector of a text that it was not asked for", e.o.Name)
		}
		placed[at] = true
		if len(d.Embedding) != e.o.Dimensions {
			return fmt.Errorf("%s of %s makes vectors of %d dimensions, not of %d: set memory.dimensions",
				e.o.Model, e.o.Name, len(d.Embedding), e.o.Dimensions)
		}
		if !unit(d.Embedding) {
			return fmt.Errorf("%s made a vector that has no length", e.o.Name)
		}
		vectors[batch[at]] = d.Embedding
	}
	return nil
}

// unit gives v the length 1, and reports whether it could.
func unit(v []float32) bool {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 || math.IsInf(sum, 0) || math.IsNaN(sum) {
		return false
	}
	by := float32(1 / math.Sqrt(sum))
	for i := range v {
		v[i] *= by
	}
	return true
}

// refused tells what an answer other than 200 means. It has the code that the
// endpoint gives, and not its message, which may repeat the text.
func (e *Embedder) refused(resp *http.Response) error {
	var said struct {
		Error struct {
			Code, Type any
		}
	}
	_ = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&said)
	err := fmt.Errorf("%s refuses to make vectors with %s: status %d%s%s",
		e.o.Name, e.o.Model, resp.StatusCode, word(said.Error.Code, said.Error.Type), advice(resp.StatusCode))
	busy := []int{http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests}
	if resp.StatusCode < 500 && !slices.Contains(busy, resp.StatusCode) {
		return err
	}
	return &busyError{err: err, after: retryAfter(resp.Header.Get("Retry-After"))}
}

// word is the first of the codes that is a plain word.
func word(codes ...any) string {
	for _, c := range codes {
		s, ok := c.(string)
		plain := func(r rune) bool {
			return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-'
		}
		if ok && s != "" && len(s) <= 60 && strings.TrimFunc(s, plain) == "" {
			return " (" + s + ")"
		}
	}
	return ""
}

func advice(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return ": check memory.api_key"
	case http.StatusNotFound:
		return ": check memory.base_url and memory.model"
	}
	return ""
}

func retryAfter(s string) time.Duration {
	var seconds int
	if _, err := fmt.Sscanf(s, "%d", &seconds); err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, 3600)) * time.Second
}

// shape drops what a JSON error repeats of the answer.
func shape(err error) error {
	if as := (*json.UnmarshalTypeError)(nil); errors.As(err, &as) {
		return errors.New("a field is of another type")
	}
	if as := (*json.SyntaxError)(nil); errors.As(err, &as) {
		return errors.New("its syntax is broken")
	}
	return err
}
