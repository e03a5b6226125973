//go:build !nowhatsapp

package whatsapp

import (
	"encoding/hex"
	"encoding/json"
	"net"
	"net/url"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/section"
)

// settings are the adapter's own keys of a channel's section.
type settings struct {
	BaseURL string
	Trust   string
	Read    bool

	base  *url.URL // of BaseURL; nil: WhatsApp itself
	trust []byte   // of Trust; nil: WhatsApp's own
}

const schema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "read": {
      "type": "boolean",
      "default": true,
      "description": "Mark a message as read, with blue ticks, when the bot begins to work on it."
    },
    "base_url": {
      "type": "string",
      "format": "uri",
      "description": "Where to connect instead of WhatsApp's own servers: an emulator."
    },
    "trust": {
      "type": "string",
      "description": "The public key, in hexadecimal, by which an emulator proves itself instead of by WhatsApp's. Only together with a base_url on this machine."
    }
  }
}
`

// parse reads a section and lists everything that is wrong with it.
func parse(cfg json.RawMessage) (settings, []channels.Fault) {
	s := settings{Read: true}
	f, ok := section.Read(cfg, "whatsapp", map[string]any{"base_url": &s.BaseURL, "trust": &s.Trust, "read": &s.Read})
	if ok {
		s.resolve(f)
	}
	return s, f.List()
}

// resolve reads the keys' values.
func (s *settings) resolve(f *section.Faults) {
	if s.BaseURL != "" {
		f.URL("base_url", s.BaseURL, "http://127.0.0.1:8090")
		s.base, _ = url.Parse(s.BaseURL)
	}
	if s.Trust == "" {
		return
	}
	key, err := hex.DecodeString(s.Trust)
	switch {
	case err != nil || len(key) != 32:
		f.Add("trust", "must be a key of 32 bytes in hexadecimal")
	case s.base == nil || !onThisMachine(s.base.Hostname()):
		f.Add("trust", "is only for an emulator: base_url must be on this machine, such as http://127.0.0.1:8090")
	default:
		s.trust = key
	}
}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
