package vault

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// Configure says which secrets the operator's configuration names, and where.
// It replaces what was said of the workspace before; a lease already given
// lasts until it expires. A binding whose hosts cannot be understood is an
// error, and nothing changes.
func (s *Store) Configure(workspace string, all ...Binding) error {
	if err := checkWorkspace(workspace); err != nil {
		return err
	}
	fresh := make([]Binding, 0, len(all))
	for _, b := range all {
		if !(Purpose{Kind: b.Kind}).configured() || b.Name == "" {
			return fmt.Errorf("vault: a configuration cannot grant a secret to %q %q", b.Kind, b.Name)
		}
		if err := CheckName(b.Ref.Name()); err != nil {
			return fmt.Errorf("%s %s: %w", b.Kind, b.Name, err)
		}
		hosts, err := boundHosts(b.Hosts)
		if err != nil {
			return fmt.Errorf("%s %s: %w", b.Kind, b.Name, err)
		}
		b.Hosts = hosts
		fresh = append(fresh, b)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := maps.Clone(*s.bindings.Load())
	next[workspace] = fresh
	s.bindings.Store(&next)
	return nil
}

// Lease lends a secret to a turn: one of the secret's grants must cover the
// scope and the purpose, and the secret must allow the purpose's host. A
// secret of that name that is the speaker's own goes before the workspace's.
func (s *Store) Lease(ctx context.Context, sc scope.Scope, r Ref, p Purpose) (*Lease, error) {
	if !sc.Valid() || p.configured() {
		return s.refuse(ctx, sc.Workspace(), sc.Principal(), r, p, ErrDenied)
	}
	sh, rec := s.find(sc.Workspace(), r, sc.Member())
	if rec == nil {
		return s.refuse(ctx, sc.Workspace(), sc.Principal(), r, p, ErrNotFound)
	}
	now := s.o.Now()
	until := now
	for _, g := range rec.meta.Grants {
		if g.matches(sc, p, now) && g.ends(now).After(until) {
			until = g.ends(now)
		}
	}
	if !until.After(now) || !allows(rec.meta.Hosts, p.Host) {
		return s.refuse(ctx, sc.Workspace(), sc.Principal(), r, p, ErrDenied)
	}
	return s.lend(ctx, sh, rec, sc.Principal(), r, p, until)
}

// LeaseConfigured lends a secret to the gateway itself, on behalf of a channel,
// a model provider or a webhook. What [Store.Configure] said of exactly this
// kind and name is the grant. A host is allowed when the configuration names
// it and the secret, if it has hosts of its own, does as well. A channel's own
// secret ([ChannelRef]) needs no configuration beside its hosts.
func (s *Store) LeaseConfigured(ctx context.Context, workspace string, r Ref, p Purpose) (*Lease, error) {
	sh, rec := s.find(workspace, r, "")
	if rec == nil {
		return s.refuse(ctx, workspace, scope.Principal{}, r, p, ErrNotFound)
	}
	named := func(b Binding) bool {
		return b.Kind == p.Kind && b.Name == p.Name && b.Ref.Name() == r.Name() && binds(b.Hosts, p.Host)
	}
	own := len(rec.meta.Hosts) == 0 || allows(rec.meta.Hosts, p.Host)
	bound := slices.ContainsFunc((*s.bindings.Load())[workspace], named) || ofChannel(r, p) && len(rec.meta.Hosts) > 0
	if !p.configured() || !own || !bound {
		return s.refuse(ctx, workspace, scope.Principal{}, r, p, ErrDenied)
	}
	return s.lend(ctx, sh, rec, scope.Principal{}, r, p, s.o.Now().Add(LeaseFor))
}

// ChannelRef refers to a secret that a platform handed to a channel itself: it
// is the channel's own and stands in no configuration. Such a secret has hosts
// of its own. The characters of an id that a secret's name cannot have are
// written as a hyphen and their code, so that no two channels share a name.
func ChannelRef(channel, name string) Ref {
	return Ref(refScheme + channelPrefix(channel) + name)
}

func channelPrefix(channel string) string {
	b := []byte("channel.")
	for i := range len(channel) {
		if c := channel[i]; c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' {
			b = append(b, c)
		} else {
			b = fmt.Appendf(b, "-%02x", c)
		}
	}
	return string(append(b, '.'))
}

// ofChannel reports whether a secret is the own one of the channel that asks.
func ofChannel(r Ref, p Purpose) bool {
	return p.Kind == ForChannel && p.Name != "" && strings.HasPrefix(r.Name(), channelPrefix(p.Name))
}

// ForTrial is the kind of purpose of a secret that somebody tries out.
const ForTrial = "trial"

