package leak

import (
	"errors"
	"io"
	"sync"
)

// ErrLeak: a secret stands in what was to be sent.
var ErrLeak = errors.New("a secret stands in it")

// Writer hides secrets in what is written to w, also one that is split over two
// writes with nothing but line breaks between. The writer may be used
// concurrently; each write is passed on as one. A nil guard hides nothing.
func (g *Guard) Writer(w io.Writer) io.Writer {
	if g == nil {
		return w
	}
	return &writer{g: g, w: w}
}

type writer struct {
	g    *Guard
	w    io.Writer
	mu   sync.Mutex
	past []byte
}

// Write implements io.Writer. It counts the bytes that it was given, not those
// that were written in their place.
func (x *writer) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	joined := append(append(make([]byte, 0, len(x.past)+len(p)), x.past...), p...)
	n := len(x.past)
	x.past = tail(x.past, p)
	if _, err := x.w.Write(replace(nil, joined, x.g.find(joined), n, len(joined))); err != nil {
		return 0, err
	}
	return len(p), nil
}

const (
	chunk   = 16 << 10 // bytes read at once
	maxHeld = 4 << 10  // bytes of an unfinished word that are held back
)

// Reader hides secrets in what is read from r. It holds back at most the last
// word of what has come so far, so that a stream of lines is not delayed. A nil
// guard hides nothing.
func (g *Guard) Reader(r io.ReadCloser) io.ReadCloser {
	if g == nil {
		return r
	}
	return &reader{ReadCloser: r, g: g}
}

// Barrier reads from r and fails with [ErrLeak] before the first byte of a
// secret. A nil guard lets everything through.
func (g *Guard) Barrier(r io.ReadCloser) io.ReadCloser {
	if g == nil {
		return r
	}
	return &reader{ReadCloser: r, g: g, block: true}
}

type reader struct {
	io.ReadCloser
	g     *Guard
	block bool
	past  []byte // what was let through, as it came in
	held  []byte // what has come in and was not let through yet
	out   []byte // what is let through and was not read yet
	err   error  // what ends the stream, once out is read
	buf   []byte
}

// Read implements io.Reader.
func (x *reader) Read(p []byte) (int, error) {
	for len(x.out) == 0 && x.err == nil && len(p) > 0 {
		x.fill()
	}
	n := copy(p, x.out)
	x.out = x.out[n:]
	if len(x.out) == 0 && n == 0 {
		return 0, x.err
	}
	return n, nil
}

// fill reads a chunk and lets through what is finished.
func (x *reader) fill() {
	if x.buf == nil {
		x.buf = make([]byte, chunk)
	}
	var n int
	n, x.err = x.ReadCloser.Read(x.buf)
	x.held = append(x.held, x.buf[:n]...)
	ready := len(x.held)
	if x.err == nil {
		ready -= min(unfinished(x.held), maxHeld)
	}
	if ready == 0 {
		return
	}
	joined := append(append(make([]byte, 0, len(x.past)+len(x.held)), x.past...), x.held...)
	from, to := len(x.past), len(x.past)+ready
	found := x.g.find(joined)
	for _, s := range found {
		if s.to <= from {
			continue
		}
		if x.block {
			x.held, x.err = nil, ErrLeak
			return
		}
		if s.from < to {
			to = max(to, s.to)
		}
	}
	x.out = replace(x.out[:0], joined, found, from, to)
	x.past = tail(nil, joined[:to])
	x.held = append(x.held[:0], joined[to:]...)
}
