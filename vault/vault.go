// Package vault keeps secrets and lends them out by scope.
//
// A secret is encrypted under its workspace's data key, which is wrapped by a
// key that lives outside the data folder. Nobody outside this package and
// vault/egress holds a value: a caller leases it for a purpose and uses it
// inside a function, and adapters, providers and tools only ever see a
// placeholder that the egress replaces on the way out.
//
// There are two ways to a lease. A turn leases by its scope, and a [Grant] on
// the secret decides. The gateway leases for a channel or a model provider,
// and what the operator's configuration names, as [Store.Configure] told it,
// decides. Both are looked up; no caller can pass a grant in.
package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Errors on which a caller branches.
var (
	ErrNotFound = errors.New("there is no such secret")
	ErrDenied   = errors.New("not granted to this scope")
	// ErrExpired: the lease is too old, or the secret was changed or deleted
	// since; lease again.
	ErrExpired = errors.New("the lease has ended")
	// ErrNoKey: the key that unlocks the data is missing.
	ErrNoKey = errors.New("the key is missing")
	// ErrWrongKey: the data was locked with another key.
	ErrWrongKey = errors.New("this key does not unlock the data")
	// ErrRolledBack: the database is older than the version kept with the key,
	// or rows of it were exchanged.
	ErrRolledBack = errors.New("the database is not the newest one")
	// ErrCorrupt: what is stored cannot be decrypted, or is not what was stored.
	ErrCorrupt = errors.New("the stored value is damaged or was tampered with")
)

// Vault lends secrets.
type Vault interface {
	// Lease looks the grant up and lends the secret for one purpose. It fails
	// with ErrNotFound or ErrDenied; a scope that is not valid is denied.
	Lease(ctx context.Context, s scope.Scope, r Ref, p Purpose) (*Lease, error)
}

// Limits of what is kept.
const (
	MaxName  = 64          // characters of a secret's name
	MaxValue = 64 << 10    // bytes of a secret's value
	MinMatch = 12          // a shorter value cannot be recognised safely where it leaks
	LeaseFor = time.Minute // how long a lease can be used
)

// Ref names a secret within a workspace, as "secret://name" does in a
// configuration.
type Ref string

// refScheme is how a configuration writes a reference.
const refScheme = "secret://"

// ParseRef reads a reference; ok is false when s is something else, such as a
// literal value.
func ParseRef(s string) (r Ref, ok bool) {
	name, found := strings.CutPrefix(s, refScheme)
	if !found || CheckName(name) != nil {
		return "", false
	}
	return Ref(refScheme + name), true
}

// RefsIn lists the references that a section of a configuration holds, in JSON.
func RefsIn(section json.RawMessage) []Ref {
	var v any
	_ = json.Unmarshal(section, &v)
	var refs []Ref
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			if r, ok := ParseRef(v); ok {
				refs = append(refs, r)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				walk(v[key])
			}
		}
	}
	walk(v)
	return refs
}

// Name is the secret's name: the reference without its scheme.
func (r Ref) Name() string { return strings.TrimPrefix(string(r), refScheme) }

// CheckName says what is wrong with a secret's name: 1 to [MaxName] lower-case
// letters, digits, dots, underscores and hyphens, a letter or digit first.
func CheckName(name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("a secret's name has 1 to %d characters", MaxName)
	}
	for i, c := range []byte(name) {
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || !strings.ContainsRune("._-", rune(c))) {
			return errors.New("a secret's name consists of a-z, 0-9, '.', '_' and '-' and begins with a letter or digit")
		}
	}
	return nil
}

// CheckSecret says what is wrong with the full name of a secret: a name, or
// name@member for a secret that belongs to one member.
func CheckSecret(full string) error {
	name, member, own := strings.Cut(full, "@")
	if err := CheckName(name); err != nil {
		return err
	}
	if !own {
		return nil
	}
	if member == "" || len(member) > MaxName || strings.ContainsFunc(member, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("._-", c)
	}) {
		return errors.New("what follows the @ is not the id of a member")
	}
	return nil
}

// OwnedBy is the full name of a member's own secret.
func OwnedBy(name, member string) string { return name + "@" + member }

// The kinds of purpose that only the operator's configuration can grant.
const (
	ForChannel  = "channel"
	ForProvider = "provider"
	ForWebhook  = "webhook"
)

// Purpose says who uses a secret and for what.
type Purpose struct {
	Kind string // channel, provider, tool, webhook
	Name string // the channel's id, the model's name, ...
	Host string // the destination, host:port, or "" when the value does not leave
}

