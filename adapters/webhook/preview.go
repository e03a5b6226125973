package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/proof"
)

// Preview says what a section makes of a request, without looking at its proof.
func Preview(id channels.ID, cfg json.RawMessage, h http.Header, query url.Values, body []byte) (codec.Outcome, error) {
	s, check, err := previewed(cfg)
	if err != nil {
		return codec.Outcome{}, err
	}
	return s.preview(id, h, query, check.Conceal(body))
}

// PreviewGuest is Preview for a channel that runs as a guest. It does without the
// module, which is compiled from the same codec; what a guest is not shown is not
// shown here either.
func PreviewGuest(id channels.ID, cfg json.RawMessage, h http.Header, query url.Values, body []byte) (codec.Outcome, error) {
	cfg, err := withoutModule(cfg)
	if err != nil {
		return codec.Outcome{}, err
	}
	s, check, err := previewed(cfg)
	if err != nil {
		return codec.Outcome{}, err
	}
	h = h.Clone()
	for _, name := range append(check.Headers(), "Authorization", "Cookie") {
		h.Del(name)
	}
	return s.preview(id, h, query, check.Conceal(body))
}

// previewed reads a section that has to be without faults.
func previewed(cfg json.RawMessage) (settings, *proof.Checker, error) {
	s, faults := parse(cfg)
	if len(faults) > 0 {
		return s, nil, fmt.Errorf("%s %s", faults[0].Path, faults[0].Text)
	}
	check, err := proof.New(s.Verify, nil) // nothing is proved, so nothing is fetched
	return s, check, err
}

func (s settings) preview(id channels.ID, h http.Header, query url.Values, body []byte) (codec.Outcome, error) {
	if len(body) > codec.MaxBody {
		return codec.Outcome{}, fmt.Errorf("the body is longer than %d bytes, and would be refused", codec.MaxBody)
	}
	in := codec.Raw{Header: h.Get, Query: query, Body: body}
	return s.Mapping.Read(in, s.Proof, codec.At{Channel: id, Account: account, Key: "(new with each request)", Time: time.Now()})
}

// withoutModule takes out of a section what every guest has, which leaves the
// keys of a webhook.
func withoutModule(cfg json.RawMessage) (json.RawMessage, error) {
	var keys map[string]json.RawMessage
	if json.Unmarshal(cfg, &keys) != nil {
		return nil, errors.New("the section must be a mapping of keys to values")
	}
	delete(keys, "module")
	delete(keys, "publisher")
	return json.Marshal(keys)
}
