package gateway

import (
	"net/url"
	"strings"
)

// kept says of a space of the durable state what it holds.
type kept struct {
	space   string // a name, or with a slash at its end what names begin with
	content bool   // its values hold what people or models wrote
	// owner is the workspace that a key names; nil: it names none.
	owner func(key string) string
}

// allKept lists every space. A test fails when one is missing.
func allKept() []kept {
	return []kept{
		{space: "session", content: true, owner: before("|")}, // histories
		{space: "room", content: true},                        // what rooms overheard
		{space: "note", content: true, owner: before("/")},
		{space: "step", content: true},       // journals of turns that run
		{space: "approval", content: true},   // what a call would do, in words
		{space: "channel/", content: true},   // what an adapter keeps, such as the console's transcript
		{space: "blob-piece", content: true}, // files, where the database keeps them

		{space: "session-meta"}, // the model that was chosen, the time of the last /new
		{space: "turn"},         // when it was and how it ended
		{space: "gathered"},     // which turn answered an event
		{space: "draft"},        // ids of messages
		{space: "via"},          // how often a reply path was used
		{space: "stop"},         // requests among replicas
		{space: "pauses"},
		{space: "receiver"}, // which of several gateways polls
		{space: "spend"},
		{space: "blob"}, // sizes and times
		{space: "blob-lone"},
		{space: "blob-ref"},
		{space: "workspaces"}, // their names
		{space: "identity"},   // members, their accounts and their names
		{space: "login"},      // sessions of the console
		{space: "audit"},      // acts, without what was written
		{space: "audit-mark"},
		{space: "vault"},  // encrypted by itself
		{space: "egress"}, // how much was sent where
		{space: "sealed"},
	}
}

func before(separator string) func(string) string {
	return func(key string) string {
		name, _, _ := strings.Cut(key, separator)
		workspace, err := url.PathUnescape(name)
		if err != nil {
			return ""
		}
		return workspace
	}
}

// Content returns a function that reports whether a space of the state holds
// what people or models wrote, and one for the workspace that a key of such a
// space names, "" for none.
func Content() (is func(space string) bool, owner func(space, key string) string) {
	known := map[string]kept{}
	for _, k := range allKept() {
		if k.content {
			known[k.space] = k
		}
	}
	of := func(space string) (kept, bool) {
		k, ok := known[space]
		if !ok {
			if i := strings.IndexByte(space, '/'); i >= 0 {
				k, ok = known[space[:i+1]]
			}
		}
		return k, ok
	}
	is = func(space string) bool {
		_, ok := of(space)
		return ok
	}
	return is, func(space, key string) string {
		if k, _ := of(space); k.owner != nil {
			return k.owner(key)
		}
		return ""
	}
}
