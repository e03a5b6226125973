package webhook

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/gatehouse-chat/gatehouse/adapters/webhook/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/proof"
	"github.com/gatehouse-chat/gatehouse/channels/section"
)

// settings are the adapter's own keys of a channel's section.
type settings struct {
	Verify         proof.Spec
	Proof          codec.Proof
	VerifyToken    string // a reference
	Mapping        codec.Mapping
	CallbackURL    string
	CallbackSecret string // a reference
	CallbackFiles  bool
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
        "kind": {"enum": ["standard-webhooks", "github", "stripe", "slack", "meta", "hmac", "ed25519", "bearer", "header", "body", "jwt"]},
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
        "audience": {"type": "string"},
        "match": {"type": "string", "description": "jwt: a claim, and where the body says the same, such as serviceurl=/serviceUrl."},
        "pointer": {"type": "string", "description": "body: where the secret stands, such as /context/token."}
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
    "callback_secret": {"type": "string", "description": "The secret that answers are signed with, as Standard Webhooks; a reference."},
    "callback_files": {"type": "boolean", "default": true, "description": "Files of an answer are in the callback, in base64, up to 5 MB each. Otherwise the text says that they are missing."}
  }
}
`

// written is a channel's section as it is written.
type written struct {
	codec.Keys

	Verify         json.RawMessage
	VerifyToken    string
	CallbackURL    string
	CallbackSecret string
	CallbackFiles  bool
}

func defaults() written {
	return written{Keys: codec.Keys{
		Message: "{{ .message ?? .text ?? . }}", Conversation: `{{ .conversation ?? "default" }}`, Sender: "webhook",
	}, CallbackFiles: true}
}

// fields are where the keys of a section go.
func (s *written) fields() map[string]any {
	return map[string]any{
		"verify": &s.Verify, "verify_token": &s.VerifyToken, "message": &s.Message, "conversation": &s.Conversation,
		"thread": &s.Thread, "sender": &s.Sender, "sender_name": &s.SenderName, "id": &s.ID, "when": &s.When,
		"trusted": &s.Trusted, "callback_url": &s.CallbackURL, "callback_secret": &s.CallbackSecret,
		"callback_files": &s.CallbackFiles,
	}
}

// parse reads a section and lists everything that is wrong with it.
func parse(cfg json.RawMessage) (settings, []channels.Fault) {
	s := defaults()
	f, ok := section.Read(cfg, "webhook", s.fields())
	if !ok {
		return settings{}, f.List()
	}
	return s.settings(f), f.List()
}

// settings are what a section says.
func (s written) settings(f *section.Faults) settings {
	out := settings{VerifyToken: s.VerifyToken, CallbackURL: s.CallbackURL, CallbackSecret: s.CallbackSecret, CallbackFiles: s.CallbackFiles}
	if len(s.Verify) == 0 {
		f.Add("verify", "is missing: how a request proves whose it is, such as {kind: github, secret: secret://NAME}")
	} else {
		var bad []proof.Fault
		out.Verify, bad = proof.Read(s.Verify)
		for _, x := range bad {
			f.Add(strings.TrimSuffix("verify."+x.Path, "."), x.Text)
		}
	}
	if s.VerifyToken != "" && out.Verify.Kind != proof.Meta {
		f.Add("verify_token", "is only used with the kind meta")
	}
	out.Proof = codec.Proof{
		Kind: string(out.Verify.Kind), Stamp: out.Verify.Stamp, Signed: out.Verify.Signed(), Stamped: out.Verify.Stamped(),
	}
	out.Mapping = s.Mapping(func(path, text string) { f.Add(path, text) })
	s.callback(f)
	return out
}

func (s written) callback(f *section.Faults) {
	if s.CallbackURL == "" {
		if s.CallbackSecret != "" {
			f.Add("callback_secret", "signs nothing without a callback_url")
		}
		return
	}
	if u, err := url.Parse(s.CallbackURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.Fragment != "" {
		f.Add("callback_url", "must be an https URL without a user and a fragment")
	}
	if strings.TrimSpace(s.CallbackSecret) == "" {
		f.Add("callback_secret", "is missing: the secret that answers are signed with; store one with `gatehouse secrets set NAME` and write secret://NAME here")
	}
}
