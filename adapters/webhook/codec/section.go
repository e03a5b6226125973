package codec

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
)

// Keys are those of a channel's section that say what becomes of a request.
type Keys struct {
	Message      string              `json:"message"`
	Conversation string              `json:"conversation"`
	Thread       string              `json:"thread"`
	Sender       string              `json:"sender"`
	SenderName   string              `json:"sender_name"`
	ID           string              `json:"id"`
	When         map[string][]string `json:"when"`
	Trusted      bool                `json:"trusted"`
}

// Mapping reads the templates. fault is told what is wrong, and with which key.
func (k Keys) Mapping(fault func(path, text string)) Mapping {
	template := func(path, text string, must bool) Template {
		t, err := Parse(text)
		switch {
		case err != nil:
			fault(path, err.Error())
		case must && strings.TrimSpace(text) == "":
			fault(path, "must not be empty")
		}
		return t
	}
	m := Mapping{
		Message: template("message", k.Message, true), Conversation: template("conversation", k.Conversation, true),
		Thread: template("thread", k.Thread, false), Sender: template("sender", k.Sender, true),
		SenderName: template("sender_name", k.SenderName, false), Key: template("id", k.ID, false), Trusted: k.Trusted,
	}
	for _, name := range slices.Sorted(maps.Keys(k.When)) {
		m.When = append(m.When, When{Name: name, Test: template("when", name, true), Is: k.When[name]})
	}
	return m
}

// Proof is what is known of how requests are proved: whatever of a request
// somebody signed.
type Proof struct {
	Kind    string `json:"kind"`
	Stamp   string `json:"stamp,omitempty"` // the header with the time
	Signed  bool   `json:"signed"`          // the proof covers the body
	Stamped bool   `json:"stamped"`         // it holds for a short time only
}

// key is what stays the same when a request comes again, where the mapping does
// not say; "" when nothing is. An id that is not signed is not believed: somebody
// who repeats what he has overheard could change it.
func (p Proof) key(header func(string) string, body []byte) string {
	switch {
	case p.Kind == "standard-webhooks":
		return header("Webhook-Id")
	case !p.Signed:
		return header("Idempotency-Key")
	case p.Stamp != "": // the same text may be sent twice, at different times
		return Hash([]byte(header(p.Stamp)), []byte("\n"), body)
	}
	return Hash(body)
}

// challenge is what Slack wants to read when it checks an address.
func (p Proof) challenge(payload any) (string, bool) {
	says := func(key string) string { return text(at(payload, []step{{key: key}})) }
	if p.Kind != "slack" || says("type") != "url_verification" {
		return "", false
	}
	challenge := says("challenge")
	return challenge, challenge != ""
}

// Raw is a request as it came in, once it is proved.
type Raw struct {
	Header func(name string) string // "" for none
	Query  url.Values
	Body   []byte
}

// Read says what a request comes to. at.Key counts where nothing in the request
// stays the same when it comes again. The error is for the sender.
func (m Mapping) Read(r Raw, p Proof, at At) (Outcome, error) {
	payload, err := Decode(r.Header("Content-Type"), r.Body)
	if err != nil {
		return Outcome{}, err
	}
	if text, ok := p.challenge(payload); ok {
		return Outcome{Challenge: text}, nil
	}
	if key := p.key(r.Header, r.Body); key != "" {
		at.Key = key
	}
	return m.Event(Request{Payload: payload, Header: r.Header, Query: r.Query}, at), nil
}

// Setup is what the notes for the person in charge are about.
type Setup struct {
	Channel  channels.ID
	Public   string // where the channel can be reached; "": from the outside nowhere
	Callback string
	Proof    Proof
}

// Notes say what is missing, or could be better.
func (s Setup) Notes() (notes []string) {
	if s.Public == "" {
		notes = append(notes, "There is no public_url: requests reach the gateway at the path /hooks/"+string(s.Channel)+" of the address under `listen` only.")
	}
	if s.Callback == "" {
		notes = append(notes, "There is no callback_url: an answer is only for those who wait for it with ?wait=30s, or ask again with the same key.")
	}
	if !s.Proof.Stamped && !s.Proof.Signed {
		notes = append(notes, "Whoever learns the secret can send anything at any time. A kind that signs the request is better where the sender can sign.")
	}
	return notes
}
