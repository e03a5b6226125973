package config

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// immutable refuses what is a name in the place of an id: names can be given up
// and taken by somebody else. n may be nil when the path says where it stands.
func (r *reader) immutable(n ast.Node, path, id string) {
	switch {
	case strings.TrimSpace(id) != id || id == "":
		r.fault(n, path, "here belongs an id; an empty one allows nobody")
	case id == "*":
		r.fault(n, path, "here belong ids; to let everybody in, set 'dm: open' or 'groups: open'")
	case isMatrix(id):
	case strings.HasPrefix(id, "@"), strings.HasPrefix(id, "#"), strings.HasPrefix(id, "+"), strings.Contains(id, "t.me/"), strings.ContainsAny(id, " \t"):
		r.fault(n, path, "%q is a name, and names can be taken over by others; write the id that never changes: "+
			"/whoami shows a person's and a room's, and `gatehouse rooms list` shows the rooms that the bot has seen", id)
	}
}

// isMatrix reports whether an id is a person's on Matrix, @name:server, which is
// never given to anybody else. Handles of other platforms have no colon.
func isMatrix(id string) bool {
	name, server, ok := strings.Cut(id, ":")
	return ok && len(name) > 1 && name[0] == '@' && server != "" && !strings.ContainsAny(id, " \t")
}

// people looks at who is let in, and where.
func (r *reader) people(c *Config) {
	for id, ch := range c.Channels {
		at := "channels." + id
		for i, who := range ch.Allow {
			r.immutable(nil, fmt.Sprintf("%s.allow[%d]", at, i), who)
		}
		if ch.Workspace != "" && !validWorkspace(ch.Workspace) {
			r.plain(at+".workspace", "a workspace's id has 1 to 40 of a-z, 0-9, - and _; `gatehouse workspaces list` shows them")
		}
		r.replyTo(c, id, ch)
		for room, set := range ch.Rooms {
			at := at + ".rooms." + room
			if set.Allow != nil {
				for i, who := range *set.Allow {
					r.immutable(nil, fmt.Sprintf("%s.allow[%d]", at, i), who)
				}
			}
			if _, ok := c.Models[set.Model]; set.Model != "" && !ok && len(c.Models) > 0 {
				r.plain(at+".model", fmt.Sprintf("%q is not under 'models'", set.Model))
			}
		}
		if len(ch.Rooms) > 0 && ch.Groups == "disabled" {
			r.plain(at+".rooms", "'groups: disabled' lets the bot into no room; remove the rooms, or set 'groups: allowlist'")
		}
	}
}

// replyTo looks that answers go to a place that exists and that the same people
// look after.
func (r *reader) replyTo(c *Config, id string, ch Channel) {
	at, to := "channels."+id+".reply_to", ch.ReplyTo
	other, ok := c.Channels[to.Channel]
	switch {
	case to == ReplyTo{}:
	case to.Channel == "" || to.Conversation == "":
		r.plain(at, "wants the 'channel' and the 'conversation' where answers go")
	case !ok || to.Channel == id:
		r.plain(at+".channel", fmt.Sprintf("%q is not another channel of this configuration", to.Channel))
	case other.Workspace != ch.Workspace:
		r.plain(at+".channel", fmt.Sprintf("%q belongs to another workspace", to.Channel))
	default:
		r.immutable(nil, at+".conversation", to.Conversation)
	}
}

func validWorkspace(id string) bool { return validName(id) && strings.ToLower(id) == id }
