package wasm

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/proof"
	"github.com/gatehouse-chat/gatehouse/internal/nearest"
)

// schema is the part of a JSON schema that a module can describe its keys with.
type schema struct {
	Required   []string            `json:"required"`
	Properties map[string]property `json:"properties"`
	AllOf      []condition         `json:"allOf"`
}

// condition is what else is required where keys have certain values.
type condition struct {
	If struct {
		Properties map[string]struct {
			Const any `json:"const"`
		} `json:"properties"`
	} `json:"if"`
	Then struct {
		Required []string `json:"required"`
	} `json:"then"`
}

// needs are the keys that a section with these must have.
func (s *schema) needs(keys map[string]any) []string {
	all := slices.Clone(s.Required)
	for _, c := range s.AllOf {
		holds := true
		for name, want := range c.If.Properties {
			holds = holds && keys[name] == want.Const
		}
		if holds {
			all = append(all, c.Then.Required...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

type property struct {
	Type    string `json:"type"` // string, integer, number, boolean, object; "": any of enum
	Format  string `json:"format"`
	Pattern string `json:"pattern"`
	Enum    []any  `json:"enum"`
	Default any    `json:"default"`
}

func (s *schema) read(b json.RawMessage) error {
	if len(b) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, s); err != nil {
		return err
	}
	var errs []error
	for name, p := range s.Properties {
		if name == "module" || name == "publisher" {
			errs = append(errs, fmt.Errorf("%q is a key of every wasm channel", name)) //nolint:err113 // for people
		}
		if _, err := regexp.Compile(p.Pattern); err != nil {
			errs = append(errs, fmt.Errorf("%s: pattern: %w", name, err))
		}
		if !slices.Contains([]string{"", "string", "integer", "number", "boolean", "object"}, p.Type) {
			errs = append(errs, fmt.Errorf("%s: type %q, want string, integer, number, boolean or object", name, p.Type)) //nolint:err113 // for people
		}
	}
	return errors.Join(errs...)
}

// section is a channel's configuration.
type section struct {
	shown
	forGuest json.RawMessage   // with defaults, without secrets
	refs     map[string]string // the references of secrets, by key
	grants   []grant
	sockets  []socketGrant
	proofs   []proof.Spec // of the manifest's webhooks, in their order; one without a kind lacks what the operator left out, and is closed
}

// section reads a channel's configuration and lists what is wrong with it.
func (t *terms) section(cfg json.RawMessage) (section, []channels.Fault) {
	var keys map[string]any
	if json.Unmarshal(cfg, &keys) != nil || keys == nil {
		return section{}, []channels.Fault{{Text: "the section must be a mapping of keys to values"}}
	}
	var faults []channels.Fault
	fault := func(path, format string, args ...any) {
		faults = append(faults, channels.Fault{Path: path, Text: fmt.Sprintf(format, args...)})
	}
	for _, name := range []string{"module", "publisher"} {
		if v, ok := keys[name]; ok {
			if _, text := v.(string); !text {
				fault(name, "must be a text")
			}
		} else if name == "module" {
			fault(name, "is missing")
		}
		delete(keys, name)
	}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		p, ok := t.schema.Properties[name]
		if !ok {
			fault(name, "%s", t.unknown(name))
		} else if why := p.check(keys[name]); why != "" {
			fault(name, "%s", why)
		}
	}
	for name, p := range t.schema.Properties {
		if _, ok := keys[name]; !ok && p.Default != nil {
			keys[name] = p.Default
		}
	}
	for _, name := range t.schema.needs(keys) {
		if _, ok := keys[name]; !ok {
			fault(name, "is missing")
		}
	}
	if len(faults) > 0 {
		return section{}, faults
	}
	return t.complete(keys)
}

// complete resolves what the manifest takes from the configuration.
func (t *terms) complete(keys map[string]any) (section, []channels.Fault) {
	s := section{shown: t.of(keys), refs: map[string]string{}}
	for _, name := range t.secrets() {
		s.refs[name], _ = keys[name].(string)
		delete(keys, name)
	}
	var faults []channels.Fault
	s.grants, faults = t.requests(keys)
	for _, w := range t.m.Webhooks {
		if t.closed(w.Verify, s.refs, keys) {
			s.proofs = append(s.proofs, proof.Spec{})
			continue
		}
		spec, wrong := t.proof(w.Verify, s.refs, keys)
		faults = append(faults, wrong...)
		s.proofs = append(s.proofs, spec)
	}
	for i, w := range t.m.Webhooks { // no secret's name is for the guest
		if name := chosen(w.Verify); name != "" && keys[name] != nil {
			keys[name] = toldProof(s.proofs[i])
		}
	}
	faults = append(faults, t.unsigned(s.refs, keys)...)
	for _, m := range t.m.Sockets {
		g, err := newSocketGrant(m, socketBase(m.URL, keys))
		if err != nil {
			faults = append(faults, channels.Fault{Path: variable(m.URL), Text: err.Error()})
		}
		s.sockets = append(s.sockets, g)
	}
	s.forGuest, _ = json.Marshal(keys) // it came from JSON
	return s, faults
}

// unsigned are the secrets that are missing, because the operator wrote where
// signed requests go.
func (t *terms) unsigned(refs map[string]string, keys map[string]any) (faults []channels.Fault) {
	for _, h := range t.m.HTTP {
		if c := h.Credential; c != nil && c.In == inSignature && refs[c.Secret] == "" && isVariable(h.Host) && keys[variable(h.Host)] != nil {
			faults = append(faults, channels.Fault{Path: c.Secret, Text: "is missing: what requests to the " + variable(h.Host) + " are signed with"})
		}
	}
	return faults
}

// requests are those that the manifest lists, with what the configuration says.
// Those to an address that the operator left out cannot be made.
func (t *terms) requests(keys map[string]any) (all []grant, faults []channels.Fault) {
	for _, h := range t.m.HTTP {
		if isVariable(h.Host) && keys[variable(h.Host)] == nil {
			continue
		}
		base := manifestURL(h)
		if isVariable(h.Host) {
			base = resolved(h.Host, keys)
		}
		h.Path = fill(h.Path, keys)
		if h.Credential != nil {
			filled := *h.Credential
			filled.Template = fill(filled.Template, keys)
			h.Credential = &filled
		}
		g, err := newGrant(h, base)
		if err != nil {
			faults = append(faults, channels.Fault{Path: variable(h.Host), Text: err.Error()})
		}
		all = append(all, g)
	}
	return all, faults
}

// fill puts what the operator wrote where a path or a template names a key. What
// is left out stays, and is in no request.
func fill(template string, keys map[string]any) string {
	for name, v := range keys {
		if text, ok := v.(string); ok {
			template = strings.ReplaceAll(template, "${config."+name+"}", text)
		}
	}
	return template
}

func (t *terms) unknown(name string) string {
	text := "is not a key of the module " + t.m.ID
	if best := nearest.Of(name, slices.Collect(maps.Keys(t.schema.Properties)), 2); best != "" {
		text += "; did you mean " + best + "?"
	}
	return text
}

// check says what is wrong with a value; "": nothing.
func (p property) check(v any) string {
	text, isText := v.(string)
	switch p.Type {
	case "string":
		if !isText || strings.TrimSpace(text) == "" {
			return "must be a text"
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return "must be true or false"
		}
	case "object":
		if _, ok := v.(map[string]any); !ok {
			return "must be a mapping"
		}
		return ""
	case "integer", "number":
		if n, ok := v.(float64); !ok || p.Type == "integer" && n != float64(int64(n)) {
			return "must be a number"
		}
	}
	switch v.(type) {
	case string, bool, float64:
	default:
		return "must be a single value"
	}
	if len(p.Enum) > 0 && !slices.Contains(p.Enum, v) {
		return fmt.Sprintf("must be one of %v", p.Enum)
	}
	if p.Pattern != "" && !regexp.MustCompile(p.Pattern).MatchString(text) { // read has compiled it before
		return "must have the form " + p.Pattern
	}
	if p.Format == "uri" {
		if _, err := anyURL(withoutQuery(text)); err != nil {
			return err.Error()
		}
	}
	return ""
}

// withoutQuery is a URL up to its query, which belongs to an address that is
// called as it is. Where requests only begin with it, newGrant wants none.
func withoutQuery(text string) string {
	before, _, _ := strings.Cut(text, "?")
	return before
}

// socketBase is where a socket of the manifest connects to. Where the operator
// wrote the address of the platform's requests, it is the one beside it.
func socketBase(url string, keys map[string]any) string {
	if !isVariable(url) {
		return url
	}
	_, path, _ := strings.Cut(url, "}")
	base := resolved(url, keys)
	if rest, ok := strings.CutPrefix(base, "http"); ok && (strings.HasPrefix(rest, ":") || strings.HasPrefix(rest, "s:")) {
		base = "ws" + rest
	}
	if path == "" {
		return base
	}
	return strings.TrimRight(base, "/") + path
}

var (
	errBase = errors.New("must be an http or https URL without user, query and fragment")
	errWS   = errors.New("must be a ws or wss URL without user, query and fragment")
)

// anyURL reads the URL of requests or of a socket.
func anyURL(s string) (*url.URL, error) {
	if u, err := baseURL(s); err == nil {
		return u, nil
	}
	if u, err := socketURL(s); err == nil {
		return u, nil
	}
	return nil, errBase
}

// socketURL reads what connections are made to.
func socketURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.Scheme != "wss" && u.Scheme != "ws" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errWS
	}
	return u, nil
}

func baseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errBase
	}
	return u, nil
}

// authority is a URL's host with its port, in one form.
func authority(u *url.URL) string {
	port := u.Port()
	if port == "" {
		switch u.Scheme {
		case "https", "wss":
			port = "443"
		case "http", "ws":
			port = "80"
		}
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
