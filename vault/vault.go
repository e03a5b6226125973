// Package vault keeps secrets and lends them out by scope.
//
// A secret is encrypted under its workspace's data key, which is wrapped by a
// key that lives outside the data folder. Nobody outside this package and
// vault/egress holds a value: a caller leases it for a purpose and uses it
// inside a function, and adapters, providers and tools only ever see a
// placeholder that the egress replaces on the way out.
package vault

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Errors on which a caller branches.
var (
	ErrNotFound = errors.New("vault: no such secret")
	ErrDenied   = errors.New("vault: not granted to this scope")
)

// Vault lends secrets.
type Vault interface {
	// Lease looks the grant up and lends the secret for one purpose. It fails
	// with ErrNotFound or ErrDenied; a scope that is not valid is denied.
	Lease(ctx context.Context, s scope.Scope, r Ref, p Purpose) (*Lease, error)
}

// Ref names a secret within a workspace, as "secret://name" does in a
// configuration.
type Ref string

// Purpose says who uses a secret and for what.
type Purpose struct {
	Kind string // channel, provider, tool, webhook
	Name string // the channel's id, the model's name, ...
	Host string // the destination, host:port, or "" when the value does not leave
}

// Meta describes a secret without its value.
type Meta struct {
	Name    string    `json:"name"`
	Version int       `json:"version"`
	Created time.Time `json:"created"`
	Changed time.Time `json:"changed"`
	Hosts   []string  `json:"hosts,omitempty"` // where it may be sent; empty: nowhere until granted
}
