package telegramtest

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Entity marks a run of a text. Offset and Length count UTF-16 code units.
type Entity struct {
	Offset        int      `json:"offset"`
	Length        int      `json:"length"`
	Type          string   `json:"type"`
	URL           string   `json:"url,omitempty"`
	User          *Profile `json:"user,omitempty"`
	Language      string   `json:"language,omitempty"`
	CustomEmojiID string   `json:"custom_emoji_id,omitempty"`
}

func (e Entity) end() int { return e.Offset + e.Length }

func (e Entity) contains(o Entity) bool { return e.Offset <= o.Offset && o.end() <= e.end() }

func (e Entity) overlaps(o Entity) bool { return e.Offset < o.end() && o.Offset < e.end() }

// utf16Len is the length of s in UTF-16 code units.
func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xffff {
			n++
		}
	}
	return n
}

// byteOffset is the place in s that lies units UTF-16 code units from its start,
// the end of s when it is shorter.
func byteOffset(s string, units int) int {
	for i, r := range s {
		if units <= 0 {
			return i
		}
		units--
		if r > 0xffff {
			units--
		}
	}
	return len(s)
}

// entityOrder says which of two entities that begin together is the outer one.
func entityOrder(kind string) int {
	switch kind {
	case "blockquote", "expandable_blockquote":
		return 0
	case "pre":
		return 11
	case "code":
		return 20
	case "text_link", "text_mention":
		return 49
	case "bold":
		return 90
	case "italic":
		return 91
	case "underline":
		return 92
	case "strikethrough":
		return 93
	case "spoiler":
		return 94
	case "custom_emoji":
		return 99
	}
	return 50
}

func sortEntities(list []Entity) {
	slices.SortStableFunc(list, func(a, b Entity) int {
		return cmp.Or(
			cmp.Compare(a.Offset, b.Offset),
			cmp.Compare(b.Length, a.Length),
			cmp.Compare(entityOrder(a.Type), entityOrder(b.Type)),
		)
	})
}

// formatted is a text as the platform keeps it: cleaned, trimmed, with its
// entities in order.
type formatted struct {
	text     string
	entities []Entity
}

// clean does what the platform does to each text it takes: control characters
// become spaces or go, white space at both ends goes, entities follow, and
// mentions, commands, hashtags and links are found.
func clean(f formatted) formatted {
	f = replaceControls(f)
	f.entities = nest(f.entities)
	f = trim(f)
	f.entities = addFound(f.entities, findEntities(f.text))
	f.entities = f.entities[:min(len(f.entities), maxEntities)]
	return f
}

// maxEntities is how many entities a message keeps; further ones are dropped.
const maxEntities = 100

// replaceControls drops carriage returns and turns other controls into spaces.
func replaceControls(f formatted) formatted {
	if !strings.ContainsFunc(f.text, isControl) && utf8.ValidString(f.text) {
		return f
	}
	var out strings.Builder
	units := 0
	var dropped []int
	for _, r := range f.text {
		switch {
		case r == '\r':
			dropped = append(dropped, units)
		case isControl(r):
			out.WriteByte(' ')
		default:
			out.WriteRune(r)
		}
		units++
		if r > 0xffff {
			units++
		}
	}
	f.text = out.String()
	f.entities = shiftOver(f.entities, dropped)
	return f
}

func isControl(r rune) bool { return r < ' ' && r != '\n' }

// shiftOver moves entities to where they are once the units at dropped are gone.
func shiftOver(list []Entity, dropped []int) []Entity {
	before := func(at int) int {
		n, _ := slices.BinarySearch(dropped, at)
		return at - n
	}
	var out []Entity
	for _, e := range list {
		start, end := before(e.Offset), before(e.end())
		if end > start {
			e.Offset, e.Length = start, end-start
			out = append(out, e)
		}
	}
	return out
}

// trim cuts spaces and line ends off both ends. At the front it stops where an
// entity begins.
func trim(f formatted) formatted {
	f.text = strings.TrimRight(f.text, " \n")
	total := utf16Len(f.text)
	kept := f.entities[:0:0]
	for _, e := range f.entities {
		e.Length = min(e.Length, total-e.Offset)
		if e.Length > 0 {
			kept = append(kept, e)
		}
	}
	f.entities = kept

	lead := len(f.text) - len(strings.TrimLeft(f.text, " \n"))
	if len(kept) > 0 {
		lead = min(lead, kept[0].Offset)
	}
	f.text = f.text[lead:]
	for i := range f.entities {
		f.entities[i].Offset -= lead
	}
	return f
}
