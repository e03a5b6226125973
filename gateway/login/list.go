package login

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// entry is a link or a session as it is stored.
type entry struct {
	key     string
	version int64
	value   []byte
}

// all reads everything of one kind.
func (b *Book) all(ctx context.Context, kind string) ([]entry, error) {
	var list []entry
	after := ""
	for {
		rows, err := b.store.List(ctx, space, kind, after, 0)
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			return list, nil
		}
		for _, e := range rows {
			list = append(list, entry{e.Key, e.Version, e.Value})
			after = e.Key
		}
	}
}

// List lists the sessions that are not over, the last used first.
func (b *Book) List(ctx context.Context) ([]Session, error) {
	rows, err := b.all(ctx, sessions)
	if err != nil {
		return nil, err
	}
	list := []Session{}
	for _, e := range rows {
		var s session
		if json.Unmarshal(e.value, &s) != nil || !b.now().Before(s.ends()) {
			continue
		}
		list = append(list, Session{
			ID: idOf(e.key), Member: s.Member, Created: s.Created, Seen: s.Seen, Ends: s.ends(), Browser: s.Browser, Addr: s.Addr,
		})
	}
	slices.SortFunc(list, func(a, b Session) int { return cmp.Or(b.Seen.Compare(a.Seen), cmp.Compare(a.ID, b.ID)) })
	return list, nil
}

// Revoke ends one session by its ID, at once; ErrUnknown when there is none.
func (b *Book) Revoke(ctx context.Context, id string) error {
	rows, err := b.all(ctx, sessions)
	if err != nil {
		return err
	}
	if len(id) != idLength {
		return ErrUnknown
	}
	for _, e := range rows {
		if strings.HasPrefix(e.key, sessions+id) {
			return b.store.Write(ctx, kv.Write{Space: space, Key: e.key})
		}
	}
	return ErrUnknown
}

// RevokeMember ends every session of a member and makes their unused links
// worthless; an empty member means everybody. It returns how many sessions
// there were. Whoever leaves is logged out with it.
func (b *Book) RevokeMember(ctx context.Context, member string) (int, error) {
	ended := 0
	var gone []kv.Write
	for _, kind := range []string{links, sessions} {
		rows, err := b.all(ctx, kind)
		if err != nil {
			return 0, err
		}
		for _, e := range rows {
			var s session // a link has the member in the same place
			if json.Unmarshal(e.value, &s) == nil && member != "" && s.Member != member {
				continue
			}
			gone = append(gone, kv.Write{Space: space, Key: e.key})
			if kind == sessions {
				ended++
			}
		}
	}
	return ended, b.forget(ctx, gone)
}

// Sweep forgets links and sessions that are over.
func (b *Book) Sweep(ctx context.Context) error {
	var gone []kv.Write
	for _, kind := range []string{links, sessions} {
		rows, err := b.all(ctx, kind)
		if err != nil {
			return err
		}
		for _, e := range rows {
			if b.over(kind, e.value) {
				gone = append(gone, kv.Write{Space: space, Key: e.key, If: e.version})
			}
		}
	}
	return b.forget(ctx, gone)
}

func (b *Book) over(kind string, value []byte) bool {
	if kind == links {
		var l link
		return json.Unmarshal(value, &l) == nil && !b.now().Before(l.Expires)
	}
	var s session
	return json.Unmarshal(value, &s) == nil && !b.now().Before(s.ends())
}

func (b *Book) forget(ctx context.Context, gone []kv.Write) error {
	if len(gone) == 0 {
		return nil
	}
	return b.store.Write(ctx, gone...)
}
