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

// askOnce sends a question, shows the answer and returns.
func askOnce(ctx context.Context, c *consoleclient.Client, f *face, notes io.Writer, question string, stops <-chan os.Signal) error {
	defer f.end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	asked, err := send(ctx, c, notes, question, stops)
	if err != nil {
		return err
	}
	events := make(chan consoleclient.Event)
	go follow(ctx, c, asked.Rev, func(e consoleclient.Event) {
		select {
		case events <- e:
		case <-ctx.Done():
		}
	})
	a := &awaited{face: f, after: asked.Seq}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-stops:
			f.grow("")
			_, _ = deliver(ctx, c, consoleclient.NewKey(), "/stop", cancel) // a gateway that is away has nothing to stop
			return errStoppedAnswer
		case <-a.gone:
			return errAway
		case <-a.whole:
			return nil
		case e := <-events:
			a.see(e)
		}
	}
}

// send delivers the question within the patience with a gateway that is away.
func send(ctx context.Context, c *consoleclient.Client, notes io.Writer, question string, stops <-chan os.Signal) (wire.Message, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx, end := context.WithTimeout(ctx, untilReachable)
	defer end()
	go func() {
		select {
		case <-stops:
			cancel(errStoppedAnswer)
		case <-ctx.Done():
		}
	}()
	m, err := deliver(ctx, c, consoleclient.NewKey(), question, func() {
		fmt.Fprintln(notes, "the gateway does not answer; trying again")
	})
	if errors.Is(context.Cause(ctx), errStoppedAnswer) {
		return m, errStoppedAnswer
	}
	if err != nil {
		return m, fmt.Errorf("send the question: %w", err)
	}
	return m, nil
}

// awaited is the answer that is waited for.
type awaited struct {
	face  *face
	after int64 // the place of the question
	shown map[string]string
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
			a.face.grow(a.face.dim("…"))
		}
	case wire.Draft:
		if a.whole == nil && strings.TrimSpace(e.Text) != "" {
			a.face.grow(a.face.draft(e.Text))
		}
	case wire.Message:
		if e.From != wire.Bot || e.Deleted || e.Seq <= a.after || a.shown[e.ID] == e.Text {
			return
		}
		if a.shown == nil {
			a.shown = map[string]string{}
		}
		a.shown[e.ID] = e.Text
		a.face.grow("")
		a.face.print(a.face.message(e))
		a.whole = time.After(untilWhole)
	}
}
