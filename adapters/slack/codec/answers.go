package codec

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// What is read out of the answers of the Web API, for whoever made the calls.
// What an answer lacks is empty.

// Bot is whose token it is: the answer to auth.test.
type Bot struct {
	Team   string `json:"team_id"`
	Name   string `json:"team"` // of the team
	User   string `json:"user_id"`
	Handle string `json:"user"`
	ID     string `json:"bot_id"` // "": it is a person's token
}

// As is the account as people know it.
func (b Bot) As() string { return "@" + b.Handle + " in " + b.Name }

// ErrPerson is the fault of a token that is no bot's.
const ErrPerson = ignored("it is a person's token, not a bot's (xoxb-...)")

// Scopes are what a token was granted, as the header X-OAuth-Scopes of an answer
// says.
func Scopes(header string) []string {
	return strings.FieldsFunc(header, func(r rune) bool { return r == ',' || r == ' ' })
}

// needed are the scopes that the bot uses, and what does not work without each.
func needed() [][2]string {
	return [][2]string{
		{"chat:write", "the bot cannot answer at all"},
		{"im:history", "it does not get direct messages"},
		{"app_mentions:read", "it does not learn that it was mentioned"},
		{"channels:history", "it does not see what is said in public channels"},
		{"groups:history", "it does not see what is said in private channels"},
		{"mpim:history", "it does not see what is said in group messages"},
		{"reactions:read", "it does not get reactions"},
		{"reactions:write", "it cannot react to messages"},
		{"files:read", "it cannot open what people send"},
		{"files:write", "it cannot send files"},
		{"users:read", "it sees people's ids and not their names"},
		{"channels:read", "it sees the ids of channels and not their names"},
		{"commands", "its slash command does not work"},
		{"assistant:write", "it does not show that it is at work"},
	}
}

// Wanted are the scopes that the bot uses.
func Wanted() (scopes []string) {
	for _, n := range needed() {
		scopes = append(scopes, n[0])
	}
	return scopes
}

// Missing says which of the scopes that the bot uses are not among those
// granted; nothing where the platform does not say what was granted.
func Missing(granted []string) []string {
	if len(granted) == 0 {
		return nil
	}
	var missing, why []string
	for _, n := range needed() {
		if !slices.Contains(granted, n[0]) {
			missing, why = append(missing, n[0]), append(why, n[1])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("The app lacks %s, so %s. Add the scopes on its page OAuth & Permissions and install it to the team again.",
		strings.Join(missing, ", "), strings.Join(why, "; "))}
}

// Link is where a chat with the bot opens.
func (b Bot) Link() string {
	return "https://slack.com/app_redirect?" + url.Values{"channel": {b.User}, "team": {b.Team}}.Encode()
}

// Sent is the receipt of what was sent, from the answer to it.
func Sent(p channels.Part, answer json.RawMessage, now time.Time) channels.Receipt {
	var sent struct {
		TS        string `json:"ts"`
		MessageTS string `json:"message_ts"` // of an ephemeral message
	}
	_ = json.Unmarshal(answer, &sent)
	if sent.TS == "" {
		sent.TS = sent.MessageTS
	}
	r := channels.Receipt{ID: messageID(sent.TS), At: Moment(sent.TS)}
	if p.Replaces != "" || r.ID == "" {
		r.ID, r.At = p.Replaces, now
	}
	if r.At.IsZero() {
		r.At = now
	}
	return r
}

// Replied is the receipt of a reply by a response_url. Slack tells no id of such
// a message.
func Replied(p channels.Part, now time.Time) channels.Receipt {
	id := p.Replaces
	if id == "" {
		id = channels.MessageID("response/" + p.Key)
	}
	return channels.Receipt{ID: id, At: now}
}

// Mine are the reactions of a person to a message, from the answer to
// reactions.get.
func Mine(answer json.RawMessage, user string) []string {
	var out struct {
		Message struct {
			Reactions []struct {
				Name  string   `json:"name"`
				Users []string `json:"users"`
			} `json:"reactions"`
		} `json:"message"`
	}
	_ = json.Unmarshal(answer, &out)
	var list []string
	for _, r := range out.Message.Reactions {
		if slices.Contains(r.Users, user) {
			list = append(list, r.Name)
		}
	}
	return list
}

// Name is what a person or a channel is called, from the answer to users.info or
// conversations.info.
func Name(answer json.RawMessage) string {
	var out struct {
		Channel room `json:"channel"`
		User    struct {
			Name    string `json:"name"`
			Real    string `json:"real_name"`
			Profile struct {
				Real    string `json:"real_name"`
				Display string `json:"display_name"`
			} `json:"profile"`
		} `json:"user"`
	}
	_ = json.Unmarshal(answer, &out)
	u := out.User
	for _, s := range []string{out.Channel.Name, u.Real, u.Profile.Real, u.Profile.Display, u.Name} {
		if s != "" {
			return s
		}
	}
	return ""
}

// Place is where a file goes, from the answer to files.getUploadURLExternal.
func Place(answer json.RawMessage) (id, address string) {
	var out struct {
		ID      string `json:"file_id"`
		Address string `json:"upload_url"`
	}
	_ = json.Unmarshal(answer, &out)
	return out.ID, out.Address
}

// Located is where a file can be fetched, from the answer to files.info.
func Located(answer json.RawMessage) string {
	f, _ := info(answer)
	if f.Download != "" {
		return f.Download
	}
	return f.Private
}

// FileMessage begins the id of a message whose own id Slack has not told: then
// the first file's id stands for it.
const FileMessage = "file/"

// Shown is the message that shows a file in a channel, from the answer to
// files.info; "" as long as there is none.
func Shown(answer json.RawMessage, channel channels.ConversationID) channels.MessageID {
	_, shares := info(answer)
	for _, kind := range []string{"public", "private"} {
		for _, s := range shares[kind][string(channel)] {
			if s.TS != "" {
				return messageID(s.TS)
			}
		}
	}
	return ""
}

type shared map[string]map[string][]struct {
	TS string `json:"ts"`
}

func info(answer json.RawMessage) (f file, shares shared) {
	var out struct {
		File struct {
			file
			Shares shared `json:"shares"`
		} `json:"file"`
	}
	_ = json.Unmarshal(answer, &out)
	return out.File.file, out.File.Shares
}

// FileName is what a file that goes out is called.
func FileName(f channels.File) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '/' || r == '\\' {
			return '_'
		}
		return r
	}, f.Name)
	for _, s := range []string{name, string(f.Kind)} {
		if s != "" {
			return s
		}
	}
	return "file"
}

// Domains are Slack's own, and those of its service for public authorities.
func Domains() []string { return []string{"slack.com", "slack-gov.com"} }

// Ours reports whether an address is one of the platform's: the host of the Web
// API at base, or another of Slack's own.
func Ours(address, base string) bool {
	u, err := url.Parse(address)
	if err != nil || u.User != nil {
		return false
	}
	b, err := url.Parse(base)
	if err != nil {
		return false
	}
	if u.Host == b.Host && u.Scheme == b.Scheme {
		return true
	}
	return u.Scheme == "https" && slices.ContainsFunc(Domains(), func(d string) bool { return strings.HasSuffix(u.Host, "."+d) })
}
