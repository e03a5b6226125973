package store

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-chat/gatehouse/internal/scope"
	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/internal/words"
)

// The limits of an item.
const (
	maxText  = 8 << 20 // bytes
	maxTitle = 300
	maxURI   = 2000
	maxTags  = 20
	maxTag   = 60
	maxID    = 64
	maxBatch = 1000 // items at once
)

// newID makes an id that a person can type.
func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails; see crypto/rand
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))[:12]
}

// Remember implements [memory.Store].
func (s *Store) Remember(ctx context.Context, sc scope.Scope, items ...memory.Item) ([]string, error) {
	all := make([]Listed, len(items))
	for i := range items {
		all[i].Item = items[i]
		all[i].Member = "" // whoever keeps it
	}
	return s.Restore(ctx, sc, all...)
}

// Restore is Remember for what was listed: those who administer put what is
// shared back to where it was, as the words of whose they were.
func (s *Store) Restore(ctx context.Context, sc scope.Scope, items ...Listed) ([]string, error) {
	if err := valid(sc); err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, nil
	}
	if len(items) > maxBatch {
		return nil, fmt.Errorf("%w: more than %d at once", memory.ErrItem, maxBatch)
	}
	before, err := s.replaced(ctx, sc, items)
	if err != nil {
		return nil, err
	}
	rows := make([]Row, len(items))
	ids := make([]string, len(items))
	units := make([]Unit, len(items))
	for i := range items {
		it := items[i].Item
		if err := s.fill(sc, &it, before[it.ID]); err != nil {
			return nil, err
		}
		if units[i], err = place(sc, &it, items[i].Where, before[it.ID]); err != nil {
			return nil, err
		}
		ids[i] = it.ID
		if rows[i], err = s.row(ctx, units[i].Workspace, &it); err != nil {
			return nil, err
		}
	}
	found, err := s.engine.Units(ctx, units, Make)
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	for i := range rows {
		rows[i].Unit = found[i].ID
	}
	if err := s.engine.Put(ctx, rows); err != nil {
		return nil, fmt.Errorf("memory: keep: %w", err)
	}
	s.ring()
	return ids, nil
}

