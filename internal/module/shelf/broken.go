package shelf

import (
	"context"
	"slices"
)

// Worked notes that an edition has run, in use or on the shelf. It is then never
// taken back by itself.
func (s *Shelf) Worked(ctx context.Context, id, sum string) error {
	_, err := settle(ctx, func() (Module, error) { return s.worked(ctx, id, sum) })
	return err
}

func (s *Shelf) worked(ctx context.Context, id, sum string) (Module, error) {
	m, version, err := s.find(ctx, id)
	if err != nil {
		return Module{}, err
	}
	e := m.edition(sum)
	if e == nil || e.Worked {
		return m, nil
	}
	e.Worked = true
	return m, s.commit(ctx, m, version, nil)
}

// Works reports whether an edition is known, and has run.
func (m *Module) Works(sum string) (known, worked bool) {
	e := m.edition(sum)
	return e != nil, e != nil && e.Worked
}

// edition finds one by its sum; nil if there is none.
func (m *Module) edition(sum string) *Edition {
	if m.Current.Sum == sum {
		return &m.Current
	}
	for i := range m.Before {
		if m.Before[i].Sum == sum {
			return &m.Before[i]
		}
	}
	return nil
}

// TakeBack puts the last version back into use that has worked, in place of an
// edition that broke at its start. Without one it changes nothing. Why stays with
// the edition, for people.
func (s *Shelf) TakeBack(ctx context.Context, id, sum, why string) (Module, error) {
	return settle(ctx, func() (Module, error) { return s.takeBack(ctx, id, sum, why) })
}

func (s *Shelf) takeBack(ctx context.Context, id, sum, why string) (Module, error) {
	m, version, err := s.find(ctx, id)
	if err != nil || m.Current.Sum != sum {
		return m, err
	}
	at := slices.IndexFunc(m.Before, func(e Edition) bool { return e.Worked })
	if at < 0 {
		return m, nil
	}
	if barred, err := s.quarantined(ctx, m.Before[at]); err != nil || barred != "" {
		return m, err
	}
	m.Current.Broke = why
	m.back(at)
	if err := s.commit(ctx, m, version, nil); err != nil {
		return Module{}, err
	}
	return s.Find(ctx, id)
}

// back puts an earlier edition into use; the one that was stays on the shelf.
func (m *Module) back(at int) {
	e := m.Before[at]
	m.Before = slices.Insert(slices.Delete(m.Before, at, at+1), 0, m.Current)
	m.Current = e
}
