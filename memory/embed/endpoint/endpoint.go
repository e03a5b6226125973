// Package endpoint asks an endpoint that speaks OpenAI's dialect for vectors:
// OpenAI, Mistral, Gemini, Ollama, vLLM and others.
package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/gatehouse-chat/gatehouse/memory"
)

// Options say whom to ask.
type Options struct {
	Name       string // of the kind, such as "openai"; stands in the model's name
	BaseURL    string // below it lies /embeddings
	Model      string
	Dimensions int    // of a vector; more than 0
	Shorten    bool   // ask the endpoint for vectors of that length; few models know that
	Query      string // put in front of each question
	Passage    string // put in front of each passage
	Latin      bool   // the model knows no script but the Latin one
	Key        string // bearer token; empty: none
	Client     *http.Client
}

// Embedder asks the endpoint. It is safe for concurrent use, and keeps no
// goroutine.
type Embedder struct{ o Options }

var (
	_ memory.Embedder = (*Embedder)(nil)
	_ memory.Weighed  = (*Embedder)(nil)
)

// New checks the options. It does no I/O.
func New(o Options) (*Embedder, error) {
	switch {
	case o.Client == nil:
		return nil, errors.New("no client to ask an endpoint with")
	case o.BaseURL == "" || o.Model == "":
		return nil, errors.New("an endpoint needs an address and a model")
	case o.Dimensions <= 0 || o.Dimensions > 1<<14:
		return nil, fmt.Errorf("vectors of %d dimensions", o.Dimensions)
	}
	o.BaseURL = strings.TrimRight(o.BaseURL, "/")
	return &Embedder{o: o}, nil
}

// Model implements memory.Embedder. The address is no part of the name: the same
// model makes the same vectors wherever it runs.
func (e *Embedder) Model() string {
	return fmt.Sprintf("%s/%s/%d", e.o.Name, e.o.Model, e.o.Dimensions)
}

// Dimensions implements memory.Embedder.
func (e *Embedder) Dimensions() int { return e.o.Dimensions }

// weightOfStrange is what the best hit weighs for a question in a script that the
// model does not know, where its vectors say next to nothing.
const weightOfStrange = 0.4

// Weight implements memory.Weighed.
func (e *Embedder) Weight(question string) float64 {
	if !e.o.Latin {
		return memory.UsualWeight
	}
	latin, all := 0, 0
	for _, r := range question {
		if unicode.IsLetter(r) {
			all++
		}
		if unicode.Is(unicode.Latin, r) {
			latin++
		}
	}
	if all == 0 {
		return memory.UsualWeight
	}
	return weightOfStrange + (memory.UsualWeight-weightOfStrange)*float64(latin)/float64(all)
}

// What one request holds at most. Gemini takes 100 texts, OpenAI 300,000 tokens.
const (
	mostTexts = 64
	mostBytes = 256 << 10
	// mostAnswer bounds what is read of an answer: 64 vectors of the longest
	// models are a tenth of it.
	mostAnswer = 32 << 20
)

// Embed implements memory.Embedder. It asks again when the endpoint is busy or
// away: a few times for passages, once for a question, which somebody waits for.
func (e *Embedder) Embed(ctx context.Context, kind memory.EmbedKind, texts []string) ([][]float32, error) {
	vectors := make([][]float32, len(texts))
	var batch []int
	size := 0
	ask := func() error {
		defer func() { batch, size = batch[:0], 0 }()
		if len(batch) == 0 {
			return nil
		}
		return e.persist(ctx, kind, texts, batch, vectors)
	}
	for i, text := range texts {
		if strings.TrimSpace(text) == "" {
			continue // endpoints refuse it
		}
		if len(batch) == mostTexts || size+len(text) > mostBytes {
			if err := ask(); err != nil {
				return nil, err
			}
		}
		batch = append(batch, i)
		size += len(text)
	}
	if err := ask(); err != nil {
		return nil, err
	}
	return vectors, nil
}

// How often the endpoint is asked, and how long is waited in between.
const (
	triesPassage = 5
	triesQuery   = 2
	firstWait    = 500 * time.Millisecond
	mostWait     = 30 * time.Second
	queryWait    = 2 * time.Second
)

func (e *Embedder) persist(ctx context.Context, kind memory.EmbedKind, texts []string, batch []int, vectors [][]float32) error {
	tries, most, wait := triesPassage, mostWait, firstWait
	if kind == memory.ForQuery {
		tries, most = triesQuery, queryWait
	}
	for try := 1; ; try++ {
		err := e.ask(ctx, kind, texts, batch, vectors)
		busy := (*busyError)(nil)
		if err == nil || !errors.As(err, &busy) || try == tries || busy.after > most {
			return err
		}
		pause := time.NewTimer(max(wait, busy.after))
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-pause.C:
		}
		wait = min(2*wait, most)
	}
}
