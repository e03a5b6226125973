package slacktest

import (
	"encoding/json"
	"regexp"
	"strings"
)

// element is anything of Block Kit.
type element struct {
	Type     string            `json:"type"`
	Text     json.RawMessage   `json:"text"`
	Elements []element         `json:"elements"`
	Style    json.RawMessage   `json:"style"`
	URL      string            `json:"url"`
	UserID   string            `json:"user_id"`
	Name     string            `json:"name"`
	Offset   int               `json:"offset"`
	Indent   int               `json:"indent"`
	Rows     [][]element       `json:"rows"`
	Value    string            `json:"value"`
	ActionID string            `json:"action_id"`
	Fields   []json.RawMessage `json:"fields"`
}

func (e *element) text() (kind, text string) {
	if json.Unmarshal(e.Text, &text) == nil {
		return "", text
	}
	var o struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	_ = json.Unmarshal(e.Text, &o)
	return o.Type, o.Text
}

// shown is a message as people read it: its blocks where it has any that show
// text, else its text.
func shown(text string, blocks json.RawMessage, literal bool) string {
	var list []element
	if json.Unmarshal(blocks, &list) == nil {
		var lines []string
		for i := range list {
			if t := list[i].shown(); t != "" {
				lines = append(lines, t)
			}
		}
		if len(lines) > 0 {
			return strings.Join(lines, "\n")
		}
	}
	if literal {
		return entities.Replace(text)
	}
	return readable(text)
}

func (e *element) shown() string {
	switch e.Type {
	case "section", "header", "markdown":
		kind, t := e.text()
		if kind == "mrkdwn" {
			return readable(t)
		}
		return t
	case "rich_text":
		var parts []string
		for i := range e.Elements {
			parts = append(parts, e.Elements[i].rich())
		}
		return strings.Join(parts, "\n")
	case "table":
		var rows []string
		for _, r := range e.Rows {
			var cells []string
			for i := range r {
				cells = append(cells, r[i].cell())
			}
			rows = append(rows, strings.Join(cells, " | "))
		}
		return strings.Join(rows, "\n")
	case "divider":
		return "———"
	}
	return ""
}

func (e *element) cell() string {
	if e.Type == "rich_text" {
		return e.shown()
	}
	_, t := e.text()
	return t
}

func (e *element) rich() string {
	var b strings.Builder
	for i := range e.Elements {
		in := &e.Elements[i]
		switch in.Type {
		case "rich_text_section":
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(strings.Repeat("  ", e.Indent) + "• " + in.rich())
		case "user":
			b.WriteString("@" + in.UserID)
		case "emoji":
			b.WriteString(":" + in.Name + ":")
		case "link":
			if _, t := in.text(); t != "" {
				b.WriteString(t)
			} else {
				b.WriteString(in.URL)
			}
		default:
			_, t := in.text()
			b.WriteString(t)
		}
	}
	return b.String()
}

// buttonsOf are the buttons of a message.
func buttonsOf(blocks json.RawMessage) []Button {
	var list []element
	_ = json.Unmarshal(blocks, &list)
	var out []Button
	for i := range list {
		if list[i].Type != "actions" {
			continue
		}
		for j := range list[i].Elements {
			b := &list[i].Elements[j]
			_, label := b.text()
			out = append(out, Button{Label: label, Value: b.Value, Action: b.ActionID, URL: b.URL})
		}
	}
	return out
}

var (
	entities = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")
	angled   = regexp.MustCompile(`<([^<>|]+)(?:\|([^<>]*))?>`)
	fenced   = regexp.MustCompile("(?s)```\n?(.*?)\n?```")
	ticked   = regexp.MustCompile("`([^`\n]+)`")
	starred  = regexp.MustCompile(`(^|[^\pL\pN])\*([^*\s](?:[^*\n]*[^*\s])?)\*($|[^\pL\pN])`)
	lined    = regexp.MustCompile(`(^|[^\pL\pN])_([^_\s](?:[^_\n]*[^_\s])?)_($|[^\pL\pN])`)
	struck   = regexp.MustCompile(`(^|[^\pL\pN])~([^~\s](?:[^~\n]*[^~\s])?)~($|[^\pL\pN])`)
)

// readable is mrkdwn as people read it.
func readable(text string) string {
	var b strings.Builder
	for {
		at := fenced.FindStringSubmatchIndex(text)
		if at == nil {
			break
		}
		b.WriteString(unmarked(text[:at[0]]))
		b.WriteString(entities.Replace(text[at[2]:at[3]]))
		text = text[at[1]:]
	}
	b.WriteString(unmarked(text))
	return b.String()
}

func unmarked(s string) string {
	s = angled.ReplaceAllStringFunc(s, func(m string) string {
		p := angled.FindStringSubmatch(m)
		switch {
		case p[2] != "":
			return p[2]
		case strings.HasPrefix(p[1], "@"), strings.HasPrefix(p[1], "#"):
			return p[1]
		case strings.HasPrefix(p[1], "!"):
			return "@" + p[1][1:]
		}
		return p[1]
	})
	s = ticked.ReplaceAllString(s, "$1")
	for _, mark := range []*regexp.Regexp{starred, lined, struck} {
		for range 3 {
			s = mark.ReplaceAllString(s, "$1$2$3")
		}
	}
	return entities.Replace(s)
}
