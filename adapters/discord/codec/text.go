package codec

import (
	"strconv"
	"strings"
	"time"
)

// plain writes the platform's own marks, <@1>, <#2>, <:name:3> and the like,
// as people see them. The rest of Discord's markup is close to CommonMark and
// stays as it is.
func (d *decoder) plain(text string, m *message) string {
	if !strings.Contains(text, "<") {
		return text
	}
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "<")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		if shown, after, ok := d.mark(rest, m); ok {
			b.WriteString(shown)
			text = after
			continue
		}
		b.WriteByte('<')
		text = rest
	}
}

// read is what stands for a mark, which is given without its brackets.
func (d *decoder) read(inner string, m *message) (string, bool) {
	switch {
	case strings.HasPrefix(inner, "@&"):
		return d.roleName(inner[2:], m)
	case strings.HasPrefix(inner, "@!"):
		return d.userName(inner[2:], m)
	case strings.HasPrefix(inner, "@"):
		return d.userName(inner[1:], m)
	case strings.HasPrefix(inner, "#"):
		if p := d.world.places[inner[1:]]; p.name != "" {
			return "#" + p.name, true
		}
	case strings.HasPrefix(inner, ":"), strings.HasPrefix(inner, "a:"):
		name, id, ok := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(inner, "a"), ":"), ":")
		if ok && name != "" && digits(id) {
			return ":" + name + ":", true
		}
	case strings.HasPrefix(inner, "/"):
		if name, id, ok := strings.Cut(inner, ":"); ok && digits(id) {
			return name, true
		}
	case strings.HasPrefix(inner, "t:"):
		stamp, _, _ := strings.Cut(inner[2:], ":")
		const latest = 253402300799 // the end of the year 9999
		if n, err := strconv.ParseInt(stamp, 10, 64); err == nil && n > -latest && n <= latest {
			return time.Unix(n, 0).UTC().Format("2006-01-02 15:04 UTC"), true
		}
	}
	return "", false
}

// mark reads one mark behind its "<".
func (d *decoder) mark(rest string, m *message) (shown, after string, ok bool) {
	const longest = 100 // bytes of a mark
	end := strings.IndexByte(rest[:min(len(rest), longest)], '>')
	if end < 0 {
		return "", "", false
	}
	shown, ok = d.read(rest[:end], m)
	return shown, rest[end+1:], ok
}

func (d *decoder) userName(id string, m *message) (string, bool) {
	if id == d.self.ID && d.self.Name != "" {
		return "@" + d.self.Name, true
	}
	for i := range m.Mentions {
		if u := &m.Mentions[i]; u.ID == id && digits(id) {
			return "@" + d.account(u, nil).Name, true
		}
	}
	return "", false
}

// roleName: the bot's own role reads like the bot. Other roles' names are not
// told with a message.
func (d *decoder) roleName(id string, m *message) (string, bool) {
	for _, r := range d.world.roles[m.GuildID] {
		if r == id && d.self.Name != "" {
			return "@" + d.self.Name, true
		}
	}
	return "", false
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
