package channeltest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

func acceptMutants() []mutant {
	return []mutant{
		{
			name: "acknowledges before Accept", hasty: true, in: "accept/durable before acknowledged", says: "before Accept returned",
			accept: func(ctx context.Context, _ *channeltest.Host, b channels.Batch, next acceptFunc) error {
				go func() { _ = next(ctx, b) }()
				return nil
			},
		},
		{
			name: "stores its offset apart", in: "accept/durable before acknowledged", says: inVain,
			accept: func(ctx context.Context, h *channeltest.Host, b channels.Batch, next acceptFunc) error {
				_ = h.State().Put(ctx, b.State...)
				return next(ctx, channels.Batch{Events: b.Events})
			},
		},
		{
			name: "takes a refusal for success", in: "accept/what was refused comes again", says: inVain,
			accept: func(ctx context.Context, _ *channeltest.Host, b channels.Batch, next acceptFunc) error {
				_ = next(ctx, b)
				return nil
			},
		},
		{
			name: "ignores the wait", hasty: true, in: "accept/the wait that is asked for is kept", says: "called again sooner",
			accept: func(ctx context.Context, _ *channeltest.Host, b channels.Batch, next acceptFunc) error {
				if next(ctx, b) != nil {
					return errors.New("refused")
				}
				return nil
			},
		},
		{
			name: "is held up by what is rejected", in: "accept/what is rejected holds up nothing", says: inVain,
			accept: func(ctx context.Context, _ *channeltest.Host, b channels.Batch, next acceptFunc) error {
				if err := next(ctx, b); err != nil {
					return errors.New("try again")
				}
				return nil
			},
		},
		{
			name: "drops what was rejected with its batch", in: "accept/what is rejected holds up nothing", says: "around a message",
			accept: func(ctx context.Context, _ *channeltest.Host, b channels.Batch, next acceptFunc) error {
				err := next(ctx, b)
				if channels.KindOf(err) == channels.Rejected && len(b.Events) > 1 {
					last := len(b.Events) - 1
					_ = next(ctx, channels.Batch{Events: b.Events[last:], State: b.State})
					return nil
				}
				return err
			},
		},
		{
			name: "makes up keys", in: "accept/a repeated delivery keeps its key", says: "kept 2 times",
			event: func(e *channels.Event) { e.Key = fmt.Sprint(time.Now().UnixNano()) },
		},
		{
			name: "makes up keys, crash", in: "accept/a crash after the commit doubles nothing", says: "kept 2 times",
			event: func(e *channels.Event) { e.Key = fmt.Sprint(time.Now().UnixNano()) },
			accept: func(ctx context.Context, _ *channeltest.Host, b channels.Batch, next acceptFunc) error {
				return next(ctx, channels.Batch{Events: b.Events}) // and keeps no offset
			},
		},
		{
			name: "one key for all", in: "accept/two conversations are two orders", says: inVain,
			event: func(e *channels.Event) { e.Key = "same" },
		},
		{
			name: "turns the order round", in: "accept/order in a conversation", says: "the order of a conversation",
			accept: func(ctx context.Context, _ *channeltest.Host, b channels.Batch, next acceptFunc) error {
				for i, j := 0, len(b.Events)-1; i < j; i, j = i+1, j-1 {
					b.Events[i], b.Events[j] = b.Events[j], b.Events[i]
				}
				return next(ctx, b)
			},
		},
		{
			name: "one conversation for all", in: "accept/two conversations are two orders", says: "have the orders",
			event: func(e *channels.Event) { e.Where.Conversation = "all" },
		},
		{
			name: "one stream where the platform has many", in: "accept/a conversation that waits holds up no other", says: inVain,
			suite: func(s *channeltest.Suite) {
				with := s.New
				s.New = func(t testing.TB, public string) *channeltest.Harness {
					h := with(t, public)
					h.Push = true // which Loop does not live up to
					return h
				}
			},
		},
		{
			name: "forgets after a restart", in: "accept/a restart repeats nothing and loses nothing", says: inVain,
			run: func(ctx context.Context, h *channeltest.Host, next func(context.Context) error) error {
				if b, _ := h.State().Get(ctx, "offset"); b != nil { // begins at the latest
					_ = h.State().Put(ctx, channels.Write{Key: "offset", Value: []byte("99")})
				}
				return next(ctx)
			},
		},
	}
}

