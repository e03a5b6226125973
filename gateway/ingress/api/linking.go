package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Linking begins the linking of an account.
type Linking struct {
	Phone string `json:"phone,omitempty"` // its number; "": by QR code
}

// LinkStep is one line of the answer to a linking.
type LinkStep struct {
	Code   string   `json:"code,omitempty"` // the newest counts
	Linked bool     `json:"linked,omitempty"`
	Failed *Failure `json:"failed,omitempty"`
}

// link links an account while the caller waits: each code is a line as soon as
// it is there, and the end is the last one. A caller who goes away ends it.
func (h *handler) link(w http.ResponseWriter, r *http.Request) {
	by, ok := h.caller(w, r)
	if !ok {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	in, err := read[Linking](r)
	if err != nil {
		fail(w, err)
		return
	}
	begun, out := false, json.NewEncoder(w)
	line := func(s LinkStep) {
		if !begun {
			begun = true
			w.Header().Set("Content-Type", "application/x-ndjson")
			w.Header().Set("Cache-Control", "no-store")
		}
		_ = out.Encode(s) // a reader who is gone ends the context
		_ = http.NewResponseController(w).Flush()
	}
	err = h.op.LinkChannel(r.Context(), by, channels.ID(r.PathValue("id")), in.Phone, func(code string) { line(LinkStep{Code: code}) })
	switch {
	case err == nil:
		line(LinkStep{Linked: true})
	case begun:
		_, f := failure(err)
		line(LinkStep{Failed: &f})
	default:
		fail(w, err)
	}
}

// LinkChannel links an account to a channel; show gets each code. It blocks
// until the account is linked.
func (c *Client) LinkChannel(ctx context.Context, id channels.ID, phone string, show func(code string)) error {
	body, err := json.Marshal(Linking{Phone: phone})
	if err != nil {
		return err
	}
	resp, err := c.open(ctx, http.MethodPost, "/api/channels/"+url.PathEscape(string(id))+"/link", body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		var s LinkStep
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return fmt.Errorf("read the gateway's answer: %w", err)
		}
		switch {
		case s.Linked:
			return nil
		case s.Failed != nil:
			return &Error{Failure: *s.Failed, Status: http.StatusBadGateway}
		case s.Code != "":
			show(s.Code)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.New("the gateway went away while the account was linked")
}
