package sandbox

import (
	"bytes"
	"encoding/json"
)

// Effect is what a guest wants to happen if, and only if, its call ends well:
// HostEmit, HostKVPut, HostSocketSend or HostHTTP, with the request as the guest made it.
type Effect struct {
	Op HostOp
	In Payload
}

// effects holds back what a call wants to happen.
type effects struct {
	list  []Effect
	bytes int
	emits int
	kv    map[string]Payload // what the call put
}

// keyed is the header of the key-value operations.
type keyed struct {
	Key    string `json:"key"`
	Delete bool   `json:"delete"`
	Now    bool   `json:"now"`
}

func parseKey(in Payload) (keyed, error) {
	const most = 512
	var h keyed
	if json.Unmarshal(in.Header, &h) != nil || h.Key == "" || len(h.Key) > most {
		return keyed{}, Invalid
	}
	return h, nil
}

// add notes an effect.
func (e *effects) add(op HostOp, in Payload, lim Limits) error {
	n := len(in.Header) + len(in.Body)
	if e.bytes+n > lim.Response {
		return Quota
	}
	e.bytes += n
	e.list = append(e.list, Effect{op, in})
	return nil
}

func (e *effects) emit(in Payload, lim Limits) error {
	if e.emits++; e.emits > lim.Emits {
		return Quota
	}
	return e.add(HostEmit, in, lim)
}

// put notes a value, which the rest of the call sees.
func (e *effects) put(in Payload, lim Limits) error {
	h, err := parseKey(in)
	if err != nil {
		return err
	}
	if err := e.add(HostKVPut, in, lim); err != nil {
		return err
	}
	if e.kv == nil {
		e.kv = map[string]Payload{}
	}
	e.kv[h.Key] = in
	return nil
}

// get finds what the call itself has put.
func (e *effects) get(in Payload) (v Payload, ok bool, err error) {
	h, err := parseKey(in)
	if err != nil {
		return Payload{}, false, err
	}
	own, ok := e.kv[h.Key]
	if !ok {
		return Payload{}, false, nil
	}
	if w, _ := parseKey(own); w.Delete {
		return Payload{}, true, NotFound
	}
	return Payload{Body: own.Body}, true, nil
}

// waits tells whether a frame for a socket, or a request, is to be sent after the
// commit. Most are not, and one without the word need not be read for that: JSON
// can write it in another way only with a backslash.
func (e *effects) waits(in Payload) bool {
	const commit = "commit"
	if !bytes.Contains(in.Header, []byte(commit)) && bytes.IndexByte(in.Header, '\\') < 0 {
		return false
	}
	var h struct {
		After string `json:"after"`
	}
	return json.Unmarshal(in.Header, &h) == nil && h.After == commit
}
