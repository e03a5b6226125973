package wasm

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
	"github.com/gatehouse-chat/gatehouse/internal/module"
)

// terms are what the host makes of a manifest.
type terms struct {
	m        *module.Manifest
	features channels.Features
	places   []place
	wire     wire.Features
	schema   schema
	every    time.Duration // between polls that bring nothing; 0: it does not poll
}

// The abilities that a manifest can name.
const (
	canEdit      = "edit"
	canDelete    = "delete"
	canReact     = "react"
	canType      = "typing"
	canFetch     = "fetch"
	canAnswer    = "answer"
	canCommands  = "commands"
	canReconcile = "reconcile"
	canProbe     = "probe"
	canStartLink = "start_link"
	canShutdown  = "shutdown"
	isIdempotent = "idempotent"
)

func abilities() []string {
	return []string{
		canEdit, canDelete, canReact, canType, canFetch, canAnswer, canCommands, canReconcile, canProbe, canStartLink, canShutdown,
		isIdempotent,
	}
}

// newTerms refuses what a channel's host cannot do.
func newTerms(m *module.Manifest) (*terms, error) {
	t := &terms{m: m}
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) } //nolint:err113 // for people
	if err := strict(m.Features, &t.wire); err != nil {
		fault("features: %w", err)
	}
	for _, a := range t.wire.Abilities {
		if !slices.Contains(abilities(), a) {
			fault("features.abilities: %q, want some of %s", a, strings.Join(abilities(), ", "))
		}
	}
	if t.wire.IdempotentMS != 0 && !t.can(isIdempotent) {
		fault("features.idempotent_ms: wants the ability %q", isIdempotent)
	}
	if err := t.schema.read(m.ConfigSchema); err != nil {
		fault("config_schema: %w", err)
	}
	for i, s := range m.Sockets {
		if c := s.Credential; c != nil && c.In != "frame" && c.In != "header" && c.In != "query" {
			fault("sockets[%d].credential: a secret can go into a frame, a header or the query", i)
		}
	}
	for i, w := range m.Webhooks {
		for _, f := range t.proofFaults(w.Verify) {
			fault("webhooks[%d].verify: %s %s", i, f.Path, f.Text)
		}
	}
	for i, h := range m.HTTP {
		if c := h.Credential; c != nil && c.In == inSignature && (!t.stored(c.Secret) || m.Tool != nil) {
			fault("http[%d].credential: a channel's requests are signed with a secret that the operator stores", i)
		}
		if c := h.Credential; c != nil && (c.In == "frame" || c.In == "body" && t.stored(c.Secret)) {
			fault("http[%d].credential: a stored secret can go into a header, the query or the path", i)
		}
	}
	if m.Poll != nil {
		t.every, _ = time.ParseDuration(m.Poll.MinInterval) // the manifest was checked
	}
	t.features = features(t.wire, slices.Contains(t.wire.Abilities, canCommands))
	for i, p := range t.wire.Places {
		there, err := t.place(p)
		if err != nil {
			fault("features.places[%d]: %w", i, err)
		}
		t.places = append(t.places, there)
	}
	return t, errors.Join(errs...)
}

// place is a kind of conversation with its own features.
type place struct {
	begins   string
	features channels.Features
}

var errPlace = errors.New("it needs conversations, and cannot change the abilities, the dialects and the places")

// place lays what differs in a place over the features of all others.
func (t *terms) place(p wire.Place) (place, error) {
	there := t.wire
	there.Abilities, there.Places = slices.Clone(there.Abilities), slices.Clone(there.Places) // JSON is read into the lists that are there
	if err := strict(p.Features, &there); err != nil {
		return place{}, err
	}
	if p.Conversations == "" || !slices.Equal(there.Abilities, t.wire.Abilities) || there.Dialect != t.wire.Dialect ||
		there.Alternative != t.wire.Alternative || there.Tree != t.wire.Tree || len(there.Places) != len(t.wire.Places) {
		return place{}, errPlace
	}
	return place{p.Conversations, features(there, t.features.Commands)}, nil
}

