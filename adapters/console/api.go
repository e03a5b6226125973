package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// The limits of requests.
const (
	maxBody   = 4 * wire.MaxText // JSON may escape every character
	acceptFor = 30 * time.Second
)

var errStopped = errors.New("the console is stopping")

// Visit implements channels.Visited.
func (c *Channel) Visit(sink channels.Sink) http.Handler {
	mux := http.NewServeMux()
	for pattern, f := range map[string]func(*visit, http.ResponseWriter, *http.Request){
		"GET /chat":               (*visit).page,
		"GET /chat/api/messages":  (*visit).messages,
		"POST /chat/api/messages": (*visit).say,
		"POST /chat/api/files":    (*visit).upload,
		"GET /chat/api/file":      (*visit).file,
		"POST /chat/api/press":    (*visit).press,
		"GET /chat/api/commands":  (*visit).commands,
		"GET /chat/api/stream":    (*visit).stream,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			who, ok := channels.VisitorFrom(r.Context())
			if !ok {
				refuse(w, http.StatusUnauthorized, "log in first")
				return
			}
			v := &visit{c: c, sink: sink, who: who, chat: c.chat(channels.ConversationID(who.ID))}
			f(v, w, r)
		})
	}
	mux.Handle("GET /chat/assets/", assets())
	return mux
}

// visit is one request of a member.
type visit struct {
	c    *Channel
	sink channels.Sink
	who  channels.Visitor
	chat *chat
}

func refuse(w http.ResponseWriter, status int, why string) {
	answer(w, status, wire.Failure{Error: why})
}

func unavailable(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "2")
	answer(w, http.StatusServiceUnavailable, wire.Failure{Error: "the gateway cannot take this right now; try again", Again: true})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone; there is nobody to tell
}

// read decodes a body; false when it was refused.
func read[T any](w http.ResponseWriter, r *http.Request) (v T, ok bool) {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(&v)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		refuse(w, http.StatusRequestEntityTooLarge, tooLong)
	case err != nil:
		refuse(w, http.StatusBadRequest, "the request is not the JSON that belongs here")
	}
	return v, err == nil
}

const tooLong = "a message has at most 16 KB"

var validKey = regexp.MustCompile(`^[A-Za-z0-9-]{8,64}$`)

// say serves POST /chat/api/messages.
func (v *visit) say(w http.ResponseWriter, r *http.Request) {
	s, ok := read[wire.Say](w, r)
	switch {
	case !ok:
		return
	case !validKey.MatchString(s.Key):
		refuse(w, http.StatusBadRequest, "a key has 8 to 64 letters, digits and hyphens")
		return
	case len(s.Files) > wire.MaxFiles:
		refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("a message has at most %d files", wire.MaxFiles))
		return
	case strings.TrimSpace(s.Text) == "" && len(s.Files) == 0:
		refuse(w, http.StatusBadRequest, "the message is empty")
		return
	case len(s.Text) > wire.MaxText:
		refuse(w, http.StatusRequestEntityTooLarge, tooLong)
		return
	}
	// What is being accepted is not given up when the page goes away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), acceptFor)
	defer cancel()
	e, err := v.take(ctx, s)
	if err != nil {
		v.fail(w, err)
		return
	}
	m := e.message()
	if asPage(r) {
		m.Item = item(m)
	}
	answer(w, http.StatusOK, m)
}

// fail answers what was not kept. The gateway itself logs why.
func (v *visit) fail(w http.ResponseWriter, err error) {
	if errors.Is(err, errNoUpload) {
		refuse(w, http.StatusUnprocessableEntity, "a file of this message is no longer there; attach it again")
		return
	}
	if channels.KindOf(err) == channels.Rejected {
		refuse(w, http.StatusUnprocessableEntity, "the gateway does not take this message")
		return
	}
	unavailable(w)
}

// take accepts a message once, together with its place in the transcript.
func (v *visit) take(ctx context.Context, s wire.Say) (entry, error) {
	if err := v.chat.enter(ctx); err != nil {
		return entry{}, err
	}
	defer v.chat.leave()
	if err := v.chat.load(ctx, v.c.log); err != nil {
		return entry{}, err
	}
	if e, ok, err := v.c.log.find(ctx, v.chat.id, s.Key); ok || err != nil {
		if ok {
			v.chat.publish(e) // the first try may have ended before it was shown
		}
		return e, err
	}
	files, used, err := v.c.log.uploads(ctx, v.chat.id, s.Files)
	if err != nil {
		return entry{}, err
	}
	e := entry{Keys: []string{s.Key}, Seq: v.chat.next(), From: wire.Member, Text: s.Text, Plain: true, Files: files}
	e.Rev = e.Seq
	state, err := v.chat.add(ctx, v.c.log, e)
	if err != nil {
		return entry{}, err
	}
	b := channels.Batch{Events: []channels.Event{v.event(s.Key, e.at(), content(s, files))}, State: append(state, used...)}
	if err := v.sink.Accept(ctx, b); err != nil {
		return entry{}, err
	}
	v.chat.added()
	v.c.host.Heard()
	v.chat.publish(e)
	return e, nil
}

