package codec

import (
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Number is what the platform knows of the phone number.
type Number struct {
	ID       string `json:"id"`
	Display  string `json:"display_phone_number"`
	Name     string `json:"verified_name"`
	Quality  string `json:"quality_rating"`
	Mode     string `json:"account_mode"`
	Verified string `json:"code_verification_status"`
}

// NumberPath is where to ask for it, below the version.
func NumberPath(id string) string {
	return id + "?fields=id,display_phone_number,verified_name,quality_rating,account_mode,code_verification_status"
}

// Setup is what of a channel's configuration its set-up depends on.
type Setup struct {
	Public, App, Business, Template string
}

// Identity is who the channel is, with what is missing.
func (n Number) Identity(s Setup) channels.Identity {
	who := channels.Identity{Account: channels.AccountID(n.ID), Name: n.Name, Handle: n.Display}
	if who.Name == "" {
		who.Name = n.Display
	}
	if d := digits(n.Display); d != "" {
		who.Link = "https://wa.me/" + d
	}
	note := func(missing bool, text string) {
		if missing {
			who.Notes = append(who.Notes, text)
		}
	}
	note(s.App == "", "There is no app_id: enter the callback URL "+s.Public+" and the verify token on the app's page WhatsApp, Configuration, and subscribe to the field messages.")
	note(s.Business == "", "There is no business_id: if no message arrives, the account is not subscribed to the app. With the id it is done by itself.")
	note(n.Mode == "SANDBOX", "The number is a test number: it can write to the five numbers on the list of the page API Setup only.")
	note(n.Quality == "RED", "The quality of the number is low: many people block it or report it as spam, and Meta will limit it.")
	note(n.Verified == "NOT_VERIFIED" || n.Verified == "EXPIRED", "The number is not verified: do it in the WhatsApp Manager, Phone numbers.")
	note(s.Template == "", "There is no template: answers that come more than 24 hours after a person wrote cannot be sent.")
	return who
}

// Subscription is what registers the webhook, without the token that Meta shows
// when it checks it.
func Subscription(public string) map[string]string {
	return map[string]string{"object": "whatsapp_business_account", "fields": "messages", "callback_url": public}
}

// Media is a file as the platform describes it.
type Media struct {
	URL  string `json:"url"`
	Size int64  `json:"file_size"`
}

// ErrTooBigToFetch says that a file is larger than MaxFetch.
var ErrTooBigToFetch = errors.New("the file is larger than the gateway takes in (64 MB)")

// errReference says that a file's reference is none.
var errReference = errors.New("the file has no reference")

// MediaPath is where to ask for a file, below the version.
func MediaPath(ref, number string) (string, error) {
	if ref == "" || url.PathEscape(ref) != ref {
		return "", errReference
	}
	return ref + "?phone_number_id=" + number, nil
}

// Ours reports whether an address is on a host of the configuration.
func Ours(address string, bases ...string) bool {
	u, err := url.Parse(address)
	if err != nil || u.User != nil {
		return false
	}
	for _, base := range bases {
		if b, err := url.Parse(base); err == nil && b.Scheme == u.Scheme && b.Host == u.Host {
			return true
		}
	}
	return false
}

// Uploaded is the id of a file that was taken.
func Uploaded(answer json.RawMessage) string {
	var got struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(answer, &got)
	return got.ID
}

// ClassifyDownload says why a file's address did not give the file.
func ClassifyDownload(status int, body []byte) Answer {
	const missing = 404
	if status == missing {
		return Answer{Kind: channels.Gone, Reason: "the file no longer exists"}
	}
	return Classify(status, 0, body, true)
}

// RetryAfter reads the header of that name; 0 for none that is sound.
func RetryAfter(text string) time.Duration {
	if n, err := strconv.Atoi(text); err == nil && n > 0 && n < 24*60*60 {
		return time.Duration(n) * time.Second
	}
	return 0
}

// The platform takes a message outside of the 24 hours after a person wrote and
// fails it later, when nobody waits for the answer any more; so it is kept when
// each person wrote last.

// window is how long after a person wrote the platform takes free messages.
const window = 24 * time.Hour

const keepWrote = "wrote/"

// WroteKey is the key of when somebody wrote last.
func WroteKey(id channels.ConversationID) string { return keepWrote + string(id) }

// Wrote is when each person wrote last, for a commit of events.
func Wrote(events []channels.Event) map[channels.ConversationID]time.Time {
	all := map[channels.ConversationID]time.Time{}
	for _, e := range events {
		if id := e.Where.Conversation; !e.Who.Self && e.At.After(all[id]) {
			all[id] = e.At
		}
	}
	return all
}

// Write is what is kept of it.
func Write(id channels.ConversationID, at time.Time) channels.Write {
	return channels.Write{Key: WroteKey(id), Value: strconv.AppendInt(nil, at.Unix(), 10)}
}

// ReadWrote reads what Write wrote; false for nothing.
func ReadWrote(value []byte) (time.Time, bool) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	return time.Unix(n, 0), err == nil
}

// Over reports whether the window of somebody who wrote at a time is over.
func Over(at, now time.Time) bool { return now.Sub(at) >= window }
