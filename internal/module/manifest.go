package module

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// Manifest says what a guest is and what it wants.
type Manifest struct {
	ID      string   `json:"id"`
	Version string   `json:"version"` // three numbers: 1.2.3
	ABI     string   `json:"abi"`     // gw1 or extism
	Kind    []string `json:"kind"`    // channel, tool
	SHA256  string   `json:"sha256"`  // of the module, in hexadecimal
	Engine  string   `json:"engine"`  // auto, compiler or interpreter; "" is auto
	Args    []string `json:"args"`    // of the program: code that several modules share learns from them which it is

	Webhooks []Webhook `json:"webhooks"`
	Poll     *Poll     `json:"poll"`
	Sockets  []Socket  `json:"sockets"`
	HTTP     []HTTP    `json:"http"`
	KV       *KV       `json:"kv"`
	Emit     *Emit     `json:"emit"`
	Links    *Links    `json:"links"`
	Tools    []string  `json:"tools"` // that the guest may call
	Limits   Limits    `json:"limits"`
	Tool     *Tool     `json:"tool"` // of a guest of kind tool

	Features     json.RawMessage `json:"features"`      // for the adapter
	ConfigSchema json.RawMessage `json:"config_schema"` // JSON Schema
	Tests        []Test          `json:"tests"`
}

// Tool is what the model is told of a guest of kind tool. Its name is the
// module's id, with _ in the place of hyphens.
type Tool struct {
	Description string          `json:"description"`
	Schema      json.RawMessage `json:"schema"` // JSON Schema of the arguments, an object
	Effect      string          `json:"effect"` // the least harmful that its calls are; see docs/tools.md
}

// Webhook is a path under the channel's own, on which a platform calls.
type Webhook struct {
	Path    string   `json:"path"`
	Methods []string `json:"methods"`
	Verify  Verify   `json:"verify"`
}

// Verify is how the host checks that a call is the platform's: kinds and fields
// are those of the package channels/proof.
type Verify struct {
	Kind      string `json:"kind"`   // or ${config.name}, where the operator wrote the whole proof
	Secret    string `json:"secret"` // the secret's name, never its value
	Name      string `json:"name"`   // of the header that carries the proof
	Prefix    string `json:"prefix"`
	Encoding  string `json:"encoding"`
	Hash      string `json:"hash"`
	Stamp     string `json:"stamp"`
	Signs     string `json:"signs"`
	Within    string `json:"within"`
	Pointer   string `json:"pointer"`    // where the secret stands in a JSON body
	PublicKey string `json:"public_key"` // or ${config.name}, as the next three
	KeysURL   string `json:"keys_url"`   // where an issuer of tokens publishes its keys
	Issuer    string `json:"issuer"`
	Audience  string `json:"audience"`
	Match     string `json:"match"` // a claim, and where the body says the same
}

// Poll asks the host to call the guest again and again.
type Poll struct {
	MinInterval string `json:"min_interval"` // such as 2s
}

// Socket is a connection that the host holds for the guest.
type Socket struct {
	URL        string      `json:"url"` // wss://..., or ${config.name} or ${config.name.origin} and what follows
	Credential *Credential `json:"credential"`
	Batch      int         `json:"batch"` // how many messages a call is given at most; 0: the host's limit
}

// HTTP is a kind of request that the guest may make.
type HTTP struct {
	Scheme      string      `json:"scheme"` // https, or http
	Host        string      `json:"host"`   // a name, *.name, ${config.name} for a base URL, or ${config.name.origin} for its host with any path
	Port        int         `json:"port"`   // 0: the scheme's
	Methods     []string    `json:"methods"`
	Path        string      `json:"path"`     // what the path begins with
	MaxRequest  int64       `json:"max_req"`  // bytes; 0: the host's limit
	MaxResponse int64       `json:"max_resp"` // bytes; 0: the host's limit
	Credential  *Credential `json:"credential"`
}

