package config

import (
	"net/url"
	"path/filepath"
	"strings"
)

// The sources of the vault's key.
const (
	KeyFile       = "file"
	KeyPassphrase = "passphrase"
	KeyCredential = "credential"
	KeyKeyring    = "keyring"
	KeyTransit    = "transit"
)

// Key says where the key is that unlocks the vault. A single value is the path
// of a file.
type Key struct {
	Source    string `yaml:"source" enum:"file,passphrase,credential,keyring,transit" doc:"file: a key in a file. passphrase: the same, under a passphrase. credential: one that systemd passes. keyring: one in the system's keyring. transit: one that a Vault or OpenBao server keeps to itself."`
	Path      string `yaml:"path" doc:"The file of file and passphrase."`
	Name      string `yaml:"name" doc:"The name of credential, keyring and transit; default gatehouse-key."`
	State     string `yaml:"state" doc:"File for the versions that were seen, where 'path' cannot be written to or there is none; default beside 'path'. Never inside 'data'."`
	Address   string `yaml:"address" doc:"URL of the server of transit."`
	Mount     string `yaml:"mount" doc:"Path of its engine; default transit."`
	TokenFile string `yaml:"token_file" doc:"File with the token for it, kept fresh by an agent or renewed from here."`
}

// Vault says how strict the vault is.
type Vault struct {
	Strict bool `yaml:"strict" doc:"Refuse secrets from the environment, secrets that stand in the configuration, and new ones of fewer than 12 characters."`
}

// Set reports whether there is a key at all.
func (k Key) Set() bool { return k != Key{} }

// filled adds what follows from the rest. def is the usual path.
func (k Key) filled(def string) Key {
	if k.Source == "" {
		k.Source = KeyFile
	}
	if k.Path == "" {
		k.Path = def
	}
	if k.Name == "" {
		k.Name = "gatehouse-key"
	}
	k.Path, k.State, k.TokenFile = home(k.Path), home(k.State), home(k.TokenFile)
	if k.State == "" {
		k.State = k.Path + ".version"
	}
	return k
}

// inFile reports whether the key itself lies in a file.
func (k Key) inFile() bool { return k.Source == KeyFile || k.Source == KeyPassphrase }

// keys checks where the keys are.
func (r *reader) keys(c *Config) {
	for _, at := range []struct {
		path string
		key  Key
	}{{"key", c.Key}, {"key_from", c.KeyFrom}} {
		k := at.key
		if !k.Set() {
			continue
		}
		if k.inFile() && within(c.Data, k.Path) {
			r.plain(at.path, "must not be inside 'data': who copies the data folder must not get the key with it")
		} else if within(c.Data, k.State) {
			r.plain(at.path+".state", "must not be inside 'data': who puts an old folder back would put the versions back with it")
		}
		if k.Source != KeyTransit {
			continue
		}
		if u, err := url.Parse(k.Address); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
			r.plain(at.path+".address", "is not a URL such as https://vault.example.com:8200")
		}
		if k.TokenFile == "" {
			r.plain(at.path+".token_file", "is missing: the server wants to see a token")
		}
	}
	if c.KeyFrom.Set() && c.KeyFrom == c.Key {
		r.plain("key_from", "is the same as 'key'")
	}
}

// within reports whether a path lies in a folder.
func within(folder, path string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && folder != "" && path != "" && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