func intakeMutants() []mutant {
	return []mutant{
		{name: "direct and not addressed", in: "intake/a direct chat", says: "not addressed", event: func(e *channels.Event) { e.Addressed = false }},
		{name: "one person for all", in: "intake/a direct chat", says: "one person is", event: func(e *channels.Event) { e.Who.ID = "somebody" }},
		{name: "no time", in: "intake/a direct chat", says: "time 0001", event: func(e *channels.Event) { e.At = time.Time{} }},
		{name: "changes the text", in: "intake/a direct chat", says: "its text is", event: func(e *channels.Event) {
			if m, ok := e.Content.(channels.Message); ok {
				m.Text = strings.ToUpper(m.Text[:1]) + m.Text[1:]
				e.Content = m
			}
		}},
		{name: "command in capitals", in: "intake/a command", says: "the command's name", event: func(e *channels.Event) {
			if c, ok := e.Content.(channels.Command); ok {
				c.Name = "Help"
				e.Content = c
			}
		}},
		{name: "always addressed", in: "intake/in rooms the bot must be meant", says: "want neither", event: func(e *channels.Event) { e.Addressed = true }},
		{name: "deaf to mentions", in: "intake/in rooms the bot must be meant", says: "a mention in a room", event: func(e *channels.Event) { e.Addressed = e.Room.Direct }},
		{name: "deaf to replies", in: "intake/a reply to the bot means it", says: "does not address", event: func(e *channels.Event) {
			if m, ok := e.Content.(channels.Message); ok && m.ReplyTo != nil {
				e.Addressed = false
			}
		}},
		{name: "loses the thread", in: "intake/a thread is captured", says: "its thread", event: func(e *channels.Event) { e.Where.Thread = "" }},
		part("answers outside of the thread", "intake/a thread is captured", "shown in the thread", func(p *channels.Part) { p.To.Thread = "" }),
		{name: "leaves its threads", in: "intake/a thread the bot takes part in", says: "does not address", event: func(e *channels.Event) { e.Addressed = e.Room.Direct }},
		{name: "an edit has the message's key", in: "intake/an edit", says: inVain, event: func(e *channels.Event) {
			if c, ok := e.Content.(channels.Edit); ok {
				e.Key = "message/" + string(c.ID)
			}
		}},
		{name: "deletes the wrong one", in: "intake/a deletion", says: inVain, event: func(e *channels.Event) {
			if _, ok := e.Content.(channels.Deletion); ok {
				e.Content = channels.Deletion{IDs: []channels.MessageID{"other"}}
			}
		}},
		{name: "reactions only removed", in: "intake/a reaction", says: inVain, event: func(e *channels.Event) {
			if c, ok := e.Content.(channels.Reaction); ok {
				e.Content = channels.Reaction{ID: c.ID, Removed: c.Added}
			}
		}},
		{name: "cuts what a press says", in: "intake/a button press", says: "pressed", event: func(e *channels.Event) {
			if c, ok := e.Content.(channels.Press); ok {
				c.Data = c.Data[:10]
				e.Content = c
			}
		}},
		{name: "never answers presses", in: "intake/a button press", says: inVain, wrap: func(c channels.Channel) channels.Channel { return deafAnswerer{c} }},
		{name: "cuts files that come in", in: "intake/a file, byte for byte", says: "fetched", wrap: func(c channels.Channel) channels.Channel { return cutFetcher{c} }},
	}
}

