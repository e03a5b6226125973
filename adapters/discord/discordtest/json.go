package discordtest

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

func (u *User) json() map[string]any {
	d := map[string]any{
		"id": u.ID, "username": strings.ToLower(strings.ReplaceAll(u.Name, " ", "")), "global_name": u.Name,
		"discriminator": "0", "avatar": nil, "public_flags": 0,
	}
	if u.Bot {
		d["bot"], d["username"], d["global_name"] = true, u.Name, nil
	}
	return d
}

func (c *Channel) json() map[string]any {
	d := map[string]any{"id": c.ID, "type": c.Kind, "flags": 0, "last_message_id": nil}
	if n := len(c.messages); n > 0 {
		d["last_message_id"] = c.messages[n-1].ID
	}
	if c.Guild == nil {
		d["recipients"] = []any{c.person.json()}
		return d
	}
	d["guild_id"], d["name"], d["position"], d["permission_overwrites"] = c.Guild.ID, c.Name, 0, []any{}
	if c.Parent != nil {
		d["parent_id"] = c.Parent.ID
		d["thread_metadata"] = map[string]any{"archived": c.archived, "auto_archive_duration": 1440, "archive_timestamp": stamp(c.ID), "locked": false}
		d["message_count"], d["member_count"] = len(c.messages), 1
		if c.owner != nil {
			d["owner_id"] = c.owner.ID
		}
	}
	return d
}

// full is what a session is told of a guild.
func (g *Guild) full() map[string]any {
	rooms, threads := []any{}, []any{}
	for _, c := range g.channels {
		if c.Kind == Public {
			threads = append(threads, c.json())
		} else {
			rooms = append(rooms, c.json())
		}
	}
	return map[string]any{
		"id": g.ID, "name": g.Name, "unavailable": false, "large": false, "member_count": 3, "joined_at": stamp(g.ID),
		"channels": rooms, "threads": threads, "members": []any{}, "presences": []any{}, "voice_states": []any{},
		"emojis": []any{}, "stickers": []any{}, "features": []string{}, "owner_id": "1",
		"roles": []any{
			map[string]any{"id": g.ID, "name": "@everyone", "permissions": "0", "position": 0},
			map[string]any{"id": g.Role, "name": "Helper", "permissions": "0", "position": 1, "managed": true, "tags": map[string]any{"bot_id": g.s.bot.ID}},
		},
	}
}

var inMention = regexp.MustCompile(`<@[!&]?(\d+)>`)

// mentioned are the people and roles that a text names, each once.
func (s *Server) mentioned(m *Message) (people []any, roles []string) {
	people, roles = []any{}, []string{}
	seen := map[string]bool{}
	for _, x := range inMention.FindAllStringSubmatch(m.Content, -1) {
		if seen[x[0]] {
			continue
		}
		seen[x[0]] = true
		if strings.HasPrefix(x[0], "<@&") {
			roles = append(roles, x[1])
		} else if u := s.users[x[1]]; u != nil {
			people = append(people, u.json())
		}
	}
	return people, roles
}

// pings are those that a message notifies. allowed is nil for people, whom
// nothing holds back.
func pings(m *Message, allowed *allowedMentions) (ids []string) {
	for _, x := range inMention.FindAllStringSubmatch(m.Content, -1) {
		kind := "users"
		if strings.HasPrefix(x[0], "<@&") {
			kind = "roles"
		}
		if allowed.lets(kind, x[1]) {
			ids = append(ids, x[1])
		}
	}
	if strings.Contains(m.Content, "@everyone") && allowed.lets("everyone", "") {
		ids = append(ids, "everyone")
	}
	if q := m.Channel.find(m.ReplyTo); q != nil && (allowed == nil || allowed.Replied) {
		ids = append(ids, q.Author.ID)
	}
	return ids
}

type allowedMentions struct {
	Parse   []string `json:"parse"`
	Users   []string `json:"users"`
	Roles   []string `json:"roles"`
	Replied bool     `json:"replied_user"`
}

func (a *allowedMentions) lets(kind, id string) bool {
	if a == nil || slices.Contains(a.Parse, kind) {
		return true
	}
	return kind == "users" && slices.Contains(a.Users, id) || kind == "roles" && slices.Contains(a.Roles, id)
}

