package ingress

import (
	"cmp"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
)

// The limits of lent files. Players and previews fetch one in many pieces.
const (
	fetches        = 32 // at a time
	fetchesEach    = 5  // of one link, in a second
	fetchesBurst   = 50
	knownLinks     = 1000
	fetchStalled   = 30 * time.Second // without a byte taken
	unknownContent = "application/octet-stream"
)

// lentFiles serves the files that channels lend to their platforms. Whatever is
// wrong with a link, the answer is the same as for a path that nobody serves.
type lentFiles struct {
	g       *gateway.Gateway
	running chan struct{}

	mu    sync.Mutex
	rates map[string]*rate.Limiter // by token, of links that are sound
}

func newLentFiles(g *gateway.Gateway) *lentFiles {
	return &lentFiles{g: g, running: make(chan struct{}, fetches), rates: map[string]*rate.Limiter{}}
}

// ServeHTTP implements http.Handler.
func (l *lentFiles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(w, r)
		return
	}
	token := r.PathValue("token")
	f, err := l.g.Lent(r.Context(), channels.ID(r.PathValue("channel")), token)
	if err == nil && !l.allow(token) {
		w.Header().Set("Retry-After", "1")
		say(w, http.StatusTooManyRequests, "too often")
		return
	}
	if err == nil {
		err = l.give(w, r, f)
	}
	switch {
	case err == nil:
	case errors.Is(err, gateway.ErrNotLent):
		http.NotFound(w, r)
	default:
		w.Header().Set("Retry-After", "2")
		say(w, http.StatusServiceUnavailable, "not now")
	}
}

// allow reports whether a link may be followed once more by now.
func (l *lentFiles) allow(token string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.rates[token]
	if known == nil {
		if len(l.rates) >= knownLinks {
			clear(l.rates)
		}
		known = rate.NewLimiter(fetchesEach, fetchesBurst)
		l.rates[token] = known
	}
	return known.Allow()
}

var errBusy = errors.New("too many files are fetched at this moment")

// give writes a file. Its error is from before the first byte.
func (l *lentFiles) give(w http.ResponseWriter, r *http.Request, f channels.File) error {
	select {
	case l.running <- struct{}{}:
	default:
		return errBusy
	}
	defer func() { <-l.running }()
	content := &rewound{ctx: r.Context(), open: f.Open, size: f.Size, deadline: http.NewResponseController(w).SetWriteDeadline}
	defer content.close()
	if err := content.reach(); err != nil { // before anything is said of it
		return err
	}
	kind, how := givenAs(f.MIME)
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", mime.FormatMediaType(how, map[string]string{"filename": fileName(f.Name)}))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "private, no-store")
	h.Set("ETag", `"`+f.Blob+`"`)
	if strings.Contains(r.Header.Get("Range"), ",") { // each piece would be read from the start
		r.Header.Del("Range")
	}
	http.ServeContent(w, r, "", time.Time{}, content)
	return nil
}

// givenAs is the type under which a file is given out, and whether it may be shown
// or is to be saved. Nothing that can hold a script keeps its type: the address is
// the gateway's.
func givenAs(said string) (kind, how string) {
	kind, _, err := mime.ParseMediaType(said)
	family, _, _ := strings.Cut(kind, "/")
	switch {
	case err != nil:
	case slices.Contains([]string{"image/png", "image/jpeg", "image/gif", "image/webp"}, kind), family == "audio", family == "video":
		return kind, "inline"
	case slices.Contains([]string{"application/pdf", "application/zip", "text/plain", "text/csv"}, kind):
		return kind, "attachment"
	}
	return unknownContent, "attachment"
}

func fileName(name string) string {
	name = path.Base(strings.ReplaceAll(strings.ToValidUTF8(name, "_"), `\`, "/"))
	return cmp.Or(strings.Trim(name, "./ "), "file")
}

// rewound is a file that can be read from any place: what comes before is read
// and thrown away. Its end comes only when the content was what it should be.
type rewound struct {
	ctx      context.Context //nolint:containedctx // of the one request that it is made for
	open     func(context.Context) (io.ReadCloser, error)
	deadline func(time.Time) error
	size     int64
	want     int64 // where the next byte is to come from

	r  io.ReadCloser
	at int64 // where r is
}

var _ io.ReadSeeker = (*rewound)(nil)

var (
	errSeek   = errors.New("no place in the file")
	errLonger = errors.New("the file is longer than is known")
)

// Seek implements io.Seeker.
func (x *rewound) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += x.want
	case io.SeekEnd:
		offset += x.size
	}
	if offset < 0 || offset > x.size {
		return x.want, errSeek
	}
	x.want = offset
	return offset, nil
}

// reach brings the reader to where the next byte is to come from.
func (x *rewound) reach() error {
	if x.r == nil || x.at > x.want {
		x.close()
		r, err := x.open(x.ctx)
		if err != nil {
			return err
		}
		x.r, x.at = r, 0
	}
	n, err := io.CopyN(io.Discard, x.r, x.want-x.at)
	x.at += n
	return err
}

// Read implements io.Reader. A client that takes nothing for a while is given up.
func (x *rewound) Read(p []byte) (int, error) {
	if x.want >= x.size {
		return 0, io.EOF
	}
	if err := x.reach(); err != nil {
		return 0, err
	}
	_ = x.deadline(time.Now().Add(fetchStalled)) // not every connection has deadlines
	n, err := io.ReadAtLeast(x.r, p[:min(int64(len(p)), x.size-x.at)], 1)
	x.at += int64(n)
	x.want = x.at
	if err == nil && x.at == x.size {
		err = x.ended()
	}
	if err != nil {
		return 0, err
	}
	return n, nil
}

// ended is nil when nothing is left, and what came was sound.
func (x *rewound) ended() error {
	n, err := x.r.Read(make([]byte, 1))
	switch {
	case n > 0:
		return errLonger
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}

func (x *rewound) close() {
	if x.r != nil {
		_ = x.r.Close() // it was only read
		x.r = nil
	}
}