// Credential is a secret that the host puts into a request or a frame. The guest
// never sees it.
type Credential struct {
	Secret   string `json:"secret"`
	In       string `json:"in"`       // header, query, path, body or frame; signature: it signs the body, as Standard Webhooks
	Name     string `json:"name"`     // of the header or the parameter
	Pointer  string `json:"pointer"`  // in a body or a frame, such as /d/token
	Template string `json:"template"` // such as "Bearer {}"; "" is the value alone
}

// KV is the state that the guest may keep.
type KV struct {
	Prefix   string `json:"prefix"`
	MaxBytes int64  `json:"max_bytes"`
}

// Emit is how many events the guest may hand in.
type Emit struct {
	Rate float64 `json:"rate"` // each second
}

// Links are the guest's right to lend the files that it sends: under links of the
// gateway, for platforms that fetch files themselves.
type Links struct {
	Hours int `json:"hours"` // how long each lasts
}

// Limits are what the guest needs of a call, where that is not the default.
type Limits struct {
	MemoryMB  int   `json:"memory_mb"`
	Fuel      int64 `json:"fuel"`
	WallMS    int64 `json:"wall_ms"`
	HostCalls int   `json:"host_calls"`
	HTTP      int   `json:"http"` // of the host calls
}

// Test is a call whose answer is known. It is made on both engines before a
// module is installed, without any network: HTTP has what the platform says.
type Test struct {
	Name string          `json:"name"`
	Op   string          `json:"op"`
	In   json.RawMessage `json:"in"`
	// Body follows the header of the input.
	Body  string            `json:"body"`
	State map[string]string `json:"state"` // what the guest has stored before
	Files map[string]string `json:"files"` // what stands behind the handles of files, in base64
	HTTP  []Exchange        `json:"http"`  // the requests that it makes, in this order
	// Out is what the answer's header holds at least, Events what the events hold
	// that it hands in, all of them. What is nil is not looked at.
	Out    json.RawMessage   `json:"out"`
	Answer json.RawMessage   `json:"answer"` // what the answer's body holds at least, as JSON
	Events []json.RawMessage `json:"events"`
	Error  string            `json:"error"` // the code that it fails with; "": it succeeds
}

// Exchange is a request of a test, with what the platform answers.
type Exchange struct {
	Method string          `json:"method"` // "": any
	URL    string          `json:"url"`    // "": any; with {name} where a secret goes
	Body   json.RawMessage `json:"body"`   // what the request's body holds at least, as JSON

	Status  int               `json:"status"` // 0: 200
	Headers map[string]string `json:"headers"`
	Answer  string            `json:"answer"`  // the response's body
	Refusal int32             `json:"refusal"` // why there is no response: -4, -5; 0: there is one
}

// ParseManifest reads a manifest and returns all of its faults joined, each with
// its place. An unknown key is a fault. A manifest is JSON: whoever ships a
// module wrote it, and the parsers of YAML, in which people may write it, can be
// made to fill the memory with a few lines.
func ParseManifest(text []byte) (*Manifest, error) {
	if len(text) > maxManifest {
		return nil, fmt.Errorf("the manifest has %d bytes, at most %d", len(text), maxManifest)
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("the manifest: %w", err)
	}
	var f faults
	f.shape("", tree, reflect.TypeFor[Manifest]())
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		if len(f) == 0 { // such as a number that is too large
			f = faults{fmt.Errorf("the manifest: %w", err)}
		}
		return nil, errors.Join(f...)
	}
	return &m, m.validate(f)
}

// Config is how the sandbox is to run the module.
func (m *Manifest) Config() sandbox.Config {
	const pagesPerMB = 16
	c := sandbox.Config{
		Name:        m.ID,
		Args:        m.Args,
		Interpreted: m.Engine == "interpreter",
		Limits: sandbox.Limits{
			MemoryPages: uint32(m.Limits.MemoryMB * pagesPerMB), //nolint:gosec // at most 32
			Fuel:        m.Limits.Fuel,
			Wall:        time.Duration(m.Limits.WallMS) * time.Millisecond,
			HostCalls:   m.Limits.HostCalls,
			HTTP:        m.Limits.HTTP,
		},
	}
	if m.ABI == "extism" {
		c.ABI = sandbox.Extism
	}
	return c
}
