package shelf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
	"github.com/gatehouse-chat/gatehouse/internal/module"
)

const publisherSpace = "publisher"

// Publisher is a key that the operator has an opinion of.
type Publisher struct {
	Key     string    `json:"key"`            // ed25519:...
	Name    string    `json:"name,omitempty"` // as the operator calls it
	Added   time.Time `json:"added"`
	Revoked time.Time `json:"revoked,omitzero"` // its modules are quarantined since then
}

var _ module.Trust = (*Shelf)(nil)

// Standing implements module.Trust.
func (s *Shelf) Standing(ctx context.Context, p module.Publisher) (module.Standing, error) {
	return s.standing(ctx, p.String())
}

func (s *Shelf) standing(ctx context.Context, key string) (module.Standing, error) {
	p, _, err := s.publisher(ctx, key)
	switch {
	case errors.Is(err, ErrUnknown):
		return module.Unknown, nil
	case err != nil:
		return module.Unknown, err
	case !p.Revoked.IsZero():
		return module.Revoked, nil
	}
	return module.Trusted, nil
}

func (s *Shelf) publisher(ctx context.Context, key string) (p Publisher, version int64, err error) {
	e, err := s.store.Get(ctx, publisherSpace, key)
	if err != nil {
		return p, 0, err
	}
	if e.Version == 0 {
		return p, 0, fmt.Errorf("publisher %s: %w", key, ErrUnknown)
	}
	return p, e.Version, json.Unmarshal(e.Value, &p)
}

// Publishers lists them by key, the revoked ones too.
func (s *Shelf) Publishers(ctx context.Context) ([]Publisher, error) {
	return list[Publisher](ctx, s.store, publisherSpace)
}

// Trust lets a publisher's modules be installed. One that was revoked is
// trusted again, and its modules run again.
func (s *Shelf) Trust(ctx context.Context, key, name string) error {
	k, err := module.ParsePublisher(key)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if len(name) > 100 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return fmt.Errorf("%w: a publisher's name has at most 100 characters, in one line", ErrRefused)
	}
	old, version, err := s.publisher(ctx, k.String())
	if err != nil && !errors.Is(err, ErrUnknown) {
		return err
	}
	if old.Key == "" {
		old = Publisher{Key: k.String(), Added: s.now().UTC()}
	}
	if name != "" {
		old.Name = name
	}
	old.Revoked = time.Time{}
	return s.write(ctx, publisherSpace, old.Key, version, old)
}

// Revoke quarantines every module of a publisher, now and later. A key that
// nobody trusted can be revoked too.
func (s *Shelf) Revoke(ctx context.Context, key string) error {
	k, err := module.ParsePublisher(key)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	old, version, err := s.publisher(ctx, k.String())
	if err != nil && !errors.Is(err, ErrUnknown) {
		return err
	}
	if old.Key == "" {
		old = Publisher{Key: k.String(), Added: s.now().UTC()}
	}
	if old.Revoked.IsZero() {
		old.Revoked = s.now().UTC()
	}
	return s.write(ctx, publisherSpace, old.Key, version, old)
}

// write puts one value on the condition that nobody else has changed it since.
func (s *Shelf) write(ctx context.Context, space, key string, version int64, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return changed(s.store.Write(ctx, kv.Write{Space: space, Key: key, If: condition(version), Value: b}))
}

func condition(version int64) int64 {
	if version == 0 {
		return kv.Absent
	}
	return version
}

func changed(err error) error {
	if errors.Is(err, kv.ErrConflict) {
		return fmt.Errorf("%w: somebody else changed it at the same time; look again", ErrRefused)
	}
	return err
}

func list[T any](ctx context.Context, store kv.Reader, space string) ([]T, error) {
	var all []T
	for after := ""; ; {
		rows, err := store.List(ctx, space, "", after, 0)
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			return all, nil
		}
		for _, r := range rows {
			var v T
			if err := json.Unmarshal(r.Value, &v); err != nil {
				return nil, fmt.Errorf("read %s %s: %w", space, r.Key, err)
			}
			all = append(all, v)
		}
		after = rows[len(rows)-1].Key
	}
}
