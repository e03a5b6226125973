package console

import (
	"bufio"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
	"github.com/gatehouse-chat/gatehouse/channels"
)

var (
	errNoUpload = errors.New("there is no such upload")
	tooLarge    = "a file has at most " + wire.Size(wire.MaxFile)
)

// stalled is how long one side of a transfer may do nothing.
const stalled = time.Minute

// upload serves POST /chat/api/files. A second upload under the same key is the
// first one.
func (v *visit) upload(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	key := q.Get("key")
	switch {
	case !validKey.MatchString(key):
		refuse(w, http.StatusBadRequest, "a key has 8 to 64 letters, digits and hyphens")
		return
	case r.ContentLength > wire.MaxFile:
		refuse(w, http.StatusRequestEntityTooLarge, tooLarge)
		return
	}
	u, ok, err := v.c.log.uploaded(r.Context(), v.chat.id, key)
	if err == nil && !ok {
		u.File, err = v.receive(w, r, key, cleanName(q.Get("name")))
	}
	switch {
	case channels.KindOf(err) == channels.Rejected:
		refuse(w, http.StatusRequestEntityTooLarge, tooLarge)
	case err != nil && r.Context().Err() == nil:
		v.c.host.Log().Warn("an upload was not kept", "err", err)
		unavailable(w)
	case err == nil:
		answer(w, http.StatusOK, wire.File{Name: u.Name, MIME: u.MIME, Size: u.Size, Picture: safePicture(u.MIME)})
	}
}

// receive keeps the content of a request.
func (v *visit) receive(w http.ResponseWriter, r *http.Request, key, name string) (channels.File, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	c := http.NewResponseController(w)
	body := transferred{r: r.Body, deadline: c.SetReadDeadline}
	f, err := v.c.keeper.Keep(r.Context(), channels.File{Name: name, MIME: kind}, body, wire.MaxFile)
	_ = c.SetReadDeadline(time.Time{}) // not every connection has deadlines
	if err != nil {
		return f, err
	}
	return f, v.c.log.await(r.Context(), v.chat.id, key, f)
}

// file serves GET /chat/api/file. Only the visitor's own transcript is looked
// into.
func (v *visit) file(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	e, ok, err := v.c.log.find(r.Context(), v.chat.id, q.Get("id"))
	n := number(q.Get("n"), -1)
	switch {
	case err != nil:
		unavailable(w)
		return
	case !ok || n < 0 || n >= int64(len(e.Files)):
		refuse(w, http.StatusNotFound, "this file is no longer there")
		return
	}
	f := e.Files[n]
	content, err := v.c.keeper.Kept(r.Context(), f)
	if err != nil {
		v.c.host.Log().Error("a file of the transcript cannot be opened", "err", err)
		refuse(w, http.StatusNotFound, "this file is no longer there")
		return
	}
	defer func() { _ = content.Close() }()
	give(w, f, content)
}

// give writes a file. A picture that is one may be shown; everything else is to
// be saved, so that nothing that somebody sent runs under the console's name.
func give(w http.ResponseWriter, f channels.File, content io.Reader) {
	in := bufio.NewReader(content)
	head, _ := in.Peek(512) // a short file is no failure, and a broken one fails again
	kind, how := "application/octet-stream", "attachment"
	if found := http.DetectContentType(head); found == f.MIME && safePicture(found) {
		kind, how = found, "inline"
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", mime.FormatMediaType(how, map[string]string{"filename": f.Name}))
	h.Set("Content-Length", strconv.FormatInt(f.Size, 10))
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox") // browsers style a picture that stands alone
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	to := http.NewResponseController(w)
	if _, err := io.Copy(w, transferred{r: in, deadline: to.SetWriteDeadline}); err != nil {
		panic(http.ErrAbortHandler) // the client must not take half of it for the whole
	}
}

// transferred puts the deadline of a connection off with every piece.
type transferred struct {
	r        io.Reader
	deadline func(time.Time) error
}

// Read implements io.Reader.
func (t transferred) Read(p []byte) (int, error) {
	_ = t.deadline(time.Now().Add(stalled)) // not every connection has deadlines
	return t.r.Read(p)
}