// configured reports whether the purpose is the configuration's to grant.
func (p Purpose) configured() bool {
	return p.Kind == ForChannel || p.Kind == ForProvider || p.Kind == ForWebhook
}

// Meta describes a secret without its value.
type Meta struct {
	Name    string    `json:"name"`    // name, or name@member for a member's own
	Version int       `json:"version"` // from 1; grows with each new value
	Created time.Time `json:"created"`
	Changed time.Time `json:"changed"`
	Hosts   []string  `json:"hosts,omitempty"`  // host:port where it may be sent; empty: nowhere until granted
	Grants  []Grant   `json:"grants,omitempty"` // who may lease it by scope; empty: nobody
	Format  Format    `json:"format,omitzero"`  // how it is put into a request
}

// Member is whose own secret it is, "" for the workspace's.
func (m Meta) Member() string {
	_, member, _ := strings.Cut(m.Name, "@")
	return member
}

// Stored is what [Store.Set] did.
type Stored struct {
	Meta
	Short bool // the value has fewer than MinMatch characters
}

// Warning says in one sentence what a person should know about the value, or
// "".
func (s Stored) Warning() string {
	if !s.Short {
		return ""
	}
	return fmt.Sprintf("the value has fewer than %d characters: it cannot be recognised safely if it leaks", MinMatch)
}

// Grant lets the turns of some scopes lease a secret for one purpose. Kind and
// Name are required; an empty Channel, Conversation, Member or Role matches
// any. A member's own secret is lent to that member's turns alone, whatever its
// grants say.
type Grant struct {
	Kind         string     `json:"kind"`
	Name         string     `json:"name"`
	Channel      string     `json:"channel,omitempty"`
	Conversation string     `json:"conversation,omitempty"`
	Member       string     `json:"member,omitempty"`
	Role         scope.Role `json:"role,omitempty"`
	Until        time.Time  `json:"until,omitzero"` // zero: for good
}

// matches reports whether the grant covers the scope and the purpose at a time.
func (g Grant) matches(s scope.Scope, p Purpose, now time.Time) bool {
	return g.Kind != "" && g.Name != "" && g.Kind == p.Kind && g.Name == p.Name &&
		(g.Channel == "" || g.Channel == s.Channel()) &&
		(g.Conversation == "" || g.Conversation == s.Conversation()) &&
		(g.Member == "" || g.Member == s.Member()) &&
		(g.Role == "" || g.Role == s.Role()) &&
		(g.Until.IsZero() || now.Before(g.Until))
}

// ends is when a lease under the grant ends that is given now.
func (g Grant) ends(now time.Time) time.Time {
	end := now.Add(LeaseFor)
	if !g.Until.IsZero() && g.Until.Before(end) {
		return g.Until
	}
	return end
}

// same reports whether two grants say the same but for how long.
func (g Grant) same(other Grant) bool {
	g.Until, other.Until = time.Time{}, time.Time{}
	return g == other
}

// Binding is one place of the operator's configuration that names a secret: it
// grants the secret to that channel or provider, for those hosts.
type Binding struct {
	Ref   Ref
	Kind  string   // ForChannel, ForProvider or ForWebhook
	Name  string   // the channel's id, the model's name
	Hosts []string // host:port, *.host:port for one label more; empty: the value may not leave
}

// Use is one entry for the audit log: that a lease was given or refused. It
// never holds a value.
type Use struct {
	At        time.Time
	Workspace string
	By        scope.Principal // zero when the gateway itself uses the secret
	Secret    string
	Version   int // 0 when refused
	Purpose   Purpose
	Err       error // nil when the lease was given
}

// canonicalHosts checks and sorts destinations of the form host:port.
func canonicalHosts(hosts []string) ([]string, error) {
	var out []string
	for _, h := range hosts {
		c, err := canonicalHost(h)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// canonicalHost lowers the case of host:port. A missing port is 443.
func canonicalHost(h string) (string, error) {
	host, port, err := net.SplitHostPort(h)
	if err != nil {
		host, port = strings.Trim(h, "[]"), "443"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || !plainHost(host) {
		return "", fmt.Errorf("%q is not a destination: write host or host:port, without a scheme or a path", h)
	}
	return net.JoinHostPort(strings.ToLower(host), strconv.FormatUint(n, 10)), nil
}

// plainHost refuses everything that is neither a name nor an address. Which
// names and addresses may be dialled is the egress's to decide.
func plainHost(host string) bool {
	if strings.Contains(host, ":") {
		_, err := netip.ParseAddr(host)
		return err == nil && !strings.Contains(host, "%")
	}
	return host != "" && !strings.ContainsFunc(host, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune("/\\@?#*%[]<>\"'", c)
	})
}
