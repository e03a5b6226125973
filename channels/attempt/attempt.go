// Package attempt is what adapters need to say what became of a request whose
// answer did not come: whether it can have left at all, and whether a file of it
// broke off. A send that certainly did not arrive is made again in silence; one
// that may have arrived is repeated at most once, and says so. The files that go
// out and come in are streamed, and bounded.
package attempt

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Trace follows one request. A transport that tells nothing is not believed to
// have sent nothing. Its zero value is ready; it is used once.
type Trace struct{ waiting, wrote atomic.Bool }

// Follow returns the context that the request has to use.
func (t *Trace) Follow(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { t.wrote.Store(false); t.waiting.Store(true) },
		WroteHeaders: func() { t.wrote.Store(true) },
		WroteRequest: func(httptrace.WroteRequestInfo) { t.wrote.Store(true) },
	})
}

// Unsent reports whether a request that failed with err certainly did not
// reach the platform as a whole: no connection was made; or the transport was
// still waiting for one, and it asks for another one only when nothing of a POST
// was written to the one before; or it had not taken all of the form, so that no
// server can have found its last boundary. A nil form is none.
func (t *Trace) Unsent(err error, form *Form) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &dns) ||
		t.waiting.Load() && !t.wrote.Load() || form.partial()
}

// Lost is what a request that failed with err has to be taken for; Op and Channel
// are the caller's to say. A file that broke off is Other, and what the host
// itself refused keeps the host's kind. A request that may be repeated is
// Transient in any case, another one only when it is certain that the platform
// cannot have the whole of it.
func (t *Trace) Lost(err error, form *Form, repeatable bool) *channels.Error {
	if broken := form.Broken(); broken != nil {
		return &channels.Error{Kind: channels.Other, Err: broken}
	}
	lost := &channels.Error{Kind: channels.Ambiguous, Err: Cause(err)}
	var host *channels.Error
	switch {
	case errors.As(err, &host):
		lost.Kind, lost.RetryAfter = host.Kind, host.RetryAfter
	case repeatable || t.Unsent(err, form):
		lost.Kind = channels.Transient
	}
	return lost
}

// AtMost is a download that fails with tooLong behind so many bytes.
func AtMost(r io.ReadCloser, bytes int64, tooLong error) io.ReadCloser {
	return &download{r, bytes, tooLong}
}

type download struct {
	io.ReadCloser
	left    int64
	tooLong error
}

// Read implements io.Reader.
func (d *download) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	if d.left -= int64(n); d.left < 0 {
		return n, d.tooLong
	}
	return n, err
}

// Cause takes the URL out of an error: it may hold a token, or a reply path.
func Cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
