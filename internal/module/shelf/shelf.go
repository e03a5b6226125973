package shelf

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/module"
)

// The spaces of the state.
const (
	moduleSpace  = "module"
	packageSpace = "module-package"
)

const (
	pieceSize = 512 << 10 // bytes of a package in one row
	kept      = 3         // versions before the one in use
	tries     = 10        // to change a module that others change as well
)

// Errors on which a caller branches.
var (
	ErrUnknown = errors.New("not known here")
	ErrRefused = errors.New("refused") // the text says why, and what to do
)

// Shelf keeps modules and publishers. Its methods may be called concurrently,
// by several processes too.
type Shelf struct {
	store kv.Store
	now   func() time.Time
}

// New makes a shelf on a state.
func New(store kv.Store, now func() time.Time) *Shelf { return &Shelf{store: store, now: now} }

// Edition is one version of a module as it was installed.
type Edition struct {
	Version   string    `json:"version"`
	Sum       string    `json:"sum"` // SHA-256 of the package
	Size      int       `json:"size"`
	Publisher string    `json:"publisher,omitempty"` // "": it is not signed
	Grants    []string  `json:"grants"`              // what its manifest asked for and was granted, in words
	Installed time.Time `json:"installed"`
	Worked    bool      `json:"worked,omitempty"` // a channel of it has started
	Broke     string    `json:"broke,omitempty"`  // why it was taken back at its start
}

// Module is what is installed under one id.
type Module struct {
	ID      string    `json:"id"`
	Current Edition   `json:"current"`
	Before  []Edition `json:"before,omitempty"` // newest first
	// Dev: at least one of its versions came in without a trusted signature.
	// That stays until the module is removed.
	Dev bool `json:"dev,omitempty"`
	// Quarantined says why it does not run; "": it may. It is not stored.
	Quarantined string `json:"quarantined,omitempty"`
}

// Find returns what is installed under an id, or ErrUnknown.
func (s *Shelf) Find(ctx context.Context, id string) (Module, error) {
	m, _, err := s.find(ctx, id)
	return m, err
}

func (s *Shelf) find(ctx context.Context, id string) (m Module, version int64, err error) {
	e, err := s.store.Get(ctx, moduleSpace, id)
	if err != nil {
		return m, 0, err
	}
	if e.Version == 0 {
		return m, 0, fmt.Errorf("module %q: %w", id, ErrUnknown)
	}
	if err := json.Unmarshal(e.Value, &m); err != nil {
		return m, 0, fmt.Errorf("module %q: %w", id, err)
	}
	m.Quarantined, err = s.quarantined(ctx, m.Current)
	return m, e.Version, err
}

// quarantined says why an edition must not run.
func (s *Shelf) quarantined(ctx context.Context, e Edition) (string, error) {
	if e.Publisher == "" {
		return "", nil
	}
	standing, err := s.standing(ctx, e.Publisher)
	if err != nil || standing != module.Revoked {
		return "", err
	}
	return "its publisher, " + e.Publisher + ", was revoked", nil
}

// List returns all installed modules by id.
func (s *Shelf) List(ctx context.Context) ([]Module, error) {
	all, err := list[Module](ctx, s.store, moduleSpace)
	for i := range all {
		if err == nil {
			all[i].Quarantined, err = s.quarantined(ctx, all[i].Current)
		}
	}
	return all, err
}

// Package returns the package of an edition.
func (s *Shelf) Package(ctx context.Context, e Edition) ([]byte, error) {
	b := make([]byte, 0, e.Size)
	for len(b) < e.Size {
		row, err := s.store.Get(ctx, packageSpace, pieceKey(e.Sum, len(b)/pieceSize))
		if err != nil {
			return nil, err
		}
		if len(row.Value) == 0 {
			return nil, fmt.Errorf("the package of version %s is not here any more; install it again", e.Version)
		}
		b = append(b, row.Value...)
	}
	if Sum(b) != e.Sum {
		return nil, fmt.Errorf("the package of version %s is damaged; install it again", e.Version)
	}
	return b, nil
}

func pieceKey(sum string, n int) string { return fmt.Sprintf("%s/%04d", sum, n) }

// Sum is how a package is named: its SHA-256 in hexadecimal.
func Sum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// pieces are the writes that keep a package, or remove it.
func pieces(e Edition, b []byte) []kv.Write {
	var out []kv.Write
	for n := 0; n*pieceSize < e.Size; n++ {
		w := kv.Write{Space: packageSpace, Key: pieceKey(e.Sum, n)}
		if b != nil {
			w.Value = b[n*pieceSize : min((n+1)*pieceSize, len(b))]
		}
		out = append(out, w)
	}
	return out
}

// commit writes a module together with changes of packages.
func (s *Shelf) commit(ctx context.Context, m Module, version int64, more []kv.Write) error {
	m.Quarantined = ""
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	w := kv.Write{Space: moduleSpace, Key: m.ID, If: condition(version), Value: b}
	return s.store.Write(ctx, append(more, w)...)
}

// settle does a change anew when somebody else has changed the module in between.
// That happens when it is not meant: a gateway notes that a version has worked
// while a person upgrades it. Each try looks at the module as it is then, and
// refuses what has become impossible.
func settle(ctx context.Context, change func() (Module, error)) (m Module, err error) {
	for range tries {
		if m, err = change(); !errors.Is(err, kv.ErrConflict) || ctx.Err() != nil {
			return m, err
		}
	}
	return m, changed(err)
}

// Rollback puts an earlier version back into use, the last one for "". What is
// in use now stays on the shelf.
func (s *Shelf) Rollback(ctx context.Context, id, to string) (Module, error) {
	return settle(ctx, func() (Module, error) { return s.rollback(ctx, id, to) })
}

func (s *Shelf) rollback(ctx context.Context, id, to string) (Module, error) {
	m, version, err := s.find(ctx, id)
	if err != nil {
		return Module{}, err
	}
	at := slices.IndexFunc(m.Before, func(e Edition) bool { return to == "" || e.Version == to })
	if at < 0 {
		return Module{}, fmt.Errorf("%w: module %s has no earlier version %s; it has %s", ErrRefused, id, to, versions(m.Before))
	}
	back := m.Before[at]
	if why, err := s.quarantined(ctx, back); err != nil || why != "" {
		return Module{}, errors.Join(err, fmt.Errorf("%w: version %s: %s", ErrRefused, back.Version, why))
	}
	m.back(at)
	if err := s.commit(ctx, m, version, nil); err != nil {
		return Module{}, err
	}
	return s.Find(ctx, id)
}

func versions(all []Edition) string {
	var names []string
	for _, e := range all {
		names = append(names, e.Version)
	}
	return cmp.Or(strings.Join(names, ", "), "none")
}

// Remove takes a module and all its versions away for good. That nothing uses it
// is for the caller to see to.
func (s *Shelf) Remove(ctx context.Context, id string) error {
	_, err := settle(ctx, func() (Module, error) { return s.remove(ctx, id) })
	return err
}

func (s *Shelf) remove(ctx context.Context, id string) (Module, error) {
	m, version, err := s.find(ctx, id)
	if err != nil {
		return Module{}, err
	}
	writes := []kv.Write{{Space: moduleSpace, Key: id, If: version}}
	for _, e := range append([]Edition{m.Current}, m.Before...) {
		writes = append(writes, pieces(e, nil)...)
	}
	return m, s.store.Write(ctx, writes...)
}
