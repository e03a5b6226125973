package wasm

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

// Four headers pass between host and guest for a message. In their usual form they
// are read and written here, which takes a fifth of what encoding/json does; that
// has the others, and is what FuzzHeaders holds these to.

// readRequest is json.Unmarshal of valid JSON.
func readRequest(header []byte) (wire.Request, error) {
	r, ok := plainRequest(header)
	if ok {
		return r, nil
	}
	r = wire.Request{}
	return r, json.Unmarshal(header, &r)
}

func plainRequest(header []byte) (r wire.Request, ok bool) {
	s := scan{header}
	ok = s.object(func(name string) (ok bool) {
		switch name {
		case "method":
			r.Method, ok = s.text()
		case "url":
			r.URL, ok = s.text()
		case "headers":
			if r.Headers == nil {
				r.Headers = map[string]string{}
			}
			ok = s.object(func(name string) (ok bool) {
				r.Headers[name], ok = s.text()
				return ok
			})
		}
		return ok
	})
	return r, ok
}

// readOut is json.Unmarshal of valid JSON.
func readOut(header []byte) (wire.Out, error) {
	out, ok := plainReceipt(header)
	if ok {
		return out, nil
	}
	out = wire.Out{}
	return out, json.Unmarshal(header, &out)
}

// plainReceipt reads what most sends are answered.
func plainReceipt(header []byte) (out wire.Out, ok bool) {
	s := scan{header}
	ok = s.object(func(name string) bool {
		if name != "receipt" {
			return false
		}
		if out.Receipt == nil {
			out.Receipt = &channels.Receipt{}
		}
		return s.object(func(name string) bool {
			id, ok := s.text()
			out.Receipt.ID = channels.MessageID(id)
			return ok && name == "id"
		})
	})
	return out, ok
}

// scan reads valid JSON in the form that most of it has, and refuses the rest.
type scan struct{ rest []byte }

func (s *scan) take(c byte) bool {
	s.rest = bytes.TrimLeft(s.rest, " \t\r\n")
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// text reads a string without escapes.
func (s *scan) text() (string, bool) {
	if !s.take('"') {
		return "", false
	}
	t, rest, ok := bytes.Cut(s.rest, []byte{'"'})
	if !ok || bytes.IndexByte(t, '\\') >= 0 {
		return "", false
	}
	s.rest = rest
	return string(t), true
}

// object has member read the value of each name, and ends when that refuses one.
func (s *scan) object(member func(name string) bool) bool {
	if !s.take('{') {
		return false
	}
	if s.take('}') {
		return true
	}
	for {
		name, ok := s.text()
		if !ok || !s.take(':') || !member(name) {
			return false
		}
		if s.take('}') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

// writeResponse is json.Marshal.
func writeResponse(r wire.Response) json.RawMessage {
	b := strconv.AppendInt(append(make([]byte, 0, 512), `{"status":`...), int64(r.Status), 10)
	if len(r.Headers) > 0 {
		next := `,"headers":{`
		for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
			b = appendText(append(b, next...), name)
			b = appendText(append(b, ':'), r.Headers[name])
			next = ","
		}
		b = append(b, '}')
	}
	if r.File != "" {
		b = appendText(append(b, `,"file":`...), r.File)
	}
	return append(b, '}')
}

func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // a string never fails
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// beginning is how the header of every call of a channel begins: with what is the
// same in all of them, in JSON without its end.
type beginning struct {
	public  string
	session *json.RawMessage
	text    []byte
}

// withoutBeginning is how a header begins that has nothing of it.
const withoutBeginning = `{"channel":"","config":null`

func newBeginning(id channels.ID, public string, config json.RawMessage, session *json.RawMessage) (*beginning, error) {
	in := wire.In{Channel: id, Public: public, Config: config}
	if session != nil {
		in.Session = *session
	}
	b, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return &beginning{public, session, bytes.TrimSuffix(b, []byte("}"))}, nil
}

// header is that of a call, of which in has what is its own.
func (b *beginning) header(in wire.In) (json.RawMessage, error) {
	own, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return slices.Concat(b.text, own[len(withoutBeginning):]), nil
}

// header is that of a call of the channel.
func (c *channel) header(in wire.In) (json.RawMessage, error) {
	public, session := c.h.Public(), c.session.Load()
	b := c.begins.Load()
	if b == nil || b.public != public || b.session != session {
		var err error
		if b, err = newBeginning(c.h.ID(), public, c.s.forGuest, session); err != nil {
			return nil, err
		}
		c.begins.Store(b)
	}
	return b.header(in)
}
