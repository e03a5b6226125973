//go:build !nowhatsapp

package whatsapptest

import (
	"context"
	"crypto/cipher"
	"errors"
	"sync"
	"time"

	"github.com/coder/websocket"
	waBinary "go.mau.fi/whatsmeow/binary"
	"google.golang.org/protobuf/proto"
)

// wire is one connection of a device. One goroutine reads; many may write.
type wire struct {
	ctx    context.Context
	cancel context.CancelFunc
	ws     *websocket.Conn
	noise  []byte // the client's static key
	device *device
	refs   []string // offered for linking

	removed bool // the device was logged out: nothing is taken any more

	in  cipher.AEAD
	nIn uint64
	buf []byte

	mu   sync.Mutex // guards writing
	out  cipher.AEAD
	nOut uint64
	hung bool // nothing is sent any more, although the connection stands
}

const maxFrame = 1 << 24

// frame reads the next frame.
func (w *wire) frame() ([]byte, error) {
	need := func(n int) error {
		for len(w.buf) < n {
			kind, b, err := w.ws.Read(w.ctx)
			if err != nil {
				return err
			}
			if kind != websocket.MessageBinary {
				return errors.New("a message that is not binary")
			}
			w.buf = append(w.buf, b...)
		}
		return nil
	}
	if err := need(3); err != nil {
		return nil, err
	}
	n := int(w.buf[0])<<16 | int(w.buf[1])<<8 | int(w.buf[2])
	if err := need(3 + n); err != nil {
		return nil, err
	}
	f := w.buf[3 : 3+n]
	w.buf = w.buf[3+n:]
	return f, nil
}

// header reads the four bytes with which a client begins.
func (w *wire) header() ([]byte, error) {
	for len(w.buf) < 4 {
		_, b, err := w.ws.Read(w.ctx)
		if err != nil {
			return nil, err
		}
		w.buf = append(w.buf, b...)
	}
	h := w.buf[:4]
	if h[0] != 'W' || h[1] != 'A' {
		return nil, errors.New("the client does not begin with WA")
	}
	w.buf = w.buf[4:]
	return h, nil
}

func (w *wire) writeFrame(b []byte) error {
	head := []byte{byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}
	return w.ws.Write(w.ctx, websocket.MessageBinary, append(head, b...))
}

func (w *wire) readProto(m proto.Message) error {
	b, err := w.frame()
	if err != nil {
		return err
	}
	return proto.Unmarshal(b, m)
}

func (w *wire) writeProto(m proto.Message) error {
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	return w.writeFrame(b)
}

// read returns the next node.
func (w *wire) read() (*waBinary.Node, error) {
	f, err := w.frame()
	if err != nil {
		return nil, err
	}
	plain, err := w.in.Open(nil, nonce(w.nIn), f, nil)
	if err != nil {
		return nil, err
	}
	w.nIn++
	raw, err := waBinary.Unpack(plain)
	if err != nil {
		return nil, err
	}
	return waBinary.Unmarshal(raw)
}

// send writes a node. A connection that is gone swallows it: what matters is
// queued for the next one.
func (w *wire) send(n waBinary.Node) {
	b, err := waBinary.Marshal(n)
	if err != nil {
		panic("whatsapptest: " + err.Error()) // a node of our own
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hung {
		return
	}
	sealed := w.out.Seal(nil, nonce(w.nOut), b, nil)
	w.nOut++
	_ = w.writeFrame(sealed)
}

// junk writes bytes that no client can read.
func (w *wire) junk() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.writeFrame([]byte("this is not a frame"))
	w.nOut++
}

func (w *wire) hang() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hung = true
}

// linger waits until the client goes, or for a moment, so that it hears the
// last word.
func (w *wire) linger() {
	t := time.AfterFunc(200*time.Millisecond, w.cut)
	defer t.Stop()
	for {
		if _, err := w.frame(); err != nil {
			return
		}
	}
}

// cut ends the connection without a word.
func (w *wire) cut() {
	w.cancel()
	_ = w.ws.CloseNow()
}