// replaced finds the items whose place is taken, and refuses those that the
// scope may not change.
func (s *Store) replaced(ctx context.Context, sc scope.Scope, items []Listed) (map[string]*Row, error) {
	var ids []string
	for i := range items {
		if id := items[i].ID; id != "" {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := s.engine.Rows(ctx, Filter{All: true, IDs: ids})
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	out := map[string]*Row{}
	for i := range rows {
		if !mayChange(sc, &rows[i]) {
			return nil, fmt.Errorf("%w: %s is not yours to change", memory.ErrDenied, rows[i].ID)
		}
		out[rows[i].ID] = &rows[i]
	}
	return out, nil
}

// place is the unit of an item. One that is replaced stays in its unit, unless
// it is given another reach.
func place(sc scope.Scope, it *memory.Item, where string, before *Row) (Unit, error) {
	if before != nil && it.Reach == before.Of.Reach {
		return before.Of, nil
	}
	if where != "" && sc.Role().Administers() && (it.Reach == memory.Conversation || it.Reach == memory.Channel) {
		return Unit{Workspace: sc.Workspace(), Reach: it.Reach, Name: where}, nil
	}
	return writable(sc, it.Reach)
}

// fill completes an item and checks it.
func (s *Store) fill(sc scope.Scope, it *memory.Item, before *Row) error {
	if it.ID == "" {
		it.ID = newID()
	}
	if it.Member == "" || it.Reach == memory.Private || !sc.Role().Administers() {
		it.Member = sc.Member()
	}
	if before != nil {
		it.Member = before.Member
		it.Label = worse(it.Label, before.Label) // an edit does not vouch for what was there
	}
	if it.At.IsZero() {
		it.At = s.o.Now()
	}
	it.Text = strings.TrimSpace(strings.ToValidUTF8(it.Text, "\uFFFD"))
	it.Text = strings.ReplaceAll(it.Text, "\x00", "")
	it.Title = strings.Join(strings.Fields(strings.ToValidUTF8(it.Title, "\uFFFD")), " ")
	switch {
	case it.Text == "":
		return fmt.Errorf("%w: it has no text", memory.ErrItem)
	case len(it.Text) > maxText:
		return fmt.Errorf("%w: a text has %d bytes at most", memory.ErrItem, maxText)
	case len(it.Title) > maxTitle, len(it.URI) > maxURI, len(it.Source) > maxURI, len(it.ID) > maxID:
		return fmt.Errorf("%w: its title, address, source or id is too long", memory.ErrItem)
	case len(it.Tags) > maxTags, slices.ContainsFunc(it.Tags, badTag):
		return fmt.Errorf("%w: %d tags at most, each of one to %d bytes without commas", memory.ErrItem, maxTags, maxTag)
	case !slices.Contains([]memory.Kind{memory.Fact, memory.Note, memory.Document, memory.Digest}, it.Kind):
		return fmt.Errorf("%w: no kind %q", memory.ErrItem, it.Kind)
	case rankOf(it.Label) < 0:
		return fmt.Errorf("%w: no label %q", memory.ErrItem, it.Label)
	}
	return nil
}

func badTag(t string) bool {
	return t == "" || len(t) > maxTag || strings.ContainsAny(t, ",\x00\n") || !utf8.ValidString(t)
}

func rankOf(l memory.Label) int {
	return slices.Index([]memory.Label{memory.Trusted, memory.ByMember, memory.Untrusted}, l)
}

// worse is the less trusted of two labels. One that is not known stays, for the
// check to find.
func worse(a, b memory.Label) memory.Label {
	if rankOf(a) >= 0 && rankOf(b) > rankOf(a) {
		return b
	}
	return a
}

// row cuts an item into what is kept of it.
func (s *Store) row(ctx context.Context, workspace string, it *memory.Item) (Row, error) {
	r := Row{
		ID: it.ID, Kind: it.Kind, Label: it.Label, Member: it.Member, At: micros(it.At), Until: micros(it.Until),
		Tags: it.Tags, Sealed: s.o.Seal,
	}
	chunks := s.o.Cut(it.Kind, it.Text)
	if len(chunks) == 0 {
		chunks = whole(it.Kind, it.Text)
	}
	b := body{Title: it.Title, Source: it.Source, URI: it.URI, Of: it.Of}
	if r.Sealed {
		r.Tags, b.Tags = nil, it.Tags
	}
	raw, err := json.Marshal(b)
	if err != nil {
		return r, err
	}
	if r.Body, err = s.seal(ctx, workspace, raw, itemPlace(it.ID)); err != nil {
		return r, err
	}
	if len(chunks) > 1 || chunks[0].Text != it.Text {
		if r.Text, err = s.seal(ctx, workspace, []byte(it.Text), textPlace(it.ID)); err != nil {
			return r, err
		}
	}
	for i, c := range chunks {
		heading := c.Heading
		if it.Title != "" && !strings.HasPrefix(heading, it.Title) {
			heading = strings.TrimSuffix(it.Title+"\n"+heading, "\n")
		}
		plain := JoinBody(heading, c.Text)
		kept := Chunk{Index: i, Start: c.Start, End: c.End}
		if !r.Sealed {
			kept.Words = words.Split(string(plain))
		}
		if kept.Body, err = s.seal(ctx, workspace, plain, chunkPlace(it.ID, i)); err != nil {
			return r, err
		}
		r.Chunks = append(r.Chunks, kept)
	}
	return r, nil
}

func (s *Store) seal(ctx context.Context, workspace string, plain []byte, place []string) ([]byte, error) {
	if !s.o.Seal {
		return plain, nil
	}
	if s.o.Seals == nil {
		return nil, errSealed
	}
	return s.o.Seals.SealContent(ctx, nil, workspace, plain, place...)
}

// Forget implements [memory.Store].
func (s *Store) Forget(ctx context.Context, sc scope.Scope, ids ...string) (int, error) {
	if err := valid(sc); err != nil || len(ids) == 0 {
		return 0, err
	}
	rows, err := s.visible(ctx, sc, ids)
	if err != nil {
		return 0, err
	}
	var may []string
	var units []int64
	for i := range rows {
		if mayChange(sc, &rows[i]) {
			may, units = append(may, rows[i].ID), append(units, rows[i].Unit)
		}
	}
	if len(may) == 0 {
		return 0, nil
	}
	n, err := s.engine.Remove(ctx, Filter{Units: units, IDs: may})
	if err != nil {
		return n, fmt.Errorf("memory: forget: %w", err)
	}
	return n, nil
}

// visible fetches items by id, of those units that the scope reads or looks
// after.
func (s *Store) visible(ctx context.Context, sc scope.Scope, ids []string) ([]Row, error) {
	units, err := s.found(ctx, sc, "", true)
	if err != nil || len(units) == 0 {
		return nil, err
	}
	rows, err := s.engine.Rows(ctx, Filter{Units: idsOf(units), IDs: ids, Whole: true})
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	return rows, nil
}
