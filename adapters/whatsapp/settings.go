//go:build !nowhatsapp

package whatsapp

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/nearest"
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
	keys := map[string]json.RawMessage{}
	if b := bytes.TrimSpace(cfg); len(b) == 0 || b[0] != '{' || json.Unmarshal(b, &keys) != nil {
		return s, []channels.Fault{{Text: "the section must be a mapping of keys to values"}}
	}
	fields := map[string]any{"base_url": &s.BaseURL, "trust": &s.Trust, "read": &s.Read}
	var faults []channels.Fault
	for name, value := range keys {
		field, ok := fields[name]
		switch {
		case !ok:
			faults = append(faults, channels.Fault{Path: name, Text: unknownKey(name, fields)})
		case json.Unmarshal(value, field) != nil:
			kind := "a text"
			if name == "read" {
				kind = "true or false"
			}
			faults = append(faults, channels.Fault{Path: name, Text: "must be " + kind})
		}
	}
	for _, f := range s.resolve() {
		if !slices.ContainsFunc(faults, func(known channels.Fault) bool { return known.Path == f.Path }) {
			faults = append(faults, f)
		}
	}
	slices.SortFunc(faults, func(a, b channels.Fault) int { return strings.Compare(a.Path, b.Path) })
	return s, faults
}

// resolve reads the keys' values.
func (s *settings) resolve() (faults []channels.Fault) {
	if s.BaseURL != "" {
		u, err := url.Parse(s.BaseURL)
		if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			faults = append(faults, channels.Fault{Path: "base_url", Text: "must be an http or https URL without user, query or fragment"})
		} else {
			s.base = u
		}
	}
	if s.Trust == "" {
		return faults
	}
	key, err := hex.DecodeString(s.Trust)
	switch {
	case err != nil || len(key) != 32:
		faults = append(faults, channels.Fault{Path: "trust", Text: "must be a key of 32 bytes in hexadecimal"})
	case s.base == nil || !onThisMachine(s.base.Hostname()):
		faults = append(faults, channels.Fault{Path: "trust", Text: "is only for an emulator: base_url must be on this machine, such as http://127.0.0.1:8090"})
	default:
		s.trust = key
	}
	return faults
}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// unknownKey names the key that was probably meant.
func unknownKey(name string, known map[string]any) string {
	best := nearest.Of(name, slices.Collect(maps.Keys(known)), 2)
	if best == "" {
		return "is not a key of a whatsapp channel"
	}
	return fmt.Sprintf("is not a key of a whatsapp channel; did you mean %s?", best)
}
