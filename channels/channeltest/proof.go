package channeltest

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels/proof"
)

var _ proof.Verifier = (*Host)(nil)

// Verify implements proof.Verifier with the secrets that the host has.
func (h *Host) Verify(ctx context.Context, c *proof.Checker, r proof.Request) error {
	var values [][]byte
	for _, ref := range c.Refs() {
		v, err := h.value(ref)
		if err != nil {
			return err
		}
		values = append(values, v)
	}
	return c.Check(ctx, values, r)
}

// Sign implements proof.Verifier.
func (h *Host) Sign(_ context.Context, ref, _, id string, at time.Time, body []byte) (http.Header, error) {
	v, err := h.value(ref)
	if err != nil {
		return nil, err
	}
	return proof.SignStandard(v, id, at, body)
}

func (h *Host) value(ref string) ([]byte, error) {
	var v string
	var ok bool
	h.board.read(func() { v, ok = h.disk.secrets[ref] })
	if !ok {
		return nil, fmt.Errorf("secret %q is not stored", ref)
	}
	return []byte(v), nil
}
