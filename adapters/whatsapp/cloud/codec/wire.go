// Package codec turns webhooks of the WhatsApp Cloud API into events, and parts
// into calls of it. It is pure: no I/O, no clock, no secrets.
package codec

import "encoding/json"

// Limits of the platform.
const (
	MaxText       = 4096
	MaxCaption    = 1024
	MaxFile       = 100 << 20 // bytes; a document
	MaxFetch      = 64 << 20  // bytes; what the gateway lets in
	MaxButtons    = 10        // rows of a list; up to three are buttons
	MaxButtonData = 200       // bytes; of a row's id
	MaxRequest    = 3 << 20   // bytes of one webhook, as Meta says

	maxReplies    = 3
	maxTitle      = 20 // of a button, UTF-16 units
	maxRow        = 24 // of a row, UTF-16 units
	maxButtonBody = 1024
	maxImage      = 5 << 20
	maxMedia      = 16 << 20
)

type webhook struct {
	Object string  `json:"object"`
	Entry  []entry `json:"entry"`
}

type entry struct {
	ID      string `json:"id"`
	Changes []struct {
		Field string          `json:"field"`
		Value json.RawMessage `json:"value"`
	} `json:"changes"`
}

type value struct {
	Metadata struct {
		Display string `json:"display_phone_number"`
		ID      string `json:"phone_number_id"`
	} `json:"metadata"`
	Contacts []contact         `json:"contacts"`
	Messages []json.RawMessage `json:"messages"`
	Statuses []status          `json:"statuses"`
}

type contact struct {
	Profile struct {
		Name     string `json:"name"`
		Username string `json:"username"`
	} `json:"profile"`
	ID     string `json:"wa_id"`   // the number; "" where it is not told
	Scoped string `json:"user_id"` // Meta's id, see Scoped
}

type message struct {
	From      string     `json:"from"`
	Scoped    string     `json:"from_user_id"`
	ID        string     `json:"id"`
	GroupID   string     `json:"group_id"`
	Timestamp string     `json:"timestamp"`
	Type      string     `json:"type"`
	Context   *reference `json:"context"`

	Text struct {
		Body string `json:"body"`
	} `json:"text"`
	Image    *media `json:"image"`
	Video    *media `json:"video"`
	Audio    *media `json:"audio"`
	Document *media `json:"document"`
	Sticker  *media `json:"sticker"`
	Reaction *struct {
		MessageID string `json:"message_id"`
		Emoji     string `json:"emoji"`
	} `json:"reaction"`
	Button *struct {
		Payload string `json:"payload"`
		Text    string `json:"text"`
	} `json:"button"`
	Interactive *struct {
		Type   string  `json:"type"`
		Button *choice `json:"button_reply"`
		List   *choice `json:"list_reply"`
	} `json:"interactive"`
	Location *struct {
		Latitude  json.Number `json:"latitude"`
		Longitude json.Number `json:"longitude"`
		Name      string      `json:"name"`
		Address   string      `json:"address"`
	} `json:"location"`
	Contacts []struct {
		Name struct {
			Formatted string `json:"formatted_name"`
		} `json:"name"`
		Phones []struct {
			Phone string `json:"phone"`
		} `json:"phones"`
	} `json:"contacts"`
}

// reference is what a message refers to.
type reference struct {
	From       string `json:"from"`
	Scoped     string `json:"from_user_id"`
	ID         string `json:"id"`
	Forwarded  bool   `json:"forwarded"`
	Frequently bool   `json:"frequently_forwarded"`
}

type choice struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

type media struct {
	ID       string `json:"id"`
	MIME     string `json:"mime_type"`
	Caption  string `json:"caption"`
	Filename string `json:"filename"`
	Voice    bool   `json:"voice"`
}

type status struct {
	ID        string `json:"id"`
	Status    string `json:"status"`
	Timestamp string `json:"timestamp"`
	Recipient string `json:"recipient_id"`
	Scoped    string `json:"recipient_user_id"`
	Errors    []struct {
		Code  int    `json:"code"`
		Title string `json:"title"`
	} `json:"errors"`
}
