package session

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// IDs lists the sessions of a workspace in which something stands.
func (b *Book) IDs(ctx context.Context, workspace string) ([]ID, error) {
	var all []ID
	after := ""
	for {
		rows, err := b.store.List(ctx, entries, string(roomID(workspace, "")), after, 1)
		if err != nil || len(rows) == 0 {
			return all, err
		}
		name, _, _ := strings.Cut(rows[0].Key, separator)
		all, after = append(all, ID(name)), name+separator+pastEntries
	}
}

// DirectOf is the conversation of a session that is a member's alone.
func (id ID) DirectOf(workspace, member string) (conversation string, ok bool) {
	rest, ok := strings.CutPrefix(string(id), string(roomID(workspace, "")))
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "|"+strings.ReplaceAll(url.PathEscape(member), separator, "%21"))
}

// Without makes the writes that take a member out of a session: all of their
// own; of a room's what they said, what was said in turns in which nobody else
// spoke, and the summaries, which may tell of it. They belong in one commit.
func (b *Book) Without(ctx context.Context, id ID, workspace, member string) ([]kv.Write, error) {
	_, own := id.DirectOf(workspace, member)
	prefix, after := string(id)+separator, ""
	var writes []kv.Write
	spoke := map[string]bool{} // turn -> whether somebody else did, too
	var all []said
	for {
		rows, err := b.store.List(ctx, entries, prefix, after, 0)
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			break
		}
		for _, r := range rows {
			after = r.Key
			if own {
				writes = append(writes, kv.Write{Space: entries, Key: r.Key})
				continue
			}
			s := said{key: r.Key}
			if err := json.Unmarshal(r.Value, &s.Entry); err != nil {
				return nil, fmt.Errorf("session entry: %w", err)
			}
			all = append(all, s)
		}
	}
	if own {
		writes = append(writes, kv.Write{Space: metas, Key: string(id)})
	}
	for _, s := range all {
		if s.Role == agent.User && s.Member == member {
			spoke[s.turn()] = false
		}
	}
	for _, s := range all {
		if _, theirs := spoke[s.turn()]; theirs && s.Role == agent.User && s.Member != member {
			spoke[s.turn()] = true
		}
	}
	for _, s := range all {
		others, theirs := spoke[s.turn()]
		if theirs && (!others || s.Member == member) || s.Role == agent.Summary && len(spoke) > 0 {
			writes = append(writes, kv.Write{Space: entries, Key: s.key})
		}
	}
	if len(writes) > 0 {
		b.cache.drop(id)
	}
	return writes, nil
}

// said is an entry with its key.
type said struct {
	agent.Entry
	key string
}

// turn is the part of the key that the entries of one turn share.
func (s said) turn() string {
	turn, _, _ := strings.Cut(s.key[strings.Index(s.key, separator)+1:], ".")
	return turn
}
