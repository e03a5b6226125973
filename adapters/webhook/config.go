package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/proof"
	"github.com/gatehouse-chat/gatehouse/internal/nearest"
)

// settings are the adapter's own keys of a channel's section.
type settings struct {
	Verify         proof.Spec
	VerifyToken    string // a reference
	Mapping        codec.Mapping
	CallbackURL    string
	CallbackSecret string // a reference
}

const schema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["verify"],
  "additionalProperties": false,
  "properties": {
    "verify": {
      "type": "object",
      "description": "How a request proves whose it is.",
      "required": ["kind"],
      "additionalProperties": false,
      "properties": {
        "kind": {"enum": ["standard-webhooks", "github", "stripe", "slack", "meta", "hmac", "ed25519", "bearer", "header", "jwt"]},
        "secret": {"type": "string", "description": "A reference such as secret://github-hook."},
        "previous": {"type": "string", "description": "A second secret that is accepted while the first is being replaced."},
        "header": {"type": "string", "description": "hmac, ed25519, header: the header with the proof. jwt: the one with the token, instead of Authorization."},
        "prefix": {"type": "string", "description": "What stands in the header before the proof."},
        "encoding": {"enum": ["hex", "base64"], "default": "hex"},
        "hash": {"enum": ["sha256", "sha1", "sha512"], "default": "sha256"},
        "stamp": {"type": "string", "description": "The header with the time, in seconds since 1970."},
        "signs": {"type": "string", "description": "What is signed, with {timestamp} and {body}."},
        "within": {"type": "string", "default": "5m", "description": "How far a time may be off."},
        "public_key": {"type": "string", "description": "ed25519: 32 bytes in hexadecimal or base64."},
        "keys_url": {"type": "string", "format": "uri", "description": "jwt: where the issuer publishes its keys."},
        "issuer": {"type": "string"},
        "audience": {"type": "string"}
      }
    },
    "verify_token": {"type": "string", "description": "meta: what the platform shows when it checks the URL, as a reference."},
    "message": {"type": "string", "default": "{{ .message ?? .text ?? . }}", "description": "Template of the message. An empty one is ignored."},
    "conversation": {"type": "string", "default": "{{ .conversation ?? \"default\" }}", "description": "Template of the conversation."},
    "thread": {"type": "string", "description": "Template of the thread."},
    "sender": {"type": "string", "default": "webhook", "description": "Template of the sender's immutable id."},
    "sender_name": {"type": "string", "description": "Template of the sender's name, for show."},
    "id": {"type": "string", "description": "Template of what is the same when a request comes again. Without it the proof's own, see the documentation."},
    "when": {
      "type": "object",
      "additionalProperties": {"type": "array", "items": {"type": "string"}},
      "description": "Templates and the texts that they may come to; other requests are ignored."
    },
    "trusted": {"type": "boolean", "default": false, "description": "The sender wrote the message himself. Otherwise it is content of others, and a text such as /stop is no command."},
    "callback_url": {"type": "string", "format": "uri", "description": "Where answers are sent."},
    "callback_secret": {"type": "string", "description": "The secret that answers are signed with, as Standard Webhooks; a reference."}
  }
}
`

// section is a channel's section as it is written.
type section struct {
	Verify         json.RawMessage     `json:"verify"`
	VerifyToken    string              `json:"verify_token"`
	Message        string              `json:"message"`
	Conversation   string              `json:"conversation"`
	Thread         string              `json:"thread"`
	Sender         string              `json:"sender"`
	SenderName     string              `json:"sender_name"`
	ID             string              `json:"id"`
	When           map[string][]string `json:"when"`
	Trusted        bool                `json:"trusted"`
	CallbackURL    string              `json:"callback_url"`
	CallbackSecret string              `json:"callback_secret"`
}

func defaults() section {
	return section{
		Message: "{{ .message ?? .text ?? . }}", Conversation: `{{ .conversation ?? "default" }}`, Sender: "webhook",
	}
}

// fields are where the keys of a section go.
func (s *section) fields() map[string]any {
	return map[string]any{
		"verify": &s.Verify, "verify_token": &s.VerifyToken, "message": &s.Message, "conversation": &s.Conversation,
		"thread": &s.Thread, "sender": &s.Sender, "sender_name": &s.SenderName, "id": &s.ID, "when": &s.When,
		"trusted": &s.Trusted, "callback_url": &s.CallbackURL, "callback_secret": &s.CallbackSecret,
	}
}

// faults collects mistakes; of one place it keeps the first.
type faults []channels.Fault

func (f *faults) add(path, text string) {
	if !slices.ContainsFunc(*f, func(x channels.Fault) bool { return x.Path == path }) {
		*f = append(*f, channels.Fault{Path: path, Text: text})
	}
}

// parse reads a section and lists everything that is wrong with it.
func parse(cfg json.RawMessage) (settings, []channels.Fault) {
	var keys map[string]json.RawMessage
	if len(bytes.TrimSpace(cfg)) == 0 || json.Unmarshal(cfg, &keys) != nil || keys == nil {
		return settings{}, []channels.Fault{{Text: "the section must be a mapping of keys to values"}}
	}
	var f faults
	s := defaults()
	known := s.fields()
	for name, value := range keys {
		into, ok := known[name]
		switch {
		case !ok:
			f.add(name, unknownKey(name, known))
		case json.Unmarshal(value, into) != nil:
			f.add(name, shape(name))
		}
	}
	out := s.settings(&f)
	slices.SortFunc(f, func(a, b channels.Fault) int { return strings.Compare(a.Path, b.Path) })
	return out, f
}

func shape(name string) string {
	switch name {
	case "when":
		return "must be a mapping of templates to lists of texts"
	case "trusted":
		return "must be true or false"
	}
	return "must be a text"
}

// settings are what a section says.
func (s section) settings(f *faults) settings {
	out := settings{VerifyToken: s.VerifyToken, CallbackURL: s.CallbackURL, CallbackSecret: s.CallbackSecret}
	if len(s.Verify) == 0 {
		f.add("verify", "is missing: how a request proves whose it is, such as {kind: github, secret: secret://NAME}")
	} else {
		var bad []proof.Fault
		out.Verify, bad = proof.Read(s.Verify)
		for _, x := range bad {
			f.add(strings.TrimSuffix("verify."+x.Path, "."), x.Text)
		}
	}
	if s.VerifyToken != "" && out.Verify.Kind != proof.Meta {
		f.add("verify_token", "is only used with the kind meta")
	}
	template := func(path, text string, must bool) codec.Template {
		t, err := codec.Parse(text)
		switch {
		case err != nil:
			f.add(path, err.Error())
		case must && strings.TrimSpace(text) == "":
			f.add(path, "must not be empty")
		}
		return t
	}
	out.Mapping = codec.Mapping{
		Message: template("message", s.Message, true), Conversation: template("conversation", s.Conversation, true),
		Thread: template("thread", s.Thread, false), Sender: template("sender", s.Sender, true),
		SenderName: template("sender_name", s.SenderName, false), Key: template("id", s.ID, false), Trusted: s.Trusted,
	}
	for _, name := range slices.Sorted(maps.Keys(s.When)) {
		out.Mapping.When = append(out.Mapping.When, codec.When{Name: name, Test: template("when", name, true), Is: s.When[name]})
	}
	s.callback(f)
	return out
}

func (s section) callback(f *faults) {
	if s.CallbackURL == "" {
		if s.CallbackSecret != "" {
			f.add("callback_secret", "signs nothing without a callback_url")
		}
		return
	}
	if u, err := url.Parse(s.CallbackURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.Fragment != "" {
		f.add("callback_url", "must be an https URL without a user and a fragment")
	}
	if strings.TrimSpace(s.CallbackSecret) == "" {
		f.add("callback_secret", "is missing: the secret that answers are signed with; store one with `gatehouse secrets set NAME` and write secret://NAME here")
	}
}

// unknownKey names the key that was probably meant.
func unknownKey(name string, known map[string]any) string {
	best := nearest.Of(name, slices.Collect(maps.Keys(known)), 2)
	if best == "" {
		return "is not a key of a webhook channel"
	}
	return fmt.Sprintf("is not a key of a webhook channel; did you mean %s?", best)
}