func sendMutants() []mutant {
	var one sync.Mutex
	return []mutant{
		{
			name: "no receipt", in: "send/receipts", says: "lacks an id",
			send: func(ctx context.Context, _ *channeltest.Host, p channels.Part, next sendFunc) (channels.Receipt, error) {
				_, err := next(ctx, p)
				return channels.Receipt{}, err
			},
		},
		part("sends something else", "send/receipts", "reads", func(p *channels.Part) { p.Body = markup.Plain("other") }),
		part("formats plain text", "send/plain text is literal", "plain text reads", func(p *channels.Part) {
			p.Plain, p.Body = false, markup.Parse(markup.PlainText.Render(p.Body))
		}),
		part("never formats", "send/formatting", "-golden +sent", func(p *channels.Part) { p.Plain = true }),
		part("cuts long texts", "send/a long text in pieces", "is missing", func(p *channels.Part) {
			if text := []rune(markup.PlainText.Render(p.Body)); len(text) > 500 {
				p.Body = markup.Plain(string(text[:500]))
			}
		}),
		{name: "promises more than the platform takes", in: "send/a text at the limit", says: "rejected", features: func(f *channels.Features) { f.MaxText *= 2 }},
		{name: "promises more than the platform takes, split", in: "send/a long text in pieces", says: "rejected", features: func(f *channels.Features) { f.MaxText *= 2 }},
		part("forgets the quote", "send/a quote", "quotes", func(p *channels.Part) { p.ReplyTo = "" }),
		part("sends edits anew", "send/an edit replaces", "names", func(p *channels.Part) { p.Replaces = "" }),
		{name: "edits nothing", in: "send/an edit replaces", says: "want one that reads", wrap: func(c channels.Channel) channels.Channel { return deafEditor{c} }},
		{name: "deletes nothing", in: "send/a deletion", says: "after the deletion", wrap: func(c channels.Channel) channels.Channel { return deafDeleter{c} }},
		part("cuts the data of buttons", "send/buttons", "-sent +shown", func(p *channels.Part) {
			for i := range p.Buttons {
				p.Buttons[i].Data = p.Buttons[i].Data[:10]
			}
		}),
		{name: "reacts to nothing", in: "send/a reaction", says: "the reaction is", wrap: func(c channels.Channel) channels.Channel { return deafReactor{c} }},
		{name: "never types", in: "send/typing", says: "shown 0 times", wrap: func(c channels.Channel) channels.Channel { return deafTyper{c} }},
		part("cuts files", "send/a file, byte for byte", "other bytes", func(p *channels.Part) {
			for i := range p.Files {
				p.Files[i].Open = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte("x"))), nil }
			}
		}),
		part("cuts captions", "send/the longest caption", "of a caption of", func(p *channels.Part) {
			if len(p.Files) > 0 {
				p.Body = markup.Plain(string([]rune(markup.PlainText.Render(p.Body))[:500]))
			}
		}),
		part("sends one file of an album", "send/an album", "the album", func(p *channels.Part) { p.Files = p.Files[:min(1, len(p.Files))] }),
		part("turns an album around", "send/an album", "the album", func(p *channels.Part) { slices.Reverse(p.Files) }),
		{
			name: "sends without a file that it cannot open", in: "send/a file that cannot be read", says: "was sent all the same",
			send: func(ctx context.Context, _ *channeltest.Host, p channels.Part, next sendFunc) (channels.Receipt, error) {
				rec, err := next(ctx, p)
				if err != nil && len(p.Files) > 0 {
					p.Files = nil
					return next(ctx, p)
				}
				return rec, err
			},
		},
		{
			name: "is in doubt about a file that it cannot read", in: "send/a file that cannot be read", says: "of kind",
			send: func(ctx context.Context, _ *channeltest.Host, p channels.Part, next sendFunc) (channels.Receipt, error) {
				rec, err := next(ctx, p)
				if err != nil {
					return rec, &channels.Error{Op: "send", Channel: "test", Kind: channels.Ambiguous, Err: err}
				}
				return rec, nil
			},
		},
		part("drops captions", "send/a file, byte for byte", "the caption reads", func(p *channels.Part) {
			if len(p.Files) > 0 {
				p.Body = markup.Plain("")
			}
		}),
		{name: "registers nothing", in: "send/commands are registered", says: "-registered +shown", wrap: func(c channels.Channel) channels.Channel { return deafCommander{c} }},
		{
			name: "one send at a time", in: "send/conversations do not wait for each other", says: inVain,
			send: func(ctx context.Context, _ *channeltest.Host, p channels.Part, next sendFunc) (channels.Receipt, error) {
				for !one.TryLock() {
					if ctx.Err() != nil {
						return channels.Receipt{}, &channels.Error{Op: "send", Channel: "test", Kind: channels.Transient, Err: ctx.Err()}
					}
				}
				defer one.Unlock()
				return next(ctx, p)
			},
		},
		{name: "knows everything as sent", in: "send/what was sent is known", says: "never sent", wrap: func(c channels.Channel) channels.Channel { return sureReconciler{c} }},
		{name: "is somebody else", in: "send/probe", says: "the channel is", wrap: func(c channels.Channel) channels.Channel { return otherProber{c} }},
	}
}

