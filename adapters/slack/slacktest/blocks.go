package slacktest

import (
	"encoding/json"
	"unicode/utf8"
)

// Limits of Block Kit.
const (
	maxBlocks     = 50
	maxSection    = 3000
	maxLabel      = 75
	maxValue      = 2000
	maxElements   = 25
	maxTableRows  = 100
	maxTableCells = 20
	maxAllText    = 13_200
)

var richTypes = map[string]bool{
	"text": true, "link": true, "user": true, "emoji": true, "channel": true, "broadcast": true, "usergroup": true, "date": true, "color": true,
}

// wrongBlocks says why blocks are refused, or "".
func wrongBlocks(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	var list []element
	if json.Unmarshal(raw, &list) != nil {
		return "invalid_blocks_format"
	}
	if len(list) > maxBlocks {
		return "invalid_blocks"
	}
	tables, ids, size := 0, map[string]bool{}, 0
	for i := range list {
		b := &list[i]
		size += utf8.RuneCountInString(b.shown())
		switch b.Type {
		case "section":
			kind, t := b.text()
			if t == "" && len(b.Fields) == 0 || utf8.RuneCountInString(t) > maxSection || kind != "mrkdwn" && kind != "plain_text" {
				return "invalid_blocks"
			}
		case "divider":
		case "rich_text":
			if !b.richOK() {
				return "invalid_blocks"
			}
		case "table":
			if tables++; tables > 1 {
				return "only_one_table_allowed"
			}
			if !b.tableOK() {
				return "invalid_blocks"
			}
		case "actions":
			if len(b.Elements) == 0 || len(b.Elements) > maxElements {
				return "invalid_blocks"
			}
			for j := range b.Elements {
				if !b.Elements[j].buttonOK() || ids[b.Elements[j].ActionID] {
					return "invalid_blocks"
				}
				ids[b.Elements[j].ActionID] = true
			}
		default:
			return "invalid_blocks"
		}
	}
	if size > maxAllText {
		return "msg_blocks_too_long"
	}
	return ""
}

func (e *element) buttonOK() bool {
	kind, label := e.text()
	return e.Type == "button" && kind == "plain_text" && label != "" && utf8.RuneCountInString(label) <= maxLabel &&
		utf8.RuneCountInString(e.Value) <= maxValue && e.ActionID != "" && len(e.ActionID) <= 255 && len(e.URL) <= 3000
}

// richOK: sections, lists, quotes and code, none of them empty.
func (e *element) richOK() bool {
	if len(e.Elements) == 0 {
		return false
	}
	for i := range e.Elements {
		p := &e.Elements[i]
		if len(p.Elements) == 0 {
			return false
		}
		switch p.Type {
		case "rich_text_list":
			var style string
			if json.Unmarshal(p.Style, &style) != nil || style != "bullet" && style != "ordered" || p.Indent < 0 || p.Indent > 8 || p.Offset < 0 {
				return false
			}
			for j := range p.Elements {
				if p.Elements[j].Type != "rich_text_section" || !p.Elements[j].lineOK() {
					return false
				}
			}
		case "rich_text_section", "rich_text_quote", "rich_text_preformatted":
			if !p.lineOK() {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func (e *element) lineOK() bool {
	for i := range e.Elements {
		in := &e.Elements[i]
		_, t := in.text()
		if !richTypes[in.Type] || in.Type == "text" && t == "" || in.Type == "link" && in.URL == "" || in.Type == "user" && in.UserID == "" {
			return false
		}
	}
	return len(e.Elements) > 0
}

func (e *element) tableOK() bool {
	if len(e.Rows) == 0 || len(e.Rows) > maxTableRows {
		return false
	}
	for _, r := range e.Rows {
		if len(r) == 0 || len(r) > maxTableCells || len(r) != len(e.Rows[0]) {
			return false
		}
		for i := range r {
			_, t := r[i].text()
			switch r[i].Type {
			case "raw_text":
				if t == "" {
					return false
				}
			case "rich_text":
				if !r[i].richOK() {
					return false
				}
			default:
				return false
			}
		}
	}
	return true
}
