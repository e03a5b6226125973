// Package consoleclient talks to the console's chat from Go, as the chat in the
// terminal does. See the package console for what the API promises.
package consoleclient

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
)

// Client speaks for one member, whom its connection logs in: the gateway's own
// socket, or a client that sends the session's cookie. It is safe for
// concurrent use. Its HTTP client must not have a timeout, since streams last.
type Client struct {
	HTTP *http.Client
	Base string // such as "http://gatehouse", without /chat
}

// Error is a refusal.
type Error struct {
	Status int
	Wait   time.Duration // how long to wait before the next try; 0 when there is no use in one
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return e.Reason }

// NewKey makes a key for a message. Keep it until the message was answered
// with success: every try uses the same one.
func NewKey() string { return rand.Text() }

// Say sends a message, once, with the files that were uploaded under the given
// keys. nil means that it is durable.
func (c *Client) Say(ctx context.Context, key, text string, files ...string) (wire.Message, error) {
	var m wire.Message
	err := c.call(ctx, http.MethodPost, "/chat/api/messages", wire.Say{Key: key, Text: text, Files: files}, &m)
	return m, err
}

// Upload brings a file of size bytes to the gateway, for a message that names
// the key. It blocks for as long as that takes. A try under the same key costs
// nothing when an earlier one succeeded.
func (c *Client) Upload(ctx context.Context, key, name string, size int64, content io.Reader) (wire.File, error) {
	var f wire.File
	if size > wire.MaxFile {
		return f, &Error{Status: http.StatusRequestEntityTooLarge, Reason: "a file has at most " + wire.Size(wire.MaxFile)}
	}
	resp, err := c.do(ctx, http.MethodPost, "/chat/api/files?"+url.Values{"key": {key}, "name": {name}}.Encode(), request{
		kind: mime.TypeByExtension(path.Ext(name)), size: size, body: content,
	})
	if err != nil {
		return f, err
	}
	defer resp.Body.Close()
	return f, decodeInto(resp.Body, &f)
}

// File reads a file of a message from the start. The caller closes it; a
// content that breaks off ends with an error other than io.EOF.
func (c *Client) File(ctx context.Context, f wire.File) (io.ReadCloser, error) {
	resp, err := c.do(ctx, http.MethodGet, f.URL, request{})
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// Press presses a button.
func (c *Client) Press(ctx context.Context, p wire.Press) error {
	return c.call(ctx, http.MethodPost, "/chat/api/press", p, nil)
}

// Latest returns the last messages, oldest first; at most limit (0: all that
// fit into one answer).
func (c *Client) Latest(ctx context.Context, limit int) (wire.Page, error) {
	return c.page(ctx, url.Values{"limit": {strconv.Itoa(limit)}})
}

// After returns what changed after a rev, in the order of the changes. When the
// page says More, ask again with the rev of its last message.
func (c *Client) After(ctx context.Context, rev int64) (wire.Page, error) {
	return c.page(ctx, url.Values{"after": {strconv.FormatInt(rev, 10)}})
}

func (c *Client) page(ctx context.Context, q url.Values) (wire.Page, error) {
	var p wire.Page
	err := c.call(ctx, http.MethodGet, "/chat/api/messages?"+q.Encode(), nil, &p)
	return p, err
}

// Commands lists the commands that the bot knows.
func (c *Client) Commands(ctx context.Context) ([]wire.Command, error) {
	var out []wire.Command
	err := c.call(ctx, http.MethodGet, "/chat/api/commands", nil, &out)
	return out, err
}

func (c *Client) call(ctx context.Context, method, path string, body, into any) error {
	in := request{kind: "application/json"}
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		in.body, in.size = bytes.NewReader(b), int64(len(b))
	}
	resp, err := c.do(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if into == nil {
		return nil
	}
	return decodeInto(resp.Body, into)
}

func decodeInto(body io.Reader, into any) error {
	if err := json.NewDecoder(body).Decode(into); err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	return nil
}

// request is what a request carries.
type request struct {
	kind string
	size int64
	body io.Reader // nil: nothing
}

// do sends a request; what is not a success is an *Error.
func (c *Client) do(ctx context.Context, method, path string, in request) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.Base, "/")+path, in.body)
	if err != nil {
		return nil, err
	}
	if in.body != nil {
		r.ContentLength = in.size
	}
	if in.kind != "" {
		r.Header.Set("Content-Type", in.kind)
	}
	resp, err := c.HTTP.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask the gateway: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	e := &Error{Status: resp.StatusCode, Reason: "the gateway answered " + resp.Status}
	var f wire.Failure
	if json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&f) == nil && f.Error != "" {
		e.Reason = f.Error
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && f.Again {
		e.Wait = time.Duration(s) * time.Second
	}
	return nil, e
}

// Event is one event of a stream: a wire.Message, wire.Ready, wire.Draft,
// wire.Typing or wire.Pressed.
type Event any

// Stream yields what happens in the chat, first what changed after rev
// (negative: from now on). It ends with an error when the connection does;
// connect again with the rev of the last message.
func (c *Client) Stream(ctx context.Context, rev int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		path := "/chat/api/stream"
		if rev >= 0 {
			path += "?after=" + strconv.FormatInt(rev, 10)
		}
		resp, err := c.do(ctx, http.MethodGet, path, request{})
		if err != nil {
			yield(nil, err)
			return
		}
		defer resp.Body.Close()
		for e, err := range Events(resp.Body) {
			if !yield(e, err) {
				return
			}
		}
	}
}

// maxEvent bounds one event of a stream, in bytes.
const maxEvent = 1 << 20

// Events decodes a stream. It ends with the error of the reader; io.EOF when
// the other side has ended it.
func Events(r io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, maxEvent)
		var name string
		var data []byte
		for lines.Scan() {
			field, value, _ := strings.Cut(lines.Text(), ":")
			value = strings.TrimPrefix(value, " ")
			switch {
			case lines.Text() == "":
				e, err := decode(name, data)
				if (e != nil || err != nil) && !yield(e, err) {
					return
				}
				name, data = "", nil
			case field == "event":
				name = value
			case field == "data":
				data = append(data, value...)
			}
		}
		err := lines.Err()
		if err == nil {
			err = io.EOF
		}
		yield(nil, err)
	}
}

// decode makes an event; nil for one that this client does not know.
func decode(name string, data []byte) (Event, error) {
	switch name {
	case wire.EventMessage:
		return decodeAs[wire.Message](data)
	case wire.EventReady:
		return decodeAs[wire.Ready](data)
	case wire.EventDraft:
		return decodeAs[wire.Draft](data)
	case wire.EventTyping:
		return decodeAs[wire.Typing](data)
	case wire.EventPressed:
		return decodeAs[wire.Pressed](data)
	}
	return nil, nil
}

func decodeAs[T any](data []byte) (Event, error) {
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, fmt.Errorf("read the gateway's stream: %w", err)
	}
	return v, nil
}
