package wasm

import (
	"context"
	"encoding/json"
	"fmt"
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
