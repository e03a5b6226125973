package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/console/consoleclient"
	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
)

// The patience of a single question.
const (
	untilReachable = 30 * time.Second       // for a gateway that went away to come back
	untilWhole     = 200 * time.Millisecond // for a further piece of the answer
)

var (
	errStoppedAnswer = errors.New("stopped")
	errAway          = errors.New("the gateway went away; it keeps your question and answers it when it runs again, see gatehouse chat")
)

// inquiry asks a single question.
type inquiry struct {
	chat   *consoleclient.Client
	failed func(ctx context.Context, turn string) (string, error) // kind of a turn's failure
	face   *face
	notes  io.Writer
	stops  <-chan os.Signal
}

// ask sends a question, shows the answer and returns; an answer that is only an
// excuse is an error.
func (q inquiry) ask(ctx context.Context, question string) error {
	defer q.face.end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	asked, err := q.send(ctx, question)
	if err != nil {
		return err
	}
	events := make(chan consoleclient.Event)
	go follow(ctx, q.chat, asked.Rev, func(e consoleclient.Event) {
		select {
		case events <- e:
		case <-ctx.Done():
		}
	})
	a := &awaited{face: q.face, after: asked.Seq, shown: map[string]string{}}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-q.stops:
			q.face.grow("")
			_, _ = deliver(ctx, q.chat, consoleclient.NewKey(), "/stop", cancel) // a gateway that is away has nothing to stop
			return errStoppedAnswer
		case <-a.gone:
			return errAway
		case <-a.whole:
			return q.judge(ctx, a)
		case e := <-events:
			a.see(e)
		}
	}
}

// send delivers the question within the patience with a gateway that is away.
func (q inquiry) send(ctx context.Context, question string) (wire.Message, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx, end := context.WithTimeout(ctx, untilReachable)
	defer end()
	go func() {
		select {
		case <-q.stops:
			cancel(errStoppedAnswer)
		case <-ctx.Done():
		}
	}()
	m, err := deliver(ctx, q.chat, consoleclient.NewKey(), question, func() {
		fmt.Fprintln(q.notes, "the gateway does not answer; trying again")
	})
	if errors.Is(context.Cause(ctx), errStoppedAnswer) {
		return m, errStoppedAnswer
	}
	if err != nil {
		return m, fmt.Errorf("send the question: %w", err)
	}
	return m, nil
}

// judge tells an excuse from an answer. What answers a command has no turn.
func (q inquiry) judge(ctx context.Context, a *awaited) error {
	for id := range a.shown {
		turn, _, _ := strings.Cut(id, "/")
		kind, err := q.failed(ctx, turn)
		if err != nil {
			return fmt.Errorf("ask how it went: %w", err)
		}
		if kind != "" {
			return fmt.Errorf("the agent could not answer in full (%s)", kind)
		}
	}
	return nil
}

// awaited is the answer that is waited for.
type awaited struct {
	face  *face
	after int64             // the place of the question
	shown map[string]string // id -> text
	whole <-chan time.Time
	gone  <-chan time.Time
}

func (a *awaited) see(e consoleclient.Event) {
	switch e := e.(type) {
	case lost:
		a.face.grow("")
		if a.gone == nil {
			a.gone = time.After(untilReachable)
		}
	case wire.Ready:
		a.gone = nil
	case wire.Typing:
		if a.whole == nil {
			a.face.growIfNothing(a.face.dim("…"))
		}
	case wire.Draft:
		if a.whole == nil && strings.TrimSpace(e.Text) != "" {
			a.face.grow(a.face.draft(e.Text))
		}
	case wire.Message:
		if e.From != wire.Bot || e.Deleted || e.Seq <= a.after || (a.shown[e.ID] == e.Text && len(e.Files) == 0) {
			return
		}
		a.shown[e.ID] = e.Text
		a.face.grow("")
		a.face.print(a.face.message(e))
		for _, f := range e.Files {
			a.face.print(a.face.dim(fileLine("file", f) + " (the chat without a question saves it)"))
		}
		a.whole = time.After(untilWhole)
	}
}