// LeaseTrial lends a secret, named in full, to whoever tries it out: for one of
// its own hosts alone, and without a grant. The caller has made sure that they
// may look after the secret.
func (s *Store) LeaseTrial(ctx context.Context, by scope.Principal, name, host string) (*Lease, error) {
	r, p := Ref(refScheme+name), Purpose{Kind: ForTrial, Name: "secrets test", Host: host}
	sh := s.shelf(by.Workspace)
	if sh == nil || sh.records[name] == nil {
		return s.refuse(ctx, by.Workspace, by, r, p, ErrNotFound)
	}
	rec := sh.records[name]
	if host == "" || !allows(rec.meta.Hosts, host) {
		return s.refuse(ctx, by.Workspace, by, r, p, ErrDenied)
	}
	return s.lend(ctx, sh, rec, by, r, p, s.o.Now().Add(LeaseFor))
}

// allows reports whether a value may go to host. One that does not leave may be
// used anywhere; an empty list allows no host.
func allows(hosts []string, host string) bool {
	if host == "" || slices.Contains(hosts, host) {
		return true
	}
	c, err := canonicalHost(host)
	return err == nil && slices.Contains(hosts, c)
}

// anyLabel in front of a binding's host stands for exactly one label, as it does
// in a certificate.
const anyLabel = "*."

// boundHosts checks the destinations of a binding. A platform may have hosts
// whose first label it chooses itself; below a top-level domain, where anybody
// can have a name, nothing is left open.
func boundHosts(hosts []string) ([]string, error) {
	out := make([]string, 0, len(hosts))
	for _, h := range hosts {
		rest, wild := strings.CutPrefix(h, anyLabel)
		c, err := canonicalHost(rest)
		if err != nil {
			return nil, err
		}
		if wild {
			if !strings.Contains(rest, ".") || rest[0] >= '0' && rest[0] <= '9' {
				return nil, fmt.Errorf("%q: a wildcard needs a name with a dot behind it", h)
			}
			c = anyLabel + c
		}
		out = append(out, c)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// binds is allows for the hosts of a binding.
func binds(hosts []string, host string) bool {
	if strings.HasPrefix(host, anyLabel) {
		return false
	}
	if allows(hosts, host) {
		return true
	}
	c, err := canonicalHost(host)
	label, below, ok := strings.Cut(c, ".")
	return err == nil && ok && label != "" && slices.Contains(hosts, anyLabel+below)
}

// find looks a secret up as of now: a member's own first, if a member asks.
// A reference names no member; one that tries to finds nothing.
func (s *Store) find(workspace string, r Ref, member string) (*shelf, *record) {
	sh := s.shelf(workspace)
	if sh == nil || CheckName(r.Name()) != nil {
		return nil, nil
	}
	if own := sh.records[OwnedBy(r.Name(), member)]; own != nil {
		return sh, own
	}
	return sh, sh.records[r.Name()]
}

// refuse records the refusal. A refusal names the secret only in the audit.
func (s *Store) refuse(ctx context.Context, workspace string, by scope.Principal, r Ref, p Purpose, err error) (*Lease, error) {
	s.o.Audit(ctx, Use{At: s.o.Now(), Workspace: workspace, By: by, Secret: r.Name(), Purpose: p, Err: err})
	return nil, err
}

// lend makes the lease. It ends with its time, or when the record is replaced.
// Of a secret that is exchanged it lends the access token.
func (s *Store) lend(ctx context.Context, sh *shelf, rec *record, by scope.Principal, r Ref, p Purpose, until time.Time) (*Lease, error) {
	l := &Lease{
		purpose: p,
		version: rec.meta.Version,
		format:  rec.meta.Format,
		expires: until,
		now:     s.o.Now,
		stands: func() bool {
			at := s.shelf(sh.workspace)
			if at == nil {
				return false
			}
			// The same record under a new data key is still the same.
			r := at.records[rec.meta.Name]
			return r != nil && r.serial == rec.serial
		},
		open: func() ([]byte, error) { return rec.open(sh.keys, sh.workspace) },
	}
	if rec.meta.Format.Kind.exchanged() {
		if err := s.lendAccess(ctx, l, sh, rec); err != nil {
			return s.refuse(ctx, sh.workspace, by, r, p, err)
		}
	}
	s.o.Audit(ctx, Use{
		At: s.o.Now(), Workspace: sh.workspace, By: by,
		Secret: rec.meta.Name, Version: rec.meta.Version, Purpose: p,
	})
	return l, nil
}

// lendAccess lets a lease lend the access token of its secret.
func (s *Store) lendAccess(ctx context.Context, l *Lease, sh *shelf, rec *record) error {
	sealed, until, err := s.access(ctx, sh, rec)
	if err != nil {
		return err
	}
	if until.Before(l.expires) {
		l.expires = until
	}
	l.format = Format{Kind: Bearer}
	l.open = func() ([]byte, error) {
		at := s.shelf(sh.workspace) // a newer data key may have sealed it
		if at == nil {
			return nil, ErrExpired
		}
		t, ok := openToken(at, rec, sealed)
		if !ok {
			return nil, ErrCorrupt
		}
		return []byte(t.Access), nil
	}
	return nil
}
