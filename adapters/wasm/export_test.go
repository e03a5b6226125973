package wasm

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/internal/module"
)

// Ready compiles the module of a section, which takes as long as it takes: under
// the race detector a minute and more.
func (d *Driver) Ready(ctx context.Context, cfg json.RawMessage) error {
	g, faults := d.find(cfg)
	if g == nil {
		return fmt.Errorf("no such module: %v", faults)
	}
	_, err := d.load(ctx, g.pkg)
	return err
}

// SetAt puts a credential into a body.
func SetAt(body []byte, pointer, value string) ([]byte, error) { return setAt(body, pointer, value) }

// ReadRequest reads the header of a guest's request.
func ReadRequest(header []byte) (wire.Request, error) { return readRequest(header) }

// ReadOut reads the header of a guest's answer.
func ReadOut(header []byte) (wire.Out, error) { return readOut(header) }

// WriteResponse writes the header of a response.
func WriteResponse(r wire.Response) json.RawMessage { return writeResponse(r) }

// Header writes the header of a call, twice with one beginning.
func Header(id channels.ID, public string, config json.RawMessage, session *json.RawMessage, in wire.In) (first, second json.RawMessage, err error) {
	b, err := newBeginning(id, public, config, session)
	if err != nil {
		return nil, nil, err
	}
	if first, err = b.header(in); err == nil {
		second, err = b.header(in)
	}
	return first, second, err
}

// Resolved says of requests, by method and URL in turns, whether a manifest's line
// covers them.
func Resolved(line module.HTTP, base string, requests ...string) ([]bool, error) {
	g, err := newGrant(line, base)
	if err != nil {
		return nil, err
	}
	var l requestLines
	var covered []bool
	for i := 0; i+1 < len(requests); i += 2 {
		_, fit, err := l.resolve([]grant{g}, requests[i], requests[i+1])
		covered = append(covered, err == nil && len(fit) == 1)
	}
	return covered, nil
}
