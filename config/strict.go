package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// secretsByReference faults every secret that stands in the configuration
// itself, or came into it from the environment.
func (r *reader) secretsByReference(c *Config) {
	for _, name := range slices.Sorted(maps.Keys(c.Models)) {
		if plainSecret(c.Models[name].APIKey) {
			r.plain("models."+name+".api_key", fmt.Sprintf("a secret stands here: gatehouse secrets set %s, and write secret://%s", name, name))
		}
	}
	if plainSecret(c.Memory.APIKey) {
		r.plain("memory.api_key", "a secret stands here: gatehouse secrets set memory, and write secret://memory")
	}
	for _, id := range slices.Sorted(maps.Keys(c.Channels)) {
		var section map[string]any
		_ = json.Unmarshal(c.Channels[id].Section, &section) // made by this package
		r.plainSecrets("channels."+id, strings.ToLower(id), section)
	}
	if u, err := url.Parse(c.Store); err == nil && u.User != nil {
		if _, has := u.User.Password(); has {
			r.plain("store", "a password stands here: take it out, and put it into the file that PGPASSFILE names")
		}
	}
}

// plainSecrets faults the secrets in a section, and in the mappings inside of it.
func (r *reader) plainSecrets(path, name string, section map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(section)) {
		name := name + "-" + strings.ReplaceAll(key, "_", "-")
		switch value := section[key].(type) {
		case map[string]any:
			r.plainSecrets(path+"."+key, name, value)
		case string:
			if secretKey(key) && plainSecret(value) {
				r.plain(path+"."+key, fmt.Sprintf("a secret stands here: gatehouse secrets set %s, and write secret://%s", name, name))
			}
		}
	}
}

// secretKey reports whether an adapter's key holds a secret, by its name: all of
// them are called so.
func secretKey(key string) bool {
	if key == "public_key" {
		return false
	}
	for _, end := range []string{"token", "secret", "password", "passphrase", "key"} {
		if key == end || strings.HasSuffix(key, "_"+end) {
			return true
		}
	}
	return false
}

// plainSecret reports whether a value is a secret itself.
func plainSecret(value string) bool { return value != "" && !strings.HasPrefix(value, "secret://") }

// closed faults what lets in everybody, and a key that is copied with the data.
func (r *reader) closed(c *Config) {
	for _, id := range slices.Sorted(maps.Keys(c.Channels)) {
		at := "channels." + id
		if ch := c.Channels[id]; ch.DM == "open" && r.usualDM(ch.Adapter) != "open" {
			r.plain(at+".dm", "everybody may write to it: pairing asks you about each, allowlist names who may")
		}
		if c.Channels[id].Groups == "open" {
			r.plain(at+".groups", "it answers in every room that it is added to: allowlist names the rooms")
		}
	}
	if c.Key.inFile() && filepath.Dir(filepath.Clean(c.Key.Path)) == filepath.Dir(filepath.Clean(c.Data)) {
		r.plain("key", "lies beside 'data', in the same folder, and is copied with it: choose another folder, or another source")
	}
}
