package wasm

import (
	"cmp"
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
	m      *module.Manifest
	wire   wire.Features
	schema schema
	every  time.Duration // between polls that bring nothing; 0: it does not poll
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
	_, err := t.shown(t.wire)
	errs = append(errs, err)
	for i, s := range t.wire.Sections {
		if _, err := t.laid(s); err != nil {
			fault("features.sections[%d]: %w", i, err)
		}
	}
	return t, errors.Join(errs...)
}

// shown are a platform's features, for conversations and for their places.
type shown struct {
	features channels.Features
	places   []place
}

func (t *terms) shown(w wire.Features) (shown, error) {
	s := shown{features: features(w, t.can(canCommands))}
	var errs []error
	for i, p := range w.Places {
		there, err := t.place(w, p)
		if err != nil {
			errs = append(errs, fmt.Errorf("features.places[%d]: %w", i, err))
		}
		s.places = append(s.places, there)
	}
	return s, errors.Join(errs...)
}

var errSection = errors.New("it needs keys of the config_schema")

// laid are the features of all with what differs in a kind of section laid over
// them.
func (t *terms) laid(s wire.Section) (wire.Features, error) {
	for _, name := range s.Keys {
		if _, ok := t.schema.Properties[name]; !ok {
			return wire.Features{}, errSection
		}
	}
	with, err := lay(t.wire, s.Features)
	if err == nil && len(s.Keys) == 0 {
		err = errSection
	}
	return with, err
}

// of are the features of a channel with these keys. What its section does not
// have it cannot have.
func (t *terms) of(keys map[string]any) shown {
	w := t.wire
	for _, s := range t.wire.Sections {
		if slices.ContainsFunc(s.Keys, func(name string) bool { return keys[name] == nil || keys[name] == false }) {
			continue
		}
		w, _ = lay(w, s.Features) // newTerms has done it before
	}
	own, _ := t.shown(w)
	return own
}

// lay lays what differs over features. What the channel is made of does not.
func lay(over wire.Features, differ json.RawMessage) (wire.Features, error) {
	there := over
	there.Abilities, there.Places, there.Sections = slices.Clone(over.Abilities), slices.Clone(over.Places), slices.Clone(over.Sections) // JSON is read into the lists that are there
	if err := strict(differ, &there); err != nil {
		return wire.Features{}, err
	}
	if !slices.Equal(there.Abilities, over.Abilities) || there.Dialect != over.Dialect || there.Alternative != over.Alternative ||
		there.Tree != over.Tree || len(there.Places) != len(over.Places) || len(there.Sections) != len(over.Sections) {
		return wire.Features{}, errSame
	}
	return there, nil
}

// place is a kind of conversation with its own features.
type place struct {
	begins   string
	features channels.Features
}

var (
	errPlace = errors.New("it needs conversations")
	errSame  = errors.New("it cannot change the abilities, the dialects, the places and the sections")
)

// place lays what differs in a place over the features of all others.
func (t *terms) place(w wire.Features, p wire.Place) (place, error) {
	there, err := lay(w, p.Features)
	if err == nil && p.Conversations == "" {
		err = errPlace
	}
	if err != nil {
		return place{}, err
	}
	return place{p.Conversations, features(there, t.can(canCommands))}, nil
}

// at are the features of a conversation.
func (s shown) at(where channels.Address) channels.Features {
	for _, p := range s.places {
		if strings.HasPrefix(string(where.Conversation), p.begins) {
			return p.features
		}
	}
	return s.features
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
	return cmp.Or(t.wire.Dialect, markup.PlainText).Render(p.Body), alternative
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
