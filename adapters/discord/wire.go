package discord

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/discord/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// wire is one connection to the gateway: a reader that hands frames on, and a
// heart that beats beside it. Both end the connection's context with the reason
// when it is over.
type wire struct {
	sock  channels.Socket
	heard func()
	end   context.CancelCauseFunc

	frames chan codec.Frame
	seq    atomic.Int64 // the last dispatch that is durable: what heartbeats confirm
	acked  atomic.Bool  // the last heartbeat was answered
	full   atomic.Bool  // the reader waits for room, and so cannot hear the answer
	beats  chan struct{}

	writing sync.Mutex
	running sync.WaitGroup
	// Used by the goroutine that calls next.
	answered bool
	back     *codec.Frame // was taken and not used
}

// backlog is how many frames may wait for those before them to be accepted.
const backlog = 256

func newWire(s channels.Socket, heard func(), end context.CancelCauseFunc) *wire {
	return &wire{sock: s, heard: heard, end: end, frames: make(chan codec.Frame, backlog), beats: make(chan struct{}, 1)}
}

// hello waits for the gateway's first frame, and starts the reader and the heart.
func (w *wire) hello(ctx context.Context, patience time.Duration) error {
	bounded, cancel := context.WithTimeoutCause(ctx, patience, errSilent)
	defer cancel()
	b, err := w.sock.Read(bounded)
	if err != nil {
		return endOf(bounded, err)
	}
	f, err := codec.ReadFrame(b)
	if err != nil {
		return err
	}
	every := f.Interval()
	if f.Op != codec.OpHello || every == 0 {
		return errors.New("the gateway did not say hello")
	}
	w.heard()
	w.acked.Store(true)
	w.running.Go(func() { w.read(ctx) })
	w.running.Go(func() { w.beat(ctx, every) })
	return nil
}

// wait returns when reader and heart have ended.
func (w *wire) wait() { w.running.Wait() }

// read hands frames on until the connection ends. Heartbeats are dealt with at
// once, however long the frames before them take.
func (w *wire) read(ctx context.Context) {
	for {
		b, err := w.sock.Read(ctx)
		if err != nil {
			w.end(err)
			return
		}
		f, err := codec.ReadFrame(b)
		if err != nil {
			w.end(err)
			return
		}
		w.heard()
		switch f.Op {
		case codec.OpHeartbeatAck:
			w.acked.Store(true)
			continue
		case codec.OpHeartbeat:
			select {
			case w.beats <- struct{}{}:
			default:
			}
			continue
		}
		w.full.Store(len(w.frames) == cap(w.frames))
		select {
		case w.frames <- f:
			w.full.Store(false)
		case <-ctx.Done():
			return
		}
	}
}

// beat sends heartbeats. One that was not answered by the time of the next ends
// the connection, unless nobody could hear the answer.
func (w *wire) beat(ctx context.Context, every time.Duration) {
	t := time.NewTimer(time.Duration(rand.Int64N(int64(every)) + 1)) //nolint:gosec // spreads load
	defer t.Stop()
	for {
		asked := false
		select {
		case <-t.C:
		case <-w.beats:
			asked = true
		case <-ctx.Done():
			return
		}
		if !asked {
			if !w.acked.Swap(false) && !w.full.Load() {
				w.end(errSilent)
				_ = w.sock.Close()
				return
			}
			t.Reset(every)
		}
		if err := w.write(ctx, codec.Heartbeat(w.seq.Load())); err != nil {
			w.end(err)
			return
		}
	}
}

// write sends a message.
func (w *wire) write(ctx context.Context, message []byte) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	return w.sock.Write(ctx, message)
}

// next waits for a frame. Frames that came before the end of the connection are
// given before that.
func (w *wire) next(ctx context.Context) (codec.Frame, error) {
	if f := w.back; f != nil {
		w.back = nil
		return *f, nil
	}
	select {
	case f := <-w.frames:
		return f, nil
	default:
	}
	select {
	case f := <-w.frames:
		return f, nil
	case <-ctx.Done():
		return codec.Frame{}, ctx.Err()
	}
}

// another is a dispatch that stands behind the one before already, and may be
// accepted with it.
func (w *wire) another(wanted bool) (codec.Frame, bool) {
	if !wanted {
		return codec.Frame{}, false
	}
	select {
	case f := <-w.frames:
		if f.Op == codec.OpDispatch && f.Type != "READY" && f.Type != "RESUMED" {
			return f, true
		}
		w.back = &f
	default:
	}
	return codec.Frame{}, false
}
