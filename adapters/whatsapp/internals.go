//go:build !nowhatsapp

package whatsapp

import (
	"context"

	"go.mau.fi/whatsmeow"
)

// internals are the parts of whatsmeow that it promises nothing about. A version
// of it is pinned; what is used of them is used through here, and the conformance
// suite notices when one changes: waiting for an answer apart from sending,
// ending a connection without a farewell, asking whether the server is there, and
// reading media without a connection.
func internals(cli *whatsmeow.Client) *whatsmeow.DangerousInternalClient {
	return cli.DangerousInternals() //nolint:staticcheck // deprecated is how whatsmeow marks it as dangerous
}

// ping reports whether the server answers.
func ping(ctx context.Context, cli *whatsmeow.Client) bool {
	ok, _ := internals(cli).SendKeepAlive(ctx)
	return ok
}
