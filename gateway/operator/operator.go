// Package operator is what the person in charge can do: see how things are,
// let people in, keep secrets, add channels and models, look after dead
// letters. The console, the API and the command line are faces of it.
package operator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
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

// Model is a configured model.
type Model struct {
	Name     string `json:"name"`
	Provider string `json:"provider"`
	Model    string `json:"model"`
	BaseURL  string `json:"base_url,omitempty"`
	Default  bool   `json:"default,omitempty"`
	Keyed    bool   `json:"keyed,omitempty"` // it was given a key of its own, which is in the vault
	Found    string `json:"found,omitempty"` // where it comes from, when it is not in the file
}

// Provider is a kind of model provider.
type Provider struct {
	Name    string `json:"name"`
	Title   string `json:"title"`
	KeysURL string `json:"keys_url,omitempty"`
	NeedKey bool   `json:"need_key"`
	NeedURL bool   `json:"need_url"`
	Model   string `json:"model,omitempty"` // default
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

// Letter is a dead record, for people.
type Letter struct {
	Seq       int64           `json:"seq"`
	Queue     string          `json:"queue"`
	Channel   string          `json:"channel"`
	Key       string          `json:"key"`
	Reason    string          `json:"reason"`
	Attempts  int             `json:"attempts"`
	Published time.Time       `json:"published"`
	Died      time.Time       `json:"died"`
	Body      json.RawMessage `json:"body,omitempty"` // shown for a single letter only
}

// DeadLetters lists dead records of a queue ("" for all), without their bodies.
func (p *Operator) DeadLetters(ctx context.Context, by scope.Scope, queue string, after int64, limit int) ([]Letter, error) {
	if err := p.allow(by); err != nil {
		return nil, err
	}
	all, err := p.deadLetters(ctx, queue, after, limit)
	out := make([]Letter, len(all))
	for i, l := range all {
		out[i] = letter(l)
		out[i].Body = nil
	}
	return out, err
}

// deadLetters lists the dead of one queue, or of all, by number.
func (p *Operator) deadLetters(ctx context.Context, queue string, after int64, limit int) ([]bus.Letter, error) {
	queues := []string{queue}
	if queue == "" {
		queues = []string{bus.Inbox, bus.Urgent, bus.Outbox}
	}
	var all []bus.Letter
	for _, q := range queues {
		some, err := p.o.Bus.DeadLetters(ctx, q, after, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b bus.Letter) int { return cmp.Compare(a.Seq, b.Seq) })
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all, nil
}

// DeadLetter shows one.
func (p *Operator) DeadLetter(ctx context.Context, by scope.Scope, seq int64) (Letter, error) {
	if err := p.allow(by); err != nil {
		return Letter{}, err
	}
	all, err := p.deadLetters(ctx, "", seq-1, 1)
	if err != nil {
		return Letter{}, err
	}
	if len(all) == 0 || all[0].Seq != seq {
		return Letter{}, fmt.Errorf("dead letter %d: %w", seq, identity.ErrUnknown)
	}
	return letter(all[0]), nil
}

func letter(l bus.Letter) Letter {
	return Letter{
		Seq: l.Seq, Queue: l.Queue, Channel: l.Channel, Key: l.Key, Reason: l.Reason, Attempts: l.Attempt,
		Published: l.Published, Died: l.At, Body: shown(l.Body),
	}
}

// Replay makes dead letters due again.
func (p *Operator) Replay(ctx context.Context, by scope.Scope, seqs ...int64) (_ int, err error) {
	defer func() { p.did(ctx, by, "dead letters replayed", numbers(seqs), &err) }()
	if err := p.allow(by); err != nil {
		return 0, err
	}
	return p.o.Bus.Replay(ctx, seqs...)
}

// Drop removes dead letters for good.
func (p *Operator) Drop(ctx context.Context, by scope.Scope, seqs ...int64) (_ int, err error) {
	defer func() { p.did(ctx, by, "dead letters dropped", numbers(seqs), &err) }()
	if err := p.allow(by); err != nil {
		return 0, err
	}
	return p.o.Bus.Drop(ctx, seqs...)
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

// Providers lists the kinds of model provider that this build knows. It says
// nothing about this installation and needs no scope.
func (p *Operator) Providers() []Provider { return p.o.Settings.Providers() }

// Models lists the configured models; none to those who do not administer.
func (p *Operator) Models(by scope.Scope) []Model {
	if p.allow(by) != nil {
		return nil
	}
	return p.o.Settings.Models()
}

// CheckModel asks a provider with a key, in one call, and lists its models.
// Without one, a configured model that is Keyed is asked with its own. Nothing
// is kept.
func (p *Operator) CheckModel(ctx context.Context, by scope.Scope, m Model, key string) ([]string, error) {
	if err := p.allow(by); err != nil {
		return nil, err
	}
	return p.o.Settings.Check(ctx, m, strings.TrimSpace(key))
}

// SetModel keeps a model, and its key in the vault. An empty key leaves the
// stored one. When the model cannot be kept, neither is the key.
func (p *Operator) SetModel(ctx context.Context, by scope.Scope, m Model, key string) (err error) {
	defer func() { p.did(ctx, by, "model set", m.Name, &err) }()
	if err := p.allow(by); err != nil {
		return err
	}
	if m.Name == "" {
		m.Name = "default"
	}
	key = strings.TrimSpace(key)
	if key == "" {
		return p.o.Settings.SetModel(ctx, m, true)
	}
	undo, err := p.keepKey(ctx, by, m.Name, key)
	if err != nil {
		return fmt.Errorf("keep the key: %w", err)
	}
	m.Keyed = true
	if err := p.o.Settings.SetModel(ctx, m, true); err != nil {
		return errors.Join(err, undo(context.WithoutCancel(ctx)))
	}
	return nil
}

// keepKey stores a model's key and returns what puts the vault back to what it
// was: a new key must not stay for a model that still is the old one, whose
// endpoint would get it.
func (p *Operator) keepKey(ctx context.Context, by scope.Scope, name, key string) (undo func(context.Context) error, err error) {
	var before []byte
	_, err = p.o.Vault.Rotate(ctx, by.Workspace(), name, func(old []byte) ([]byte, error) {
		before = slices.Clone(old)
		return []byte(key), nil
	})
	if errors.Is(err, vault.ErrNotFound) {
		_, err = p.o.Vault.Set(ctx, by.Workspace(), name, []byte(key), nil)
		return func(ctx context.Context) error { return p.o.Vault.Delete(ctx, by.Workspace(), name) }, err
	}
	return func(ctx context.Context) error {
		_, err := p.o.Vault.Rotate(ctx, by.Workspace(), name, func([]byte) ([]byte, error) { return before, nil })
		return err
	}, err
}

// Added is a channel that was added.
type Added struct {
	ID       channels.ID       `json:"id"`
	Identity channels.Identity `json:"identity"`
	Link     string            `json:"link,omitempty"`     // makes whoever opens it and taps Start the owner
	Live     bool              `json:"live"`               // it receives already; else with the next start
	Unlinked bool              `json:"unlinked,omitempty"` // a person has to link an account yet, with LinkChannel
}

// Platform is a kind of channel that can be added with questions and answers.
type Platform struct {
	Adapter string         `json:"adapter"` // or the module, by whose name it is added
	Module  bool           `json:"module,omitempty"`
	Guide   channels.Guide `json:"guide"`
}

// section is the section of a channel of this kind before anything is answered,
// and the adapter that runs it.
func (x Platform) section(section map[string]any) (string, map[string]any) {
	full := maps.Clone(section)
	if full == nil {
		full = map[string]any{}
	}
	if !x.Module {
		return x.Adapter, full
	}
	full["module"] = x.Adapter
	return "wasm", full
}

// Platforms lists the kinds of channels that can be added; none to those who do
// not administer.
func (p *Operator) Platforms(by scope.Scope) []Platform {
	if p.allow(by) != nil {
		return nil
	}
	return p.o.Settings.Platforms()
}

func (p *Operator) platform(adapter string) (Platform, error) {
	all := p.o.Settings.Platforms()
	i := slices.IndexFunc(all, func(x Platform) bool { return x.Adapter == adapter })
	if i < 0 {
		return Platform{}, fmt.Errorf("%w: %q is no platform that can be added here", ErrInvalid, adapter)
	}
	return all[i], nil
}

// AddChannel keeps the secrets among the answers to the platform's questions in
// the vault, asks the platform who the bot is, and adds the channel. Nothing is
// kept when the platform refuses, and no secret that was there before is
// touched. A section with a workspace adds it to that one, whose owner the link
// makes: only an owner may.
func (p *Operator) AddChannel(ctx context.Context, by scope.Scope, id channels.ID, adapter string, answers map[string]string, section map[string]any) (_ Added, err error) {
	defer func() { p.did(ctx, by, "channel added", string(id), &err) }()
	if err := p.allow(by); err != nil {
		return Added{}, err
	}
	if p.configured(id) {
		return Added{}, fmt.Errorf("%w: there is a channel %q already", ErrConflict, id)
	}
	platform, err := p.platform(adapter)
	if err != nil {
		return Added{}, err
	}
	settled, err := platform.Guide.Settle(answers)
	if err != nil {
		return Added{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	home, _ := section["workspace"].(string)
	as, err := p.ownerOf(ctx, by, home)
	if err != nil {
		return Added{}, err
	}
	driver, full := platform.section(section)
	var kept []string
	defer func() {
		if err == nil || p.configured(id) {
			return
		}
		for _, name := range kept {
			_ = p.o.Vault.Delete(context.WithoutCancel(ctx), as.Workspace(), name)
		}
	}()
	err = platform.Guide.Section(full, settled, func(a channels.Ask, value string) (string, error) {
		name, err := p.freeName(ctx, as, secretName(id, a.Key))
		if err != nil {
			return "", err
		}
		if _, err := p.o.Vault.Set(ctx, as.Workspace(), name, []byte(value), nil); err != nil {
			return "", fmt.Errorf("keep %s: %w", a.Label, err)
		}
		kept = append(kept, name)
		return "secret://" + name, nil
	})
	if err != nil {
		return Added{}, err
	}
	return p.add(ctx, as, id, driver, platform.Guide.Link, full)
}

// secretName is how a channel's secret is called where nobody chose: support-token.
func secretName(id channels.ID, key string) string {
	return strings.ToLower(string(id)) + "-" + strings.NewReplacer("_", "-", ".", "-").Replace(key)
}

// ownerOf is who a channel of a workspace is set up for: whoever asks, or the
// owner of the other workspace.
func (p *Operator) ownerOf(ctx context.Context, by scope.Scope, id string) (scope.Scope, error) {
	if id == "" || id == by.Workspace() {
		return by, nil
	}
	if err := p.may(ctx, by, scope.Own); err != nil {
		return scope.Scope{}, err
	}
	all, err := p.o.Directory.Workspaces(ctx)
	if err != nil {
		return scope.Scope{}, err
	}
	if !slices.ContainsFunc(all, func(w identity.Workspace) bool { return w.ID == id && !w.Ending }) {
		return scope.Scope{}, fmt.Errorf("%w: there is no workspace %q; make it first", ErrInvalid, id)
	}
	return p.o.Directory.In(id).Machine(ctx)
}

func (p *Operator) configured(id channels.ID) bool {
	return slices.ContainsFunc(p.o.Settings.Channels(), func(c gateway.ChannelConfig) bool { return c.ID == id })
}

// freeName finds a name that no secret has. A channel that was removed has left
// its token behind, and somebody may have chosen the name for another purpose.
func (p *Operator) freeName(ctx context.Context, by scope.Scope, name string) (string, error) {
	if err := vault.CheckName(name); err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	all, err := p.o.Vault.List(ctx, by.Workspace())
	if err != nil {
		return "", err
	}
	free := name
	for n := 2; slices.ContainsFunc(all, func(m vault.Meta) bool { return m.Name == free }); n++ {
		free = fmt.Sprintf("%s-%d", name, n)
	}
	return free, nil
}

// add adds a channel whose token is kept already. Once it stands in the
// configuration, a missing link is no failure: there is another way to get one.
// linked says that a person links its account later.
func (p *Operator) add(ctx context.Context, by scope.Scope, id channels.ID, adapter string, linked bool, section map[string]any) (Added, error) {
	c, err := p.o.Settings.Channel(id, adapter, section)
	if err != nil {
		return Added{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	who, err := p.o.Gateway.Probe(ctx, c)
	if errors.Is(err, errors.ErrUnsupported) { // a module need not offer it
		who, err = channels.Identity{Name: "added; its first messages show whether it works"}, nil
	}
	unlinked := linked && channels.KindOf(err) == channels.Unauthorized
	if err != nil && !unlinked {
		return Added{}, err
	}
	if err := p.o.Settings.AddChannel(ctx, id, adapter, section); err != nil {
		return Added{}, err
	}
	out := Added{ID: id, Identity: who, Live: p.o.Running, Unlinked: unlinked}
	if unlinked {
		return out, nil
	}
	if code, err := p.directory(by).StartCode(ctx, by, by.Member()); err == nil {
		out.Link, _ = p.startLink(ctx, c, code)
	}
	return out, nil
}

func (p *Operator) startLink(ctx context.Context, c gateway.ChannelConfig, code string) (string, error) {
	if p.o.Running {
		return p.o.Gateway.StartLink(ctx, c.ID, code)
	}
	return p.o.Gateway.StartLinkOf(ctx, c, code)
}

// Removed is what a channel that was removed has left behind.
type Removed struct {
	Workspace string   `json:"workspace"`         // that it belonged to
	Secrets   []string `json:"secrets,omitempty"` // there, which no other section names
}

// RemoveChannel takes a channel out of the configuration; its secrets stay in
// the vault until they are deleted.
func (p *Operator) RemoveChannel(ctx context.Context, by scope.Scope, id channels.ID) (_ Removed, err error) {
	defer func() { p.did(ctx, by, "channel removed", string(id), &err) }()
	if err := p.allow(by); err != nil {
		return Removed{}, err
	}
	before := slices.Clone(p.o.Settings.Channels())
	if err := p.o.Settings.RemoveChannel(ctx, id); err != nil {
		return Removed{}, err
	}
	return p.leftBy(ctx, id, before)
}

// leftBy finds the secrets that a channel has left in the vault and that no other
// channel of its workspace names.
func (p *Operator) leftBy(ctx context.Context, id channels.ID, before []gateway.ChannelConfig) (r Removed, err error) {
	i := slices.IndexFunc(before, func(c gateway.ChannelConfig) bool { return c.ID == id })
	if i < 0 {
		return r, nil
	}
	r.Workspace = p.workspaceOf(before[i])
	var named []string
	for _, c := range p.o.Settings.Channels() {
		if p.workspaceOf(c) == r.Workspace {
			for _, ref := range vault.RefsIn(c.Section) {
				named = append(named, ref.Name())
			}
		}
	}
	kept, err := p.o.Vault.List(ctx, r.Workspace)
	for _, ref := range vault.RefsIn(before[i].Section) {
		there := slices.ContainsFunc(kept, func(m vault.Meta) bool { return m.Name == ref.Name() })
		if there && !slices.Contains(named, ref.Name()) && !slices.Contains(r.Secrets, ref.Name()) {
			r.Secrets = append(r.Secrets, ref.Name())
		}
	}
	return r, err
}

// LinkChannel links an account to a configured channel by a person's hand. It
// blocks until that is done or has failed; show gets each code. With a phone's
// number the code is typed into it, without one it is the content of a QR code.
func (p *Operator) LinkChannel(ctx context.Context, by scope.Scope, id channels.ID, number string, show func(code string)) (err error) {
	defer func() { p.did(context.WithoutCancel(ctx), by, "channel linked", string(id), &err) }()
	if err := p.allow(by); err != nil {
		return err
	}
	for _, c := range p.o.Settings.Channels() {
		if c.ID == id {
			return p.o.Gateway.Link(ctx, c, number, show)
		}
	}
	return fmt.Errorf("channel %q: %w", id, identity.ErrUnknown)
}

// ProbeChannel asks the platform of a configured channel whether it works.
func (p *Operator) ProbeChannel(ctx context.Context, by scope.Scope, id channels.ID) (channels.Identity, error) {
	if err := p.allow(by); err != nil {
		return channels.Identity{}, err
	}
	for _, c := range p.o.Settings.Channels() {
		if c.ID == id {
			return p.o.Gateway.Probe(ctx, c)
		}
	}
	return channels.Identity{}, fmt.Errorf("channel %q: %w", id, identity.ErrUnknown)
}

// MaxSecret bounds what is read as a secret's value.
const MaxSecret = vault.MaxValue

// ReadSecret reads a value from a stream, without the line break at its end.
func ReadSecret(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxSecret+2))
	if err != nil {
		return nil, err
	}
	return []byte(strings.TrimRight(string(b), "\r\n")), nil
}