// event is something that the visitor did. Keys of different members never meet.
func (v *visit) event(key string, at time.Time, c channels.Content) channels.Event {
	return channels.Event{
		Key: v.who.ID + "/" + key, At: at, Account: account,
		Where: channels.Address{Channel: v.c.host.ID(), Account: account, Conversation: v.chat.id},
		Room:  channels.Room{Direct: true}, Who: channels.Sender{ID: v.who.ID, Name: v.who.Name}, Addressed: true, Content: c,
	}
}

var commandForm = regexp.MustCompile(`(?s)^/([A-Za-z][A-Za-z0-9_-]{0,31})(?:\s+(.*))?$`)

func content(s wire.Say, files []channels.File) channels.Content {
	id := channels.MessageID(s.Key)
	if m := commandForm.FindStringSubmatch(strings.TrimSpace(s.Text)); m != nil && len(files) == 0 {
		return channels.Command{ID: id, Name: strings.ToLower(m[1]), Args: m[2]}
	}
	return channels.Message{ID: id, Text: s.Text, Files: incoming(files)}
}

// press serves POST /chat/api/press. Only a button that the message carries can
// be pressed.
func (v *visit) press(w http.ResponseWriter, r *http.Request) {
	p, ok := read[wire.Press](w, r)
	if !ok {
		return
	}
	if !validKey.MatchString(p.Key) {
		refuse(w, http.StatusBadRequest, "a key has 8 to 64 letters, digits and hyphens")
		return
	}
	e, ok, err := v.c.log.find(r.Context(), v.chat.id, p.ID)
	if err != nil {
		unavailable(w)
		return
	}
	if !ok || p.Data == "" || !slices.ContainsFunc(e.Buttons, func(b wire.Button) bool { return b.Data == p.Data }) {
		refuse(w, http.StatusNotFound, "this button is no longer there")
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), acceptFor)
	defer cancel()
	pressed := channels.Press{ID: channels.MessageID(e.id()), Data: p.Data, Query: joinQuery(v.chat.id, p.Key)}
	b := channels.Batch{Events: []channels.Event{v.event("press/"+p.Key, time.Now().UTC(), pressed)}}
	if err := v.sink.Accept(ctx, b); err != nil {
		v.fail(w, err)
		return
	}
	v.c.host.Heard()
	answer(w, http.StatusOK, struct{}{})
}

// joinQuery names a press; splitQuery takes it apart. A key has no slash.
func joinQuery(id channels.ConversationID, key string) string { return string(id) + "/" + key }

func splitQuery(q string) (channels.ConversationID, string, bool) {
	i := strings.LastIndexByte(q, '/')
	if i < 0 {
		return "", "", false
	}
	return channels.ConversationID(q[:i]), q[i+1:], true
}

// commands serves GET /chat/api/commands.
func (v *visit) commands(w http.ResponseWriter, _ *http.Request) {
	out := []wire.Command{}
	for _, c := range v.c.known() {
		out = append(out, wire.Command{Name: c.Name, Help: c.Help, Args: c.Args})
	}
	answer(w, http.StatusOK, out)
}

// messages serves GET /chat/api/messages.
func (v *visit) messages(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit := number(q.Get("limit"), wire.MaxPage)
	if limit < 1 || limit > wire.MaxPage {
		limit = wire.MaxPage
	}
	all, err := v.c.log.all(r.Context(), v.chat.id)
	if err != nil {
		unavailable(w)
		return
	}
	page := wire.Page{Messages: []wire.Message{}}
	for _, e := range all {
		page.Rev = max(page.Rev, e.Rev)
	}
	var some []entry
	if text := q.Get("after"); text != "" {
		some, page.More = firstOf(changedAfter(all, number(text, 0)), int(limit))
	} else {
		some, page.More = lastOf(placedBefore(all, number(q.Get("before"), 0)), int(limit))
	}
	for _, e := range some {
		m := e.message()
		if asPage(r) {
			m.Item = item(m)
		}
		page.Messages = append(page.Messages, m)
	}
	answer(w, http.StatusOK, page)
}

// number reads a number; nonsense is the default.
func number(text string, def int64) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return def
	}
	return n
}

func firstOf(es []entry, n int) ([]entry, bool) { return es[:min(n, len(es))], len(es) > n }
func lastOf(es []entry, n int) ([]entry, bool)  { return es[max(0, len(es)-n):], len(es) > n }

// changes are the entries that changed after a rev, by change.
func (c *Channel) changes(ctx context.Context, id channels.ConversationID, after int64) ([]entry, error) {
	all, err := c.log.all(ctx, id)
	return changedAfter(all, after), err
}

func changedAfter(all []entry, after int64) []entry {
	var out []entry
	for _, e := range all {
		if e.Rev > after {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b entry) int { return cmp.Compare(a.Rev, b.Rev) })
	return out
}

// placedBefore are the entries before a seq; all of them for 0.
func placedBefore(all []entry, seq int64) []entry {
	if seq <= 0 {
		return all
	}
	i, _ := slices.BinarySearchFunc(all, seq, func(e entry, s int64) int { return cmp.Compare(e.Seq, s) })
	return all[:i]
}

// asPage reports whether the client wants messages as HTML, too.
func asPage(r *http.Request) bool { return r.URL.Query().Get("as") == "page" }
