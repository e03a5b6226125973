package codec

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Application is what the platform says of the bot's application.
type Application struct {
	ID    string `json:"id"`
	Key   string `json:"verify_key"` // that signs interactions, in hex
	Flags int    `json:"flags"`
}

// Flags of an application: whether it may read what is said in servers.
const (
	mayReadContent        = 1 << 18
	mayReadContentLimited = 1 << 19 // in fewer than 100 servers
)

// The permissions that the invitation asks for, by the platform's own bits: to
// react, see channels, send, attach, read histories, and send in threads.
const permissions = 1<<6 | 1<<10 | 1<<11 | 1<<15 | 1<<16 | 1<<38

// Invitation is the address at which an administrator of a server lets the bot
// in, with the permissions it needs.
func Invitation(app string) string {
	return "https://discord.com/oauth2/authorize?client_id=" + app +
		"&scope=bot+applications.commands&permissions=" + strconv.FormatInt(permissions, 10)
}

// Notes say what is missing. servers is how many the bot is in, as far as one
// asked; content is whether it is to read what is said there.
func (a Application) Notes(servers int, content bool) (notes []string) {
	if servers == 0 {
		notes = append(notes, "The bot is in no server yet, and people can write to it only when they share one with it. To invite it, open "+Invitation(a.ID))
	}
	if content && a.Flags&(mayReadContent|mayReadContentLimited) == 0 {
		notes = append(notes, "The Message Content intent is off, so the channel cannot connect. Switch it on at "+
			"https://discord.com/developers/applications/"+a.ID+"/bot, or set message_content: false to read direct messages, mentions and commands only.")
	}
	return notes
}

// Offer is a command that people are offered.
type Offer struct{ Name, Help, Args string }

// Commands writes the call that lists the commands: for servers and direct chats,
// each with at most one option, which takes what one would type.
func Commands(app string, list []Offer) (Call, error) {
	type option struct {
		Type        int    `json:"type"`
		Name        string `json:"name"`
		Description string `json:"description"`
	}
	type command struct {
		Type        int      `json:"type"`
		Name        string   `json:"name"`
		Description string   `json:"description"`
		Options     []option `json:"options"`
		Contexts    []int    `json:"contexts"`
		Installs    []int    `json:"integration_types"`
	}
	const typed, slash, inServer, inDirect, byServer = 3, 1, 0, 1, 0
	all := make([]command, 0, len(list))
	for _, s := range list {
		d := command{
			Type: slash, Name: strings.ToLower(s.Name), Description: described100(s.Help, s.Name), Options: []option{},
			Contexts: []int{inServer, inDirect}, Installs: []int{byServer},
		}
		if s.Args != "" {
			d.Options = append(d.Options, option{typed, "text", described100(s.Args, s.Name)})
		}
		all = append(all, d)
	}
	b, err := json.Marshal(all)
	return Call{Method: "PUT", Path: "/applications/" + app + "/commands", Route: "PUT commands " + app, Body: b, Repeatable: true}, err
}

// described100 is a text of 1 to 100 characters.
func described100(s, otherwise string) string {
	const longest = 100
	s = strings.TrimSpace(s)
	if s == "" {
		s = otherwise
	}
	if r := []rune(s); len(r) > longest {
		return string(r[:longest-1]) + "…"
	}
	return s
}

// Sent is the receipt of what was sent, from the answer to it.
func Sent(p channels.Part, answer []byte, now time.Time) channels.Receipt {
	r := channels.Receipt{ID: p.Replaces, At: now}
	m, err := parse[message](answer)
	if err != nil {
		return r
	}
	if m.ID != "" {
		r.ID = channels.MessageID(m.ID)
	}
	if t, err := time.Parse(time.RFC3339, m.Timestamp); err == nil && p.Replaces == "" {
		r.At = t
	}
	return r
}

// Limited adds to an answer what its headers say of a limit.
func (a Answer) Limited(retryAfter, global string) Answer {
	if a.Kind != channels.RateLimited {
		return a
	}
	if s, err := strconv.Atoi(retryAfter); err == nil && s > 0 && s <= 24*60*60 {
		a.RetryAfter = max(a.RetryAfter, time.Duration(s-1)*time.Second) // whole seconds, rounded up
	}
	a.Global = a.Global || global == "true"
	return a
}

// MaxFetch is the largest file that is fetched, in bytes. The platform lets
// people who pay send larger ones.
const MaxFetch = 50 << 20

// ErrTooBigToFetch says that a file is larger than MaxFetch.
var ErrTooBigToFetch = errors.New("the file is larger than 50 MB")

// ClassifyDownload says why a file's address did not give the file.
func ClassifyDownload(status int) Answer {
	switch {
	case status == missingThere, status == forbiddenThere:
		return Answer{Kind: channels.Gone, Reason: "the file no longer exists"}
	case status == tooManyRequests, status >= 500:
		return Answer{Kind: channels.Transient, Reason: "the file server answered with status " + strconv.Itoa(status)}
	}
	return Answer{Kind: channels.Rejected, Reason: "the file server answered with status " + strconv.Itoa(status)}
}
