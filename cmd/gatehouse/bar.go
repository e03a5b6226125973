package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// barEvery is how often a bar moves.
const barEvery = 200 * time.Millisecond

// bar shows on a terminal how far something is.
type bar struct {
	out   io.Writer // nil: nobody looks
	what  string
	last  time.Time
	shown bool
}

func newBar(out io.Writer, what string) *bar {
	if !isTerminal(out) {
		out = nil
	}
	return &bar{out: out, what: what}
}

// show draws the bar, or the number alone where nobody knows of how many.
func (b *bar) show(done, all int64) {
	if b.out == nil || time.Since(b.last) < barEvery && done < all {
		return
	}
	b.last, b.shown = time.Now(), true
	if all <= 0 {
		fmt.Fprintf(b.out, "\r%d %s ", done, b.what)
		return
	}
	const width = 30
	full := int(min(done, all) * width / all)
	fmt.Fprintf(b.out, "\r[%s%s] %d of %d %s ", strings.Repeat("#", full), strings.Repeat(".", width-full), done, all, b.what)
}

// end leaves the line of the bar, if there is one.
func (b *bar) end() {
	if b.shown {
		fmt.Fprintln(b.out)
	}
	b.shown = false
}

// brokenOff is what a person is told who has pressed Ctrl-C, in the place of
// what broke off because of it.
func brokenOff(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}
