package codec

import (
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// How often and how long a response_url may be used.
const (
	viaUses = 5
	viaFor  = 30 * time.Minute
)

// command reads a text that begins with "/" and a name.
func command(text string) (channels.Command, bool) {
	if !strings.HasPrefix(text, "/") {
		return channels.Command{}, false
	}
	word, args := text[1:], ""
	if i := strings.IndexAny(word, " \t\r\n"); i >= 0 {
		word, args = word[:i], strings.TrimSpace(word[i:])
	}
	word = strings.ReplaceAll(word, `\_`, "_") // as CommonMark has it
	if !commandName(word) {
		return channels.Command{}, false
	}
	return channels.Command{Name: strings.ToLower(word), Args: args}, true
}

func commandName(s string) bool {
	const longest = 64
	if s == "" || len(s) > longest {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// slash decodes a slash command. Its response_url is the only way to answer
// where the bot is no member, and the way to answer so that only the one who
// asked sees it.
func (d *decoder) slash() ([]channels.Event, error) {
	o := &d.p.o
	if !wellFormed(o.ChannelID, o.UserID) || o.ThreadTS != "" && !wellFormed(o.ThreadTS) {
		return nil, ignored(IgnoredMalformed)
	}
	text := o.Command
	if o.Command == d.self.Command {
		text = "/" + strings.TrimPrefix(strings.TrimSpace(o.Text), "/")
		if text == "/" {
			text = "/help"
		}
	} else if o.Text != "" {
		text += " " + o.Text
	}
	c, ok := command(text)
	if !ok {
		return nil, ignored(IgnoredMalformed)
	}
	c.Args = written(mrkdwn(c.Args))
	id := o.TriggerID
	if !wellFormed(id) {
		return nil, ignored(IgnoredMalformed)
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(o.Command + " " + o.Text))
	e := d.event(o.ChannelID, "", "command/"+id+"/"+strconv.FormatUint(uint64(sum.Sum32()), 16))
	e.Who = channels.Sender{ID: o.UserID, Name: o.UserName, Handle: o.UserName}
	e.Addressed, e.Content = true, c
	e.Where.Thread = channels.ThreadID(o.ThreadTS)
	if !e.Room.Direct {
		e.Room.Title = o.ChannelName
		e.Via = via(viaCommand, o.ResponseURL)
	}
	return []channels.Event{e}, nil
}

// What a reply path is for, which decides how it is used. It stands in the
// token before the address.
const (
	viaCommand   = "command "
	viaEphemeral = "ephemeral "
)

func via(kind, address string) *channels.Via {
	if address == "" {
		return nil
	}
	return &channels.Via{Token: channels.NewSecret(kind + address), Uses: viaUses}
}

// Reply is a reply path that was opened.
type Reply struct {
	URL string
	// Original: the path belongs to a message that only one person sees, and
	// that can be changed by no other way.
	Original bool
}

// ReplyPath reads the token of a reply path; false for none.
func ReplyPath(v *channels.Via) (Reply, bool) {
	if v == nil {
		return Reply{}, false
	}
	token := v.Token.Reveal()
	if address, ok := strings.CutPrefix(token, viaCommand); ok {
		return Reply{URL: address}, true
	}
	if address, ok := strings.CutPrefix(token, viaEphemeral); ok {
		return Reply{URL: address, Original: true}, true
	}
	return Reply{}, false
}
