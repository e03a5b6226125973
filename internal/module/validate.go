package module

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/nearest"
)

var (
	idForm      = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
	versionForm = regexp.MustCompile(`^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$`)
	sumForm     = regexp.MustCompile(`^[0-9a-f]{64}$`)
	secretForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	hostForm    = regexp.MustCompile(`^(\*\.[a-z0-9-]+\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)
	variable    = regexp.MustCompile(`^\$\{config\.[a-z_]+(\.origin)?\}$`)
	below       = regexp.MustCompile(`^\$\{config\.[a-z_]+(\.origin)?\}(/[A-Za-z0-9_.~/-]*)?$`)
)

// faults collects what is wrong, each with its place.
type faults []error

func (f *faults) add(place, format string, args ...any) {
	*f = append(*f, &Fault{place, fmt.Errorf(format, args...)}) //nolint:err113 // for people
}

// oneOf wants a value out of a list.
func (f *faults) oneOf(place, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		f.add(place, "%q, want one of %s", value, strings.Join(allowed, ", "))
	}
}

// validate adds what is wrong to f.
func (m *Manifest) validate(f faults) error {
	m.validateHead(&f)
	for i, w := range m.Webhooks {
		w.validate(fmt.Sprintf("webhooks[%d]", i), &f)
	}
	if m.Poll != nil {
		if d, err := time.ParseDuration(m.Poll.MinInterval); err != nil || d < time.Second {
			f.add("poll.min_interval", "%q, want a duration of at least 1s", m.Poll.MinInterval)
		}
	}
	for i, s := range m.Sockets {
		s.validate(fmt.Sprintf("sockets[%d]", i), &f)
	}
	for i, h := range m.HTTP {
		h.validate(fmt.Sprintf("http[%d]", i), &f)
	}
	if m.KV != nil && m.KV.MaxBytes < 0 {
		f.add("kv.max_bytes", "%d, want 0 or more", m.KV.MaxBytes)
	}
	if m.Emit != nil && m.Emit.Rate <= 0 {
		f.add("emit.rate", "%g, want more than 0 a second", m.Emit.Rate)
	}
	if m.Links != nil && (m.Links.Hours < 1 || m.Links.Hours > maxLinkHours) {
		f.add("links.hours", "%d, want 1 to %d", m.Links.Hours, maxLinkHours)
	}
	m.Limits.validate(&f)
	m.validateTool(&f)
	return errors.Join(f...)
}

// maxLinkHours is how long a link to a file can last: a week.
const maxLinkHours = 168

func (m *Manifest) validateHead(f *faults) {
	if !idForm.MatchString(m.ID) {
		f.add("id", "%q, want small letters, digits and hyphens, beginning with a letter", m.ID)
	}
	if !versionForm.MatchString(m.Version) {
		f.add("version", "%q, want three numbers such as 1.2.3", m.Version)
	}
	f.oneOf("abi", m.ABI, "gw1", "extism")
	if len(m.Kind) == 0 {
		f.add("kind", "missing, want channel, tool or both")
	}
	for i, k := range m.Kind {
		f.oneOf(fmt.Sprintf("kind[%d]", i), k, "channel", "tool")
	}
	if !sumForm.MatchString(m.SHA256) {
		f.add("sha256", "want the module's SHA-256 as 64 small hexadecimal digits")
	}
	f.oneOf("engine", m.Engine, "", "auto", "compiler", "interpreter")
	const args, longest = 16, 256
	if len(m.Args) > args || slices.ContainsFunc(m.Args, func(a string) bool { return len(a) > longest || strings.Contains(a, "\x00") }) {
		f.add("args", "want at most %d, each of at most %d bytes", args, longest)
	}
}

// validateTool wants a tool to say what it is, and to be nothing else.
func (m *Manifest) validateTool(f *faults) {
	if is := slices.Contains(m.Kind, "tool"); m.Tool == nil || !is {
		if is {
			f.add("tool", "missing, want the description, the schema and the effect of the tool")
		} else if m.Tool != nil {
			f.add("kind", "want tool, because there is a tool")
		}
		return
	}
	if len(m.Kind) > 1 {
		f.add("kind", "a module is a channel or a tool, not both")
	}
	if n := len(m.Tool.Description); n == 0 || n > maxDescription {
		f.add("tool.description", "%d bytes, want 1 to %d", n, maxDescription)
	}
	var schema struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(m.Tool.Schema, &schema) != nil || schema.Type != "object" {
		f.add("tool.schema", "want a JSON schema whose type is object")
	}
	f.oneOf("tool.effect", m.Tool.Effect, "read-local", "read-net", "write-reversible", "external", "irreversible")
	for place, has := range map[string]bool{
		"webhooks": len(m.Webhooks) > 0, "poll": m.Poll != nil, "sockets": len(m.Sockets) > 0, "emit": m.Emit != nil,
		"kv": m.KV != nil, "features": len(m.Features) > 0, "config_schema": len(m.ConfigSchema) > 0, "tools": len(m.Tools) > 0, "links": m.Links != nil,
	} {
		if has {
			f.add(place, "a tool has none")
		}
	}
	for i, h := range m.HTTP {
		if variable.MatchString(h.Host) {
			f.add(fmt.Sprintf("http[%d].host", i), "%q, want a host's name: a tool has no configuration", h.Host)
		}
	}
}

// maxDescription is how long what the model is told of a tool may be, in bytes.
const maxDescription = 2000

func (l Limits) validate(f *faults) {
	between := func(place string, v, most int64) {
		if v < 0 || v > most {
			f.add("limits."+place, "%d, want at most %d", v, most)
		}
	}
	between("memory_mb", int64(l.MemoryMB), 32)
	between("fuel", l.Fuel, 1e10)
	between("wall_ms", l.WallMS, 60_000)
	between("host_calls", int64(l.HostCalls), 1000)
	between("http", int64(l.HTTP), 32)
}

func (w Webhook) validate(place string, f *faults) {
	if !strings.HasPrefix(w.Path, "/") || strings.ContainsAny(w.Path, "%\\?#;") || strings.Contains(w.Path, "..") || strings.Contains(w.Path, "//") {
		f.add(place+".path", "%q, want a plain path that begins with /", w.Path)
	}
	validateMethods(place, w.Methods, f)
	if v := w.Verify; variable.MatchString(v.Kind) {
		if v != (Verify{Kind: v.Kind}) {
			f.add(place+".verify", "want nothing beside %s: the configuration says the rest", v.Kind)
		}
	} else if v.Kind == "" || !secretForm.MatchString(v.Secret) && v.PublicKey == "" && v.KeysURL == "" {
		f.add(place+".verify", "missing: want a kind and the name of a secret, a public key, or where keys are published, so that not everyone can call")
	}
}

func validateMethods(place string, methods []string, f *faults) {
	if len(methods) == 0 {
		f.add(place+".methods", "missing: none is allowed")
	}
	for i, m := range methods {
		f.oneOf(fmt.Sprintf("%s.methods[%d]", place, i), m,
			http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete)
	}
}

func (s Socket) validate(place string, f *faults) {
	if !below.MatchString(s.URL) {
		u, err := url.Parse(s.URL)
		if err != nil || u.Scheme != "wss" && u.Scheme != "ws" || u.Host == "" || u.User != nil {
			f.add(place+".url", "%q, want wss://host/path, or ${config.name} with or without a path", s.URL)
		}
	}
	if s.Credential != nil {
		s.Credential.validate(place+".credential", f)
	}
	if s.Batch < 0 || s.Batch > maxBatch {
		f.add(place+".batch", "%d, want at most %d", s.Batch, maxBatch)
	}
}

// maxBatch is how many messages of a socket the host collects at most.
const maxBatch = 64

func (h HTTP) validate(place string, f *faults) {
	f.oneOf(place+".scheme", h.Scheme, "https", "http")
	if !hostForm.MatchString(h.Host) && !variable.MatchString(h.Host) {
		f.add(place+".host", "%q, want a host's name in small letters, *.name for what is one label below a name of at least two, or ${config.name}", h.Host)
	}
	if h.Port < 0 || h.Port > 65535 {
		f.add(place+".port", "%d is no port", h.Port)
	}
	validateMethods(place, h.Methods, f)
	if !strings.HasPrefix(h.Path, "/") {
		f.add(place+".path", "%q, want what the path begins with, at least /", h.Path)
	}
	if h.MaxRequest < 0 || h.MaxResponse < 0 {
		f.add(place, "max_req and max_resp cannot be negative")
	}
	if h.Credential != nil {
		h.Credential.validate(place+".credential", f)
	}
}

func (c Credential) validate(place string, f *faults) {
	if !secretForm.MatchString(c.Secret) {
		f.add(place+".secret", "%q, want a secret's name", c.Secret)
	}
	f.oneOf(place+".in", c.In, "header", "query", "path", "body", "frame", "signature")
	switch c.In {
	case "header", "query":
		if c.Name == "" {
			f.add(place+".name", "missing: which %s?", c.In)
		}
	case "body", "frame":
		if !strings.HasPrefix(c.Pointer, "/") {
			f.add(place+".pointer", "%q, want a JSON pointer such as /d/token", c.Pointer)
		}
	}
	if c.Template != "" && strings.Count(c.Template, "{}") != 1 {
		f.add(place+".template", "want {} exactly once, where the value goes")
	}
}

// shape holds a manifest to the form of its type: keys that it does not have, and
// values of another kind. Raw JSON may be anything.
func (f *faults) shape(place string, tree any, t reflect.Type) {
	if tree == nil || t == reflect.TypeFor[json.RawMessage]() {
		return
	}
	number, isNumber := tree.(float64)
	_, isText := tree.(string)
	list, isList := tree.([]any)
	object, isObject := tree.(map[string]any)
	want := func(ok bool, kind string) {
		if !ok {
			f.add(place, "%s, want %s", kindOf(tree), kind)
		}
	}
	switch t.Kind() { //nolint:exhaustive // what a manifest is made of
	case reflect.Pointer:
		f.shape(place, tree, t.Elem())
	case reflect.Slice:
		want(isList, "a list")
		for i, v := range list {
			f.shape(fmt.Sprintf("%s[%d]", place, i), v, t.Elem())
		}
	case reflect.Map:
		want(isObject, "an object")
		for _, key := range slices.Sorted(maps.Keys(object)) {
			f.shape(place+"."+key, object[key], t.Elem())
		}
	case reflect.Struct:
		want(isObject, "an object")
		f.fields(place, object, t)
	case reflect.String:
		want(isText, "a text")
	case reflect.Float64:
		want(isNumber, "a number")
	default:
		want(isNumber && number == math.Trunc(number), "a whole number")
	}
}

func (f *faults) fields(place string, object map[string]any, t reflect.Type) {
	fields, known := map[string]reflect.Type{}, []string{}
	for field := range t.Fields() {
		name := field.Tag.Get("json")
		fields[name], known = field.Type, append(known, name)
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		at := strings.TrimPrefix(place+"."+key, ".")
		if inner, ok := fields[key]; ok {
			f.shape(at, object[key], inner)
			continue
		}
		if s := nearest.Of(strings.ToLower(key), known, len(key)/2); s != "" {
			f.add(at, "unknown key; did you mean %q?", s)
		} else {
			f.add(at, "unknown key; here can stand %s", strings.Join(known, ", "))
		}
	}
}
