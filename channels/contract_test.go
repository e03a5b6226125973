package channels_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

type bare struct{ channels.Channel }

type typing struct{ channels.Channel }

func (typing) Type(context.Context, channels.Address) error { return errors.New("inner") }

// wrapper hides a channel and lets its capabilities through.
type wrapper struct{ inner channels.Channel }

func (w wrapper) Features(channels.Address) channels.Features { return channels.Features{} }
func (w wrapper) Run(context.Context, channels.Sink) error    { return nil }
func (w wrapper) Unwrap() channels.Channel                    { return w.inner }
func (w wrapper) Send(context.Context, channels.Part) (channels.Receipt, error) {
	return channels.Receipt{}, nil
}

type typingWrapper struct{ wrapper }

func (typingWrapper) Type(context.Context, channels.Address) error { return errors.New("outer") }

func TestAs(t *testing.T) {
	for _, c := range []struct {
		name string
		in   channels.Channel
		want string
	}{
		{"nil", nil, ""},
		{"without", bare{}, ""},
		{"itself", typing{}, "inner"},
		{"through a wrapper", wrapper{typing{}}, "inner"},
		{"through three", wrapper{wrapper{wrapper{typing{}}}}, "inner"},
		{"the outermost wins", typingWrapper{wrapper{typing{}}}, "outer"},
		{"a wrapper that adds it", wrapper{typingWrapper{wrapper{bare{}}}}, "outer"},
		{"a wrapper around nothing", wrapper{}, ""},
		{"not by embedding", wrapper{bare{typing{}}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if typer, ok := channels.As[channels.Typer](c.in); ok {
				got = typer.Type(t.Context(), channels.Address{}).Error()
			}
			if got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func TestKindOf(t *testing.T) {
	limited := &channels.Error{Op: "send", Channel: "c", Kind: channels.RateLimited, RetryAfter: 3 * time.Second, Err: io.ErrUnexpectedEOF}
	for _, c := range []struct {
		name string
		in   error
		kind channels.Kind
		wait time.Duration
	}{
		{"nil", nil, "", 0},
		{"another error", io.EOF, channels.Other, 0},
		{"itself", limited, channels.RateLimited, 3 * time.Second},
		{"wrapped", fmt.Errorf("turn: %w", limited), channels.RateLimited, 3 * time.Second},
		{"joined", errors.Join(io.EOF, limited), channels.RateLimited, 3 * time.Second},
		{"the outer one", &channels.Error{Kind: channels.Gone, Err: limited}, channels.Gone, 0},
		{"without a cause", &channels.Error{Kind: channels.Closed}, channels.Closed, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := channels.KindOf(c.in); got != c.kind {
				t.Errorf("kind %q, want %q", got, c.kind)
			}
			if got := channels.RetryAfter(c.in); got != c.wait {
				t.Errorf("wait %s, want %s", got, c.wait)
			}
		})
	}
	if !errors.Is(limited, io.ErrUnexpectedEOF) {
		t.Error("the cause cannot be found")
	}
	if got, want := limited.Error(), "c send: rate_limited: unexpected EOF"; got != want {
		t.Errorf("it reads %q, want %q", got, want)
	}
}