// where is who is told of something.
type where struct {
	guild  *Guild
	intent int
	// message: without the intent for it, content is left out.
	message *Message
}

func (m *Message) where() where {
	w := where{guild: m.Channel.Guild, intent: intentMessages, message: m}
	if w.guild == nil {
		w.intent = intentDirect
	}
	return w
}

// json is a message as a dispatch has it, or with dispatch false as the REST
// API answers. The caller holds the lock.
func (m *Message) json(dispatch bool) map[string]any {
	s := m.Channel.s
	people, roles := s.mentioned(m)
	q := m.Channel.find(m.ReplyTo)
	if q != nil && m.Kind == 19 && slices.Contains(m.Pinged, q.Author.ID) {
		people = append(people, q.Author.json())
	}
	d := map[string]any{
		"id": m.ID, "type": m.Kind, "channel_id": m.Channel.ID, "author": m.Author.json(), "content": m.Content,
		"timestamp": stamp(m.ID), "edited_timestamp": nil, "tts": false, "pinned": false, "flags": m.Flags,
		"mention_everyone": false, "mentions": people, "mention_roles": roles, "embeds": []any{},
		"attachments": m.attachments(), "components": m.components(),
	}
	if m.Edits > 0 {
		d["edited_timestamp"] = m.Edited.UTC().Format("2006-01-02T15:04:05.000000-07:00")
	}
	if m.Nonce != "" && dispatch {
		d["nonce"] = m.Nonce
	}
	if len(m.Reactions) > 0 && !dispatch {
		d["reactions"] = m.reactions()
	}
	if m.Channel.Guild != nil && dispatch {
		d["guild_id"], d["channel_type"] = m.Channel.Guild.ID, m.Channel.Kind
		d["member"] = map[string]any{"roles": []string{}, "nick": nil, "joined_at": stamp(m.Channel.Guild.ID)}
	}
	if m.ReplyTo != "" {
		d["message_reference"] = map[string]any{"type": 0, "message_id": m.ReplyTo, "channel_id": m.Channel.ID}
		d["referenced_message"] = nil
		if q != nil {
			inner := q.json(false)
			delete(inner, "referenced_message")
			d["referenced_message"] = inner
		}
	}
	if m.loading {
		d["flags"] = m.Flags | 1<<7
	}
	if m.token != "" {
		d["application_id"], d["webhook_id"] = s.app, s.app
	}
	return d
}

func (m *Message) attachments() []any {
	out := []any{}
	for _, f := range m.Files {
		name := sanitized(f.Name)
		a := map[string]any{
			"id": f.ID, "filename": name, "size": len(f.Body), "content_type": f.MIME,
			"url":       fmt.Sprintf("http://%s/api/v10/attachments/%s/%s/%s?ex=%x", m.Channel.s.web.Addr(), m.Channel.ID, f.ID, name, time.Now().Add(24*time.Hour).Unix()),
			"proxy_url": "http://" + m.Channel.s.web.Addr() + "/proxied",
		}
		if name != f.Name {
			a["title"] = strings.TrimSuffix(f.Name, path.Ext(f.Name))
		}
		out = append(out, a)
	}
	return out
}

// sanitized is the name under which the platform keeps a file.
func sanitized(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		if r == ' ' {
			return '_'
		}
		return -1
	}, name)
}

func (m *Message) components() []any {
	out := []any{}
	for row := range slices.Chunk(m.Buttons, 5) {
		var list []any
		for _, b := range row {
			x := map[string]any{"type": 2, "style": b.Style, "label": b.Label}
			if b.URL != "" {
				x["url"] = b.URL
			} else {
				x["custom_id"] = b.ID
			}
			list = append(list, x)
		}
		out = append(out, map[string]any{"type": 1, "components": list})
	}
	return out
}

func (m *Message) reactions() []any {
	out := []any{}
	for emoji, who := range m.Reactions {
		if len(who) == 0 {
			continue
		}
		name, id, _ := strings.Cut(emoji, ":")
		e := map[string]any{"name": name, "id": nil}
		if id != "" {
			e["id"] = id
		}
		out = append(out, map[string]any{"count": len(who), "me": slices.Contains(who, m.Channel.s.bot.ID), "emoji": e})
	}
	return out
}
