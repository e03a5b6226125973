package trial

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// linkEnds is when the links of a trial end: the same in each run.
var linkEnds = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// put answers attachment_put. What is put goes nowhere.
func (h *host) put(in sandbox.Payload) (sandbox.Payload, error) {
	var w wire.AttachmentPut
	if in.Header != nil && json.Unmarshal(in.Header, &w) != nil {
		return sandbox.Payload{}, sandbox.Invalid
	}
	if w.Handle == "" {
		w.Handle = "made" + strconv.Itoa(h.made)
		h.made++
	}
	if !h.wasMade(w.Handle) {
		return sandbox.Payload{}, sandbox.NotFound
	}
	header, err := json.Marshal(wire.Attachment{File: w.Handle})
	return sandbox.Payload{Header: header}, err
}

func (h *host) wasMade(handle string) bool {
	for i := range h.made {
		if handle == "made"+strconv.Itoa(i) {
			return true
		}
	}
	return false
}

// readPart answers attachment_read with what the test says is behind a handle.
func (h *host) readPart(in sandbox.Payload) (sandbox.Payload, error) {
	const usual = 1 << 20
	var w wire.AttachmentRead
	if json.Unmarshal(in.Header, &w) != nil || w.Bytes < 0 {
		return sandbox.Payload{}, sandbox.Invalid
	}
	text, ok := h.t.Files[w.Handle]
	if !ok {
		return sandbox.Payload{}, sandbox.NotFound
	}
	content, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return sandbox.Payload{}, h.blame("files: what stands under %q is no base64", w.Handle)
	}
	if w.Bytes == 0 {
		w.Bytes = usual
	}
	if h.read == nil {
		h.read = map[string]int{}
	}
	from := h.read[w.Handle]
	to := min(from+w.Bytes, len(content))
	h.read[w.Handle] = to
	return sandbox.Payload{Body: slices.Clone(content[from:to])}, nil
}

// link answers attachment_link. Where the input has no public address there is
// none, as in a gateway without one.
func (h *host) link(in sandbox.Payload) (sandbox.Payload, error) {
	var w wire.AttachmentLink
	var input struct {
		Public string     `json:"public"`
		Part   *wire.Part `json:"part"`
	}
	if json.Unmarshal(in.Header, &w) != nil {
		return sandbox.Payload{}, sandbox.Invalid
	}
	_ = json.Unmarshal(h.t.In, &input) // the manifest is JSON
	switch {
	case h.s.Manifest.Links == nil:
		return sandbox.Payload{}, h.blame(`it asks for a link to a file, and the manifest does not list that: "links": {"hours": 24}`)
	case input.Part == nil:
		return sandbox.Payload{}, sandbox.NotFound
	case !h.wasMade(w.Handle) && !slices.ContainsFunc(input.Part.Files, func(f wire.File) bool { return f.Handle == w.Handle }):
		return sandbox.Payload{}, sandbox.NotFound
	case input.Public == "":
		return sandbox.Payload{}, sandbox.Unavailable
	}
	header, err := json.Marshal(channels.Link{URL: input.Public + "/-/" + w.Handle, Until: linkEnds})
	return sandbox.Payload{Header: header}, err
}
