package channeltest

import (
	"context"

	"github.com/gatehouse-chat/gatehouse/channels"
)

var _ channels.Keyring = (*Host)(nil)

// KeepSecret implements channels.Keyring.
func (h *Host) KeepSecret(ctx context.Context, name string, value []byte) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	ref, err := "secret://channel."+string(h.id)+"."+name, error(nil)
	h.board.change(func() {
		if h.dead {
			err = errCrashed
			return
		}
		h.disk.secrets[ref] = string(value)
	})
	return ref, err
}

// DropSecret implements channels.Keyring.
func (h *Host) DropSecret(ctx context.Context, name string) error {
	h.board.change(func() { delete(h.disk.secrets, "secret://channel."+string(h.id)+"."+name) })
	return ctx.Err()
}
