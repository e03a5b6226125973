package codec

import (
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// World is what the gateway has told about places: which channel a thread
// belongs to, which role is the bot's own in a guild, in which threads it takes
// part. The places are told anew with each new session; roles and threads are
// kept ([Result].State) and read back with [World.Recall]. Use [NewWorld]. It
// is used by one goroutine at a time.
type World struct {
	places map[string]place
	roles  map[string][]string // by guild: the roles that mean the bot
	mine   map[string]bool     // threads in which the bot has spoken, or that it began
	direct map[string]string   // direct chats, and the day on which they were last used
	latest map[string]string   // by channel of the guild that was told last: its newest message
}

type place struct {
	guild, parent, name string
	kind                int
}

// maxPlaces bounds what is remembered. A place that is forgotten is looked up
// again.
const maxPlaces = 100_000

// The prefixes of what is kept.
const (
	KeepRoles   = "roles/"
	KeepThreads = "thread/"
	KeepDirect  = "direct/"
)

// NewWorld knows nothing.
func NewWorld() *World {
	return &World{places: map[string]place{}, roles: map[string][]string{}, mine: map[string]bool{}, direct: map[string]string{}}
}

// Recall reads what an earlier process kept.
func (w *World) Recall(kept []channels.Write) {
	for _, k := range kept {
		if id, ok := strings.CutPrefix(k.Key, KeepRoles); ok {
			w.roles[id] = strings.Fields(string(k.Value))
		}
		if id, ok := strings.CutPrefix(k.Key, KeepThreads); ok {
			w.mine[id] = true
		}
		if id, ok := strings.CutPrefix(k.Key, KeepDirect); ok {
			w.direct[id] = string(k.Value)
		}
	}
}

// Learn takes in a channel as the platform describes it. It reports false for
// what describes none.
func (w *World) Learn(data []byte) bool {
	c, err := parse[channel](data)
	if err != nil || c.ID == "" {
		return false
	}
	w.learn(&c, c.GuildID)
	return true
}

// Assume remembers a channel that cannot be looked up as one that belongs to
// nothing.
func (w *World) Assume(id string) { w.put(id, place{}) }

func (w *World) learn(c *channel, guild string) {
	if c.ID != "" {
		w.put(c.ID, place{guild: guild, parent: c.ParentID, name: c.Name, kind: c.Type})
	}
}

func (w *World) put(id string, p place) {
	if len(w.places) >= maxPlaces {
		clear(w.places)
	}
	w.places[id] = p
}

// told takes in what a dispatch says about places. known is false for one that
// says nothing about them.
func (w *World) told(self Self, kind string, data []byte) (known bool, state []channels.Write) {
	switch kind {
	case "GUILD_CREATE":
		if g, err := parse[guild](data); err == nil {
			state = w.guild(self, &g)
		}
	case "GUILD_ROLE_CREATE", "GUILD_ROLE_UPDATE":
		if r, err := parse[struct {
			Guild string `json:"guild_id"`
			Role  role   `json:"role"`
		}](data); err == nil && r.Role.Tags.BotID == self.ID && !slices.Contains(w.roles[r.Guild], r.Role.ID) {
			state = w.setRoles(r.Guild, append(w.roles[r.Guild], r.Role.ID))
		}
	case "CHANNEL_CREATE", "CHANNEL_UPDATE":
		w.Learn(data)
	case "THREAD_CREATE", "THREAD_UPDATE":
		if c, err := parse[channel](data); err == nil {
			w.learn(&c, c.GuildID)
			if c.OwnerID == self.ID && isThread(c.Type) {
				state = w.joined(c.ID)
			}
		}
	case "THREAD_LIST_SYNC":
		if s, err := parse[guild](data); err == nil {
			for i := range s.Threads {
				w.learn(&s.Threads[i], s.Threads[i].GuildID)
			}
		}
	case "THREAD_DELETE", "CHANNEL_DELETE":
		if c, err := parse[channel](data); err == nil {
			state = w.removed(c.ID)
		}
	default:
		return false, nil
	}
	return true, state
}

// guild takes in all that a guild has. The bot's own role is the one that its
// invitation made; roles that it was given among others do not mean it.
func (w *World) guild(self Self, g *guild) (state []channels.Write) {
	w.latest = map[string]string{}
	for _, list := range [][]channel{g.Channels, g.Threads} {
		for i := range list {
			c := &list[i]
			w.learn(c, g.ID)
			if c.LastMessage != "" {
				w.latest[c.ID] = c.LastMessage
			}
			if isThread(c.Type) && c.OwnerID == self.ID {
				state = append(state, w.joined(c.ID)...)
			}
		}
	}
	var own []string
	for _, r := range g.Roles {
		if r.Tags.BotID == self.ID {
			own = append(own, r.ID)
		}
	}
	return append(state, w.setRoles(g.ID, own)...)
}

func (w *World) setRoles(guild string, roles []string) []channels.Write {
	if guild == "" || slices.Equal(w.roles[guild], roles) {
		return nil
	}
	w.roles[guild] = roles
	return []channels.Write{{Key: KeepRoles + guild, Value: []byte(strings.Join(roles, " "))}}
}

// joined notes that the bot takes part in a thread.
func (w *World) joined(id string) []channels.Write {
	if id == "" || w.mine[id] {
		return nil
	}
	w.mine[id] = true
	return []channels.Write{{Key: KeepThreads + id, Value: []byte("1")}}
}

// met notes that a direct chat is in use, at most once a day.
func (w *World) met(id, day string) []channels.Write {
	if w.direct[id] >= day {
		return nil
	}
	w.direct[id] = day
	return []channels.Write{{Key: KeepDirect + id, Value: []byte(day)}}
}

func (w *World) removed(id string) []channels.Write {
	delete(w.places, id)
	if !w.mine[id] {
		return nil
	}
	delete(w.mine, id)
	return []channels.Write{{Key: KeepThreads + id}}
}

// Behind lists the channels of the guild that was told last in which something
// was said after an id, oldest id first.
func (w *World) Behind(after string) []string {
	var ids []string
	for id, newest := range w.latest {
		if Newer(newest, after) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Direct lists up to n direct chats, the one used last first.
func (w *World) Direct(n int) []string {
	ids := make([]string, 0, len(w.direct))
	for id := range w.direct {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int {
		if c := strings.Compare(w.direct[b], w.direct[a]); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	return ids[:min(n, len(ids))]
}