func failureMutants() []mutant {
	return []mutant{
		kind("429 is other", "failure/throttled", channels.RateLimited, channels.Other),
		{
			name: "429 without its wait", in: "failure/throttled", says: "RetryAfter is",
			send: func(ctx context.Context, _ *channeltest.Host, p channels.Part, next sendFunc) (channels.Receipt, error) {
				rec, err := next(ctx, p)
				var e *channels.Error
				if errors.As(err, &e) {
					e.RetryAfter = 0
				}
				return rec, err
			},
		},
		{
			name: "tries again by itself", in: "failure/throttled", says: "the kind is",
			send: func(ctx context.Context, _ *channeltest.Host, p channels.Part, next sendFunc) (channels.Receipt, error) {
				rec, err := next(ctx, p)
				if err != nil {
					rec, err = next(ctx, p)
				}
				return rec, err
			},
		},
		{
			name: "doubles a lost answer", in: "failure/lost answer", says: "shows 2 messages",
			send: func(ctx context.Context, _ *channeltest.Host, p channels.Part, next sendFunc) (channels.Receipt, error) {
				rec, err := next(ctx, p)
				if err != nil {
					rec, err = next(ctx, p)
				}
				return rec, err
			},
		},
		kind("a lost answer is certain", "failure/lost answer", channels.Ambiguous, channels.Transient),
		kind("a certain failure is unsure", "failure/unavailable", channels.Transient, channels.Ambiguous),
		kind("bad format is final", "failure/bad format", channels.Format, channels.Rejected),
		kind("shut out is other", "failure/shut out", channels.Gone, channels.Other),
		kind("refused is tried again", "failure/refused", channels.Rejected, channels.Transient),
		kind("given up is certain", "failure/a send that is given up is ambiguous", channels.Ambiguous, channels.Transient),
		kind("revoked is other", "failure/revoked credentials", channels.Unauthorized, channels.Other),
		{
			name: "an error of another type", in: "failure/refused", says: "which is no *channels.Error",
			send: func(ctx context.Context, _ *channeltest.Host, p channels.Part, next sendFunc) (channels.Receipt, error) {
				rec, err := next(ctx, p)
				if err != nil {
					err = errors.New("it failed")
				}
				return rec, err
			},
		},
		{
			name: "tries on with revoked credentials", in: "failure/revoked credentials", says: inVain,
			report: func(x channels.Health) (channels.Health, bool) { return x, x.Phase != channels.Broken },
			run: func(ctx context.Context, _ *channeltest.Host, next func(context.Context) error) error {
				for ctx.Err() == nil {
					_ = next(ctx)
				}
				return nil
			},
		},
	}
}

