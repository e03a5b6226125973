package gateway

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
)

// Some platforms let one process at a time receive for an account. Among several
// gateways on one database, a row in the state says which one does: it renews
// the row while it receives, and whoever finds the row unchanged for a while
// takes its place. Nobody compares clocks. The row saves the platform two
// connections that throw each other out; that nothing is lost or doubled, and
// that the order stands, does not depend on it.

// receiverSpace holds who receives for a channel: channel -> receiver.
const receiverSpace = "receiver"

// The rhythm of receiving alone. A holder that cannot renew ends before another
// one takes its place.
const (
	soleRenew = time.Second
	soleEnds  = 3 * time.Second // without a renewal
	soleTaken = 5 * time.Second // unchanged
)

// receiver is the row: one run of one process.
type receiver struct {
	Run string    `json:"run"`
	At  time.Time `json:"at"` // of the last renewal, for people
}

// errReplaced: another process receives for the channel.
var errReplaced = errors.New("another gateway receives for this channel")

// sole is the right of a line to receive, or its wish for it.
type sole struct {
	l   *line
	run string
}

// receiveAlone runs the channel while no other gateway does. It returns
// errReplaced when another one has taken its place, and nil when ctx has ended
// before its turn came.
func (l *line) receiveAlone(ctx context.Context) error {
	s := &sole{l: l, run: rand.Text()}
	if s.take(ctx) != nil {
		return nil
	}
	tied, within := l.tied(), ctx
	if tied {
		within = context.WithoutCancel(ctx) // it ends when the sends have
	}
	running, end := context.WithCancelCause(within)
	var beside sync.WaitGroup
	beside.Go(func() { s.keep(running, end) })
	if tied {
		beside.Go(func() { l.deliverAlone(ctx, running, end) })
	}
	err := l.runOnce(running)
	replaced := errors.Is(context.Cause(running), errReplaced)
	end(nil)
	beside.Wait()
	s.leave(ctx)
	if replaced {
		return errReplaced
	}
	return err
}

// deliverAlone delivers while the channel runs. When ctx ends, it has the sends
// that are under way finish, which need the channel's connection, and ends the
// channel after them.
func (l *line) deliverAlone(ctx, running context.Context, end context.CancelCauseFunc) {
	sending, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(running, stop)()
	_ = l.courier.Run(sending) // returns when sending ends
	end(nil)
}

// take waits until the row is this run's. Its error is that of ctx.
func (s *sole) take(ctx context.Context) error {
	var before bus.Entry
	since := s.l.g.now()
	for {
		e, err := s.l.g.bus.Get(ctx, receiverSpace, string(s.l.id))
		if err == nil && (e.Version != before.Version || string(e.Value) != string(before.Value)) {
			before, since = e, s.l.g.now()
		}
		if err == nil && (e.Version == 0 || s.l.g.now().Sub(since) >= soleTaken) {
			if err = s.write(ctx, e.Version); err == nil {
				return nil
			}
		}
		if err != nil && !errors.Is(err, bus.ErrConflict) && ctx.Err() == nil {
			s.l.g.log.Warn("cannot find out which gateway receives; looking again", "channel", s.l.id, "err", err)
		}
		s.l.host.Report(channels.Health{Phase: channels.Standby})
		if err := pause(ctx, soleRenew); err != nil {
			return err
		}
	}
}

// write stores the row over the version that was read, 0 for none.
func (s *sole) write(ctx context.Context, version int64) error {
	v, err := json.Marshal(receiver{Run: s.run, At: s.l.g.now()})
	if err != nil {
		return err
	}
	if version == 0 {
		version = bus.Absent
	}
	return s.l.g.bus.Write(ctx, bus.Write{Space: receiverSpace, Key: string(s.l.id), If: version, Value: v})
}

// keep renews the row until ctx ends. It ends the run when another one has the
// row, or when this one could not be renewed for too long.
func (s *sole) keep(ctx context.Context, end context.CancelCauseFunc) {
	last := s.l.g.now()
	for pause(ctx, soleRenew) == nil {
		began := s.l.g.now()
		err := s.renew(ctx)
		if err == nil {
			last = began
			continue
		}
		if ctx.Err() == nil {
			s.l.g.log.Warn("cannot renew the right to receive", "channel", s.l.id, "err", err)
		}
		if errors.Is(err, errReplaced) || s.l.g.now().Sub(last) >= soleEnds {
			end(errReplaced)
			return
		}
	}
}

func (s *sole) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, soleRenew/2)
	defer cancel()
	version, err := s.mine(ctx)
	if err != nil {
		return err
	}
	err = s.write(ctx, version)
	if errors.Is(err, bus.ErrConflict) {
		return errReplaced
	}
	return err
}

// mine returns the version of the row, if it is this run's.
func (s *sole) mine(ctx context.Context) (int64, error) {
	e, err := s.l.g.bus.Get(ctx, receiverSpace, string(s.l.id))
	if err != nil {
		return 0, fmt.Errorf("who receives: %w", err)
	}
	var r receiver
	if json.Unmarshal(e.Value, &r) != nil || r.Run != s.run {
		return 0, errReplaced
	}
	return e.Version, nil
}

// leave lets the next one begin at once. What fails here is only a wait for it.
func (s *sole) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), soleRenew/2)
	defer cancel()
	if version, err := s.mine(ctx); err == nil {
		_ = s.l.g.bus.Write(ctx, bus.Write{Space: receiverSpace, Key: string(s.l.id), If: version})
	}
}
