package discord

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/link"
)

// intake is one run of reception.
type intake struct {
	*Channel
	sink  channels.Sink
	self  account
	world *codec.World

	at      codec.Position
	lag     int             // dispatches without events since the position was kept
	waiting map[string]bool // guilds that the gateway has yet to tell of, while there is a gap
	silent  int             // resumptions in a row without an answer
	failed  int             // connections in a row that came to nothing
	pause   link.Backoff
	callers sync.WaitGroup // acknowledgements of interactions
}

// receiving is Run without its end.
func (c *Channel) receiving(ctx context.Context, sink channels.Sink) error {
	self, err := c.identify(ctx)
	if err != nil {
		return err
	}
	in := &intake{Channel: c, sink: sink, self: self}
	defer in.callers.Wait()
	if err := in.load(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := c.tidy(ctx); err != nil {
			c.host.Log().WarnContext(ctx, "what was kept about old commands is not removed", "err", err)
		}
		if err := in.turn(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prefix keeps what belongs to one bot apart from another's, whose token may
// take the place of this one's.
func (in *intake) prefix() string { return "bot/" + in.self.ID + "/" }

func (in *intake) sessionKey() string { return in.prefix() + "session" }

// load reads what an earlier process kept. A position that cannot be read is as
// good as none: histories tell what was missed.
func (in *intake) load(ctx context.Context) error {
	state := in.host.State()
	b, err := state.Get(ctx, in.sessionKey())
	if err != nil {
		return fmt.Errorf("read the position: %w", err)
	}
	if b != nil && json.Unmarshal(b, &in.at) != nil {
		in.at = codec.Position{}
		in.host.Log().WarnContext(ctx, "the stored position is damaged; beginning a new session")
	}
	return in.recall(ctx)
}

// recall reads what is known of places.
func (in *intake) recall(ctx context.Context) error {
	in.world = codec.NewWorld()
	for after := ""; ; {
		kept, err := in.host.State().List(ctx, in.prefix(), after, 0)
		if err != nil {
			return fmt.Errorf("read what is known of places: %w", err)
		}
		if len(kept) == 0 {
			return nil
		}
		after = kept[len(kept)-1].Key
		for i := range kept {
			kept[i].Key = kept[i].Key[len(in.prefix()):]
		}
		in.world.Recall(kept)
	}
}

// turn lives through one connection and deals with its end. Its error ends Run.
func (in *intake) turn(ctx context.Context) error {
	err := in.connection(ctx)
	if ctx.Err() != nil {
		return nil
	}
	var least time.Duration
	var closed *channels.SocketClosed
	h := channels.Health{Phase: channels.Retrying, Err: err, Fix: unreachable(err), As: in.self.Name}
	switch {
	case errors.Is(err, errReconnect): // the platform asked for it, and the session goes on
		return ended(ctx, link.Sleep(ctx, 100*time.Millisecond))
	case errors.Is(err, errInvalid):
		in.at.Session = ""
		least = time.Duration(1 + rand.Int64N(int64(in.settle))) //nolint:gosec // spreads load
		h.Fix = fixWait
	case errors.As(err, &closed):
		x := codec.Closed(closed.Code)
		if x.Text != "" {
			h.Err = in.api.fail("gateway", channels.Transient, fmt.Errorf("%s (code %d)", x.Text, closed.Code))
		}
		if x.Kind != "" {
			return in.broken(closed.Code, x)
		}
		if x.Fresh {
			in.at.Session = ""
		}
	case channels.KindOf(err) == channels.Unauthorized:
		return err
	}
	in.failed++
	in.health.Report(h)
	return ended(ctx, in.pause.Wait(ctx, max(least, channels.RetryAfter(err))))
}

// ended is the error of a wait that is one of Run: the end of ctx is not.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// broken ends Run after a close code that nothing but a person can do something
// about.
func (in *intake) broken(code int, x codec.Closing) error {
	err := in.api.fail("gateway", x.Kind, fmt.Errorf("%s (code %d)", x.Text, code))
	in.health.Report(channels.Health{Phase: channels.Broken, Err: err, Fix: x.Fix, As: in.self.Name})
	return err
}

// address is where to connect: where the session is to be resumed, or what the
// platform says. A resumption that was left without an answer twice is given up.
func (in *intake) address(ctx context.Context) (string, error) {
	if in.silent >= 2 {
		in.host.Log().WarnContext(ctx, "the gateway does not answer the resumption; beginning a new session")
		in.at.Session, in.silent = "", 0
	}
	to := in.at.Resume
	if in.at.Session == "" || to == "" || in.failed > 1 {
		var g codec.Gate
		if err := in.api.get(ctx, "/gateway/bot", &g); err != nil {
			return "", err
		}
		if wait := g.Wait(); in.at.Session == "" && wait > 0 {
			return "", &channels.Error{Op: "gateway", Channel: in.host.ID(), Kind: channels.RateLimited, RetryAfter: wait, Err: codec.ErrUsedUp}
		}
		to = g.URL
	}
	to, err := codec.Dial(to)
	if err != nil {
		in.at.Resume = ""
		return "", in.api.fail("gateway", channels.Transient, err)
	}
	return to, nil
}

// connection connects, and takes in what comes until the connection ends.
func (in *intake) connection(ctx context.Context) error {
	if in.at.Gap != "" {
		in.at.Session = "" // only a new session tells of all guilds again
	}
	token, err := in.api.placeholder(ctx)
	if err != nil {
		return err
	}
	to, err := in.address(ctx)
	if err != nil {
		return err
	}
	sock, err := in.sockets.Socket(ctx, channels.AccountID(in.self.ID), to, nil)
	if err != nil {
		if channels.KindOf(err) == channels.Unauthorized { // the handshake bears no token
			err = in.api.fail("gateway", channels.Transient, errors.New("the gateway refused the connection"))
		}
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	w := newWire(sock, in.host.Heard, cancel)
	w.seq.Store(in.at.Seq)
	defer w.wait()
	defer cancel(nil)
	defer func() { _ = sock.Close() }()
	if err := w.hello(ctx, in.answer); err != nil {
		return endOf(ctx, err)
	}
	hello := codec.Identify(token, codec.Intents(in.cfg.MessageContent))
	resumed := in.at.Session != ""
	if resumed {
		hello = codec.Resume(token, in.at.Session, in.at.Seq)
	}
	if err := w.write(ctx, hello); err != nil {
		return endOf(ctx, err)
	}
	overdue := time.AfterFunc(in.answer, func() { cancel(errSilent) })
	defer overdue.Stop()
	err = endOf(ctx, in.dispatches(ctx, w, overdue))
	if resumed && errors.Is(err, errSilent) && !w.answered {
		in.silent++
	}
	return err
}

// endOf is why a connection's context ended, if that is behind err.
func endOf(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil && ctx.Err() != nil && !errors.Is(c, context.Canceled) {
		return c
	}
	return err
}

// The ends of a connection that are no failures.
var (
	errReconnect = errors.New("the gateway asked for a new connection")
	errInvalid   = errors.New("the session is no longer valid")
	errSilent    = errors.New("the gateway does not answer any more")
)

// dispatches takes in one batch of frames after the other.
func (in *intake) dispatches(ctx context.Context, w *wire, overdue *time.Timer) error {
	for {
		f, err := w.next(ctx)
		if err != nil {
			return err
		}
		w.answered = true
		overdue.Stop()
		in.silent = 0
		switch f.Op {
		case codec.OpReconnect:
			return errReconnect
		case codec.OpInvalid:
			if f.Resumable() {
				return errReconnect
			}
			return errInvalid
		case codec.OpDispatch:
			if err := in.dispatch(ctx, w, f); err != nil {
				return err
			}
		}
	}
}

// dispatch takes in one frame, and what stands behind it already.
func (in *intake) dispatch(ctx context.Context, w *wire, f codec.Frame) error {
	switch f.Type {
	case "READY":
		return in.ready(ctx, w, f)
	case "RESUMED":
		in.connected()
		return nil
	}
	b := batch{Position: in.at}
	for {
		more, err := in.add(ctx, &b, f)
		if err != nil {
			return err
		}
		next, ok := w.another(more)
		if !ok {
			break
		}
		f = next
	}
	if err := in.take(ctx, w, b); err != nil {
		return err
	}
	if in.telling(f) {
		return in.told(ctx, f)
	}
	return nil
}

func (in *intake) connected() {
	in.pause.Reset()
	in.failed = 0
	in.health.Report(channels.Health{Phase: channels.Connected, As: in.self.Name})
}

// batch is what is accepted in one commit.
type batch struct {
	codec.Position
	events []channels.Event
	state  []channels.Write
	defers []*codec.Defer
}

const batchSize = 64

// add decodes a frame into a batch. more says that another one may join it.
func (in *intake) add(ctx context.Context, b *batch, f codec.Frame) (more bool, err error) {
	r := in.decode(ctx, func() codec.Result {
		return in.world.Decode(in.self.Self, f.Type, f.Data, fmt.Sprintf("%.16s/%d", codec.Short(b.Session), f.Seq))
	})
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if r.Ignored != "" {
		in.host.Log().DebugContext(ctx, "update ignored", "update", f.Seq, "type", f.Type, "reason", r.Ignored)
	}
	b.Seq = max(b.Seq, f.Seq)
	b.add(in, r)
	return r.Defer == nil && !in.telling(f) && len(b.events) < batchSize, nil
}

// telling reports whether a frame says something about a guild whose histories
// are to be read.
func (in *intake) telling(f codec.Frame) bool {
	return in.at.Gap != "" && (f.Type == "GUILD_CREATE" || f.Type == "GUILD_DELETE")
}

// add takes in what was decoded.
func (b *batch) add(in *intake, r codec.Result) {
	for i := range r.Events {
		if r.Events[i].At.IsZero() {
			r.Events[i].At = time.Now().UTC()
		}
	}
	b.events = append(b.events, r.Events...)
	for _, s := range r.State {
		s.Key = in.prefix() + s.Key
		b.state = append(b.state, s)
	}
	if r.Newest != "" && codec.Newer(r.Newest, b.Newest) {
		b.Newest = r.Newest
	}
	if r.Defer != nil {
		b.defers = append(b.defers, r.Defer)
	}
}

// maxLag is how many dispatches without an event may go by before the position
// is kept all the same.
const maxLag = 100

// take has a batch accepted together with the position behind it, and then
// tells those who wait that they were heard.
func (in *intake) take(ctx context.Context, w *wire, b batch) error {
	if in.lag++; len(b.events)+len(b.state) == 0 && in.lag < maxLag {
		in.at.Seq = b.Seq
		return nil
	}
	in.expect(b.events)
	waves := in.waves(ctx, b.defers)
	if err := in.keep(ctx, b); err != nil {
		waves.drop()
		return err
	}
	in.lag = 0
	w.seq.Store(in.at.Seq)
	waves.send()
	return nil
}

// keep has a batch accepted, however often that takes: what was received is held
// here, and nothing behind it is confirmed.
func (in *intake) keep(ctx context.Context, b batch) error {
	value, err := json.Marshal(b.Position)
	if err != nil {
		return fmt.Errorf("write the position: %w", err)
	}
	all := channels.Batch{Events: b.events, State: append(b.state, channels.Write{Key: in.sessionKey(), Value: value})}
	var pause link.Backoff
	for failed := false; ; failed = true {
		rejected, err := channels.Offer(ctx, in.sink, all)
		if err == nil {
			for _, err := range rejected {
				in.host.Log().ErrorContext(ctx, "an event cannot be kept and is passed over", "err", err)
			}
			in.at = b.Position
			if failed {
				in.connected()
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		in.health.Report(channels.Health{Phase: channels.Retrying, Err: err, Fix: fixStore, As: in.self.Name})
		if err := pause.Wait(ctx, channels.RetryAfter(err)); err != nil {
			return err
		}
	}
}

// expect notes what the bot is about to work on. It comes before the Accept,
// because the work may begin as soon as that is done.
func (c *Channel) expect(events []channels.Event) {
	if *c.ack.Load() == "" {
		return
	}
	for i := range events {
		c.unacked.Add(&events[i])
	}
}

// waves are acknowledgements of interactions. They are announced before their
// events are durable, since a reply may follow at once and must not overtake
// them.
type waves struct{ send, drop func() }

// waves announces acknowledgements. They are sent beside reception, which they
// must not hold up, and outlive the connection.
func (in *intake) waves(ctx context.Context, all []*codec.Defer) waves {
	ends := make([]func(), len(all))
	for i, d := range all {
		ends[i] = in.deferred.begin(codec.Short(d.Token.Reveal()))
	}
	return waves{
		send: func() {
			for i, d := range all {
				in.callers.Go(func() {
					defer ends[i]()
					in.acknowledge(context.WithoutCancel(ctx), d)
				})
			}
		},
		drop: func() {
			for _, end := range ends {
				end()
			}
		},
	}
}