func lifeMutants() []mutant {
	return []mutant{
		givingUp(),
		{
			name: "lies about its health", in: "life/an outage", says: inVain,
			report: func(x channels.Health) (channels.Health, bool) { return x, x.Phase != channels.Retrying },
		},
		{
			name: "does not say why", in: "life/an outage", says: "does not say why",
			report: func(x channels.Health) (channels.Health, bool) { x.Err = nil; return x, true },
		},
		{name: "never heard", in: "life/progress is reported", says: inVain, unheard: true},
		{
			name: "leaks a goroutine", in: "life/a shutdown leaves no goroutine", says: "goroutines are left",
			run: func(ctx context.Context, _ *channeltest.Host, next func(context.Context) error) error {
				go func() { <-time.After(channeltest.Deadline) }()
				return next(ctx)
			},
		},
		{
			name: "ends with an error", in: "life/progress is reported", says: "when its context ended; want nil",
			run: func(ctx context.Context, _ *channeltest.Host, next func(context.Context) error) error {
				_ = next(ctx)
				return ctx.Err()
			},
		},
		{
			name: "never ends", in: "life/progress is reported", says: inVain,
			run: func(ctx context.Context, _ *channeltest.Host, next func(context.Context) error) error {
				defer func() { <-time.After(channeltest.Deadline) }()
				return next(ctx)
			},
		},
		dyingSends(),
		{
			name: "a secret in an error", in: "life/no secret is left behind", says: "an error of Send holds",
			send: func(ctx context.Context, h *channeltest.Host, p channels.Part, next sendFunc) (channels.Receipt, error) {
				rec, err := next(ctx, p)
				var e *channels.Error
				if errors.As(err, &e) {
					e.Err = errors.New("POST /bot" + h.SecretValue("secret://loop") + "/send")
				}
				return rec, err
			},
		},
		{
			name: "a secret in the log", in: "send/receipts", says: "a log line holds",
			send: func(ctx context.Context, h *channeltest.Host, p channels.Part, next sendFunc) (channels.Receipt, error) {
				h.Log().Debug("send", "url", "/bot"+h.SecretValue("secret://loop"))
				return next(ctx, p)
			},
		},
		{name: "a secret in the health", in: "life/progress is reported", says: "a health report holds", driver: func(d channels.Driver) channels.Driver { return leakyHealth{d} }},
		{
			name: "a secret in the state", in: "life/no secret is left behind", says: "the state token holds",
			run: func(ctx context.Context, h *channeltest.Host, next func(context.Context) error) error {
				_ = h.State().Put(ctx, channels.Write{Key: "token", Value: []byte(h.SecretValue("secret://loop"))})
				return next(ctx)
			},
		},
		{name: "checks nothing", in: "open/check lists what is wrong", says: "no fault at", driver: func(d channels.Driver) channels.Driver { return carelessDriver{d} }},
		{name: "an open schema", in: "open/the schema is an object that lists its keys", says: "additionalProperties", driver: func(d channels.Driver) channels.Driver { return opaqueDriver{d} }},
		{name: "connects in Open", in: "open/open does no I/O", says: "used the client", driver: func(d channels.Driver) channels.Driver { return eagerDriver{d} }},
		{name: "a lack that is none", in: "declaration", says: "Lacks names it", suite: func(s *channeltest.Suite) { s.Lacks = []channeltest.Ability{channeltest.Rooms} }},
		{name: "an ability that is not shown", in: "declaration", says: "the harness must show it", suite: func(s *channeltest.Suite) {
			with := s.New
			s.Lacks = []channeltest.Ability{channeltest.Typing}
			s.New = func(t testing.TB, public string) *channeltest.Harness {
				h := with(t, public)
				h.Typed = nil
				return h
			}
		}},
		{name: "a lack that is not named", in: "declaration", says: "Lacks does not name it", suite: func(s *channeltest.Suite) {
			with := s.New
			s.New = func(t testing.TB, public string) *channeltest.Harness {
				h := with(t, public)
				h.Down = nil
				return h
			}
		}},
	}
}

// givingUp takes the end of a connection for the end of its work.
func givingUp() mutant {
	var mu sync.Mutex
	end := func() {}
	return mutant{
		name: "gives up when the connection drops", in: "life/a dropped connection", says: inVain,
		run: func(ctx context.Context, _ *channeltest.Host, next func(context.Context) error) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			mu.Lock()
			end = cancel
			mu.Unlock()
			return next(ctx)
		},
		report: func(x channels.Health) (channels.Health, bool) {
			mu.Lock()
			defer mu.Unlock()
			if x.Phase == channels.Retrying {
				end()
			}
			return x, true
		},
	}
}

// dyingSends ties sends to the life of Run.
func dyingSends() mutant {
	var mu sync.Mutex
	var running <-chan struct{}
	return mutant{
		name: "sends die with Run", in: "life/a shutdown finishes sends", says: "took a send with it",
		run: func(ctx context.Context, _ *channeltest.Host, next func(context.Context) error) error {
			mu.Lock()
			running = ctx.Done()
			mu.Unlock()
			return next(ctx)
		},
		send: func(ctx context.Context, _ *channeltest.Host, p channels.Part, next sendFunc) (channels.Receipt, error) {
			mu.Lock()
			life := running
			mu.Unlock()
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			type result struct {
				rec channels.Receipt
				err error
			}
			done := make(chan result, 1)
			go func() { rec, err := next(ctx, p); done <- result{rec, err} }()
			select {
			case x := <-done:
				return x.rec, x.err
			case <-life:
				cancel()
				<-done
				return channels.Receipt{}, &channels.Error{Op: "send", Channel: "test", Kind: channels.Ambiguous, Err: context.Canceled}
			}
		},
	}
}

type leakyHealth struct{ channels.Driver }

func (d leakyHealth) Open(ctx context.Context, h channels.Host, cfg json.RawMessage) (channels.Channel, error) {
	host := h.(*channeltest.Host)
	md := d.Driver.(mutantDriver)
	md.m.report = func(x channels.Health) (channels.Health, bool) {
		x.Fix = "use " + host.SecretValue("secret://loop")
		return x, true
	}
	return md.Open(ctx, h, cfg)
}