// at are the features of a conversation.
func (t *terms) at(where channels.Address) channels.Features {
	for _, p := range t.places {
		if strings.HasPrefix(string(where.Conversation), p.begins) {
			return p.features
		}
	}
	return t.features
}

// stored reports whether a secret of the manifest is one that the operator
// stored: the configuration has a key of its name. Any other is made by the
// gateway for the channel.
func (t *terms) stored(secret string) bool {
	_, ok := t.schema.Properties[secret]
	return ok || t.m.Tool != nil // those of the person for whom a tool is called
}

// secrets are the keys of the configuration that hold references.
func (t *terms) secrets() []string {
	var all []string
	add := func(name string) {
		if t.stored(name) && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	for _, h := range t.m.HTTP {
		if h.Credential != nil {
			add(h.Credential.Secret)
		}
	}
	for _, w := range t.m.Webhooks {
		if w.Verify.Secret != "" {
			add(w.Verify.Secret)
		}
	}
	for _, s := range t.m.Sockets {
		if s.Credential != nil && t.stored(s.Credential.Secret) && !slices.Contains(all, s.Credential.Secret) {
			all = append(all, s.Credential.Secret)
		}
	}
	return all
}

func (t *terms) can(ability string) bool { return slices.Contains(t.wire.Abilities, ability) }

// strict reads JSON without unknown keys; nothing is an empty object.
func strict(b json.RawMessage, into any) error {
	if len(b) == 0 {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func features(w wire.Features, commands bool) channels.Features {
	rate := func(p wire.PerSecond) channels.PerSecond { return channels.PerSecond{N: p.N, Burst: p.Burst} }
	f := channels.Features{
		Dialect: w.Dialect, MaxText: w.MaxText, MaxCaption: w.MaxCaption, MaxFile: w.MaxFile, MaxAlbum: w.MaxAlbum,
		MaxFetch: w.MaxFetch, MaxButtons: w.MaxButtons, MaxButtonData: w.MaxButtonData,
		Commands: commands, Threads: w.Threads, ReplyTo: w.ReplyTo,
		Drafts: w.DraftEveryMS > 0, DraftEvery: time.Duration(w.DraftEveryMS) * time.Millisecond,
		TypingFor: time.Duration(w.TypingForMS) * time.Millisecond,
		Rate: channels.Rate{
			Token: rate(w.Rate.Token), Direct: rate(w.Rate.Direct), Room: rate(w.Rate.Room), Reserve: w.Rate.Reserve,
		},
	}
	if f.Dialect == "" {
		f.Dialect = markup.PlainText
	}
	return f
}

func manifestURL(h module.HTTP) string {
	host := h.Host
	if h.Port != 0 {
		host = fmt.Sprintf("%s:%d", host, h.Port)
	}
	return h.Scheme + "://" + host
}

func isVariable(host string) bool { return strings.HasPrefix(host, "${config.") }

// variable is the configuration's key that a host comes from.
func variable(host string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(host, "${config."), "}")
	name, _, _ = strings.Cut(name, ".")
	return name
}

// resolved is what the operator wrote for a variable host: the URL, or only its
// origin where the manifest asks for that.
func resolved(host string, keys map[string]any) string {
	text, _ := keys[variable(host)].(string)
	if u, err := url.Parse(text); err == nil && strings.Contains(host, ".origin}") {
		return u.Scheme + "://" + u.Host
	}
	return text
}

// texts are a part's body as the platform takes it, in one form or in two. One
// that is sent as plain text has no other form.
func (t *terms) texts(p channels.Part) (text, alternative string) {
	switch {
	case p.Plain:
		return markup.PlainText.Render(p.Body), ""
	case t.wire.Alternative != "":
		alternative = t.wire.Alternative.Render(p.Body)
	}
	return t.features.Dialect.Render(p.Body), alternative
}

// mentions adds the ids of those whom a text mentions to those that are known.
func mentions(known []string, n markup.Node) []string {
	if n.Kind == markup.Mention && !slices.Contains(known, n.URL) {
		known = append(known, n.URL)
	}
	for _, child := range n.Children {
		known = mentions(known, child)
	}
	return known
}
