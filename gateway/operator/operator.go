// Package operator is what the person in charge can do: see how things are,
// let people in, keep secrets, add channels and models, look after dead
// letters. The console, the API and the command line are faces of it.
package operator

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/gateway/login"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory/store"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

// Errors on which a face branches.
var (
	ErrInvalid  = errors.New("invalid")     // the request cannot be carried out as it is; its text says why
	ErrConflict = errors.New("conflict")    // it is there already
	ErrStopped  = errors.New("not running") // the gateway has to run for this

	ErrUnknownModule = errors.New("no such module")
)

// Settings is the configuration file, as far as it may be changed from here.
type Settings interface {
	// Channels lists what is configured, running or not.
	Channels() []gateway.ChannelConfig
	// Channel makes the configuration that a new section would have, without
	// keeping it.
	Channel(id channels.ID, adapter string, section map[string]any) (gateway.ChannelConfig, error)
	// AddChannel writes a section and applies it.
	AddChannel(ctx context.Context, id channels.ID, adapter string, section map[string]any) error
	RemoveChannel(ctx context.Context, id channels.ID) error
	Models() []Model
	// SetModel writes a model and applies it; def makes it the one to start with.
	SetModel(ctx context.Context, m Model, def bool) error
	// Check asks the provider with a key, and lists its models. An empty key
	// means the stored one where m is the configured model and Keyed.
	Check(ctx context.Context, m Model, key string) ([]string, error)
	// Reload reads the file again and applies it; a faulty one is refused.
	Reload(ctx context.Context) (warnings []string, err error)
	// Renew makes the running parts follow what the configuration that stands means
	// now, after a change of what it refers to.
	Renew(ctx context.Context) error
	// Providers lists what can stand in Model.Provider.
	Providers() []Provider
	// Platforms lists the adapters whose channels are added with a guide.
	Platforms() []Platform
}

// Options make an Operator.
type Options struct {
	Gateway   *gateway.Gateway
	Running   bool // the gateway's stations run in this process
	Bus       bus.Engine
	Directory *identity.Directory
	Vault     *vault.Store
	Settings  Settings
	Logins    *login.Book
	Audit     *audit.Log
	AuditFile string // where its checkpoints are; "": nowhere
	Console   string // base URL of the console
	// Try makes one request with a secret, named in full, to a URL of one of its
	// hosts, and returns the status of the answer: "200 OK".
	Try     func(ctx context.Context, by scope.Scope, secret string, to *url.URL) (string, error)
	Modules Modules
	Egress  func() []egress.Use // nil: nobody counts
	Memory  *store.Store
	Now     func() time.Time
}

// Operator carries out what the person in charge asks for. Each method takes
// the scope of who asks, and refuses those whose role does not allow it. What
// concerns people and secrets happens in the workspace of the scope; what
// concerns the installation is for those who administer its home.
type Operator struct{ o Options }

// New makes an operator.
func New(o Options) *Operator { return &Operator{o: o} }

// allow lets those through who administer the installation.
func (p *Operator) allow(by scope.Scope) error {
	if by.Workspace() != p.o.Directory.Home() || !by.Role().Administers() {
		return identity.ErrForbidden
	}
	return nil
}

// may lets those through who have a right in their own workspace, as they stand
// now.
func (p *Operator) may(ctx context.Context, by scope.Scope, right scope.Right) error {
	return p.o.Directory.Confirm(ctx, by, right)
}

// Status is how everything is.
type Status struct {
	gateway.Status
	Running bool     `json:"running"`
	Console string   `json:"console,omitempty"`
	Models  []Model  `json:"models"`
	Modules []Module `json:"modules,omitempty"` // that are installed
	Limits  []Limit  `json:"limits,omitempty"`
}

// Limit is how much of what a channel, a model or a tool may send and receive
// was used today, in UTC. 0: that has no limit.
type Limit struct {
	Of             string `json:"of"`            // "tool http_request"
	Who            string `json:"who,omitempty"` // the member that has a count of their own
	Workspace      string `json:"workspace,omitempty"`
	Requests       int64  `json:"requests"`
	RequestsPerDay int64  `json:"requests_per_day,omitempty"`
	Bytes          int64  `json:"bytes"`
	BytesPerDay    int64  `json:"bytes_per_day,omitempty"`
	Full           string `json:"full,omitempty"` // which limit refuses requests now, and until when
}

func (p *Operator) limits() []Limit {
	if p.o.Egress == nil {
		return nil
	}
	var all []Limit
	for _, u := range p.o.Egress() {
		l := Limit{
			Of: u.Policy, Who: u.By.Member, Workspace: u.By.Workspace, Requests: u.Today.Requests, RequestsPerDay: u.Limits.RequestsPerDay,
			Bytes: u.Today.Bytes, BytesPerDay: u.Limits.BytesPerDay,
		}
		if u.Full != nil {
			l.Full = u.Full.Error()
		}
		all = append(all, l)
	}
	return all
}

// Status looks at everything. Configured channels that do not run are listed
// without a phase.
func (p *Operator) Status(ctx context.Context, by scope.Scope) (Status, error) {
	if err := p.allow(by); err != nil {
		return Status{}, err
	}
	s, err := p.o.Gateway.Status(ctx)
	if err != nil {
		return Status{}, err
	}
	if !p.o.Running {
		s.Started = time.Time{}
	}
	known := map[channels.ID]bool{}
	for i, c := range s.Channels {
		known[c.ID] = true
		if !p.o.Running {
			s.Channels[i].Phase, s.Channels[i].Since = "", time.Time{}
		}
	}
	for _, c := range p.o.Settings.Channels() {
		if !known[c.ID] {
			s.Channels = append(s.Channels, gateway.ChannelStatus{ID: c.ID, Adapter: c.Driver.Name()})
		}
	}
	modules, err := p.modules(ctx)
	return Status{Status: s, Running: p.o.Running, Console: p.o.Console, Models: p.o.Settings.Models(), Modules: modules, Limits: p.limits()}, err
}

// TurnFailed returns the kind of failure of a turn, "" for none.
func (p *Operator) TurnFailed(ctx context.Context, by scope.Scope, turn string) (string, error) {
	if err := p.allow(by); err != nil {
		return "", err
	}
	return p.o.Gateway.TurnFailed(ctx, turn)
}

// Reload applies the configuration file anew.
func (p *Operator) Reload(ctx context.Context, by scope.Scope) (_ []string, err error) {
	defer func() { p.did(ctx, by, "configuration reloaded", "", &err) }()
	if err := p.allow(by); err != nil {
		return nil, err
	}
	return p.o.Settings.Reload(ctx)
}
