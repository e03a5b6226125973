package gateway

import (
	"net/url"
	"strings"

	"github.com/gatehouse-chat/gatehouse/gateway/lent"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// kept says of a space of the durable state what it holds.
type kept struct {
	space   string // a name, or with a slash at its end what names begin with
	content bool   // its values hold what people or models wrote, and can be encrypted
	// owner is the workspace that a key names; nil: it names none.
	owner func(key string) string
	// erase decides what becomes of a row when a person is erased, and what is
	// the word for such rows in the report. Where erase is nil, why says why
	// nothing has to become of it, or who does it.
	erase     func(*erasure, kv.Entry) change
	what, why string
}

// names reports whether a space is meant.
func (k kept) names(space string) bool {
	return k.space == space || strings.HasSuffix(k.space, "/") && strings.HasPrefix(space, k.space)
}

// allKept lists every space. A test fails when one is missing.
func allKept() []kept {
	return []kept{
		{space: "session", content: true, owner: before("|"), why: "each session is taken as a whole, by the book of sessions"},
		{space: "room", content: true, erase: (*erasure).overheard, what: "overheard in rooms"},
		{space: "note", content: true, owner: before("/"), erase: (*erasure).note, what: "notes"},
		{space: errandSpace, content: true, owner: before("/"), erase: (*erasure).errand, what: "what was to be taken up later"},
		{space: "step", content: true, erase: (*erasure).ofTurn, what: "steps of turns"},
		{space: "approval", content: true, why: "taken as a whole, by the book of approvals"},
		{space: channelSpaces, content: true, erase: (*erasure).adapters, what: "the console's transcript, and what channels note of people"},
		{space: lent.Space, content: true, erase: (*erasure).loan, what: "links to files"},
		{space: "blob-piece", content: true, why: "goes with what refers to it"}, // files, where the database keeps them

		{space: "session-meta", why: "goes with its session"},
		{space: "turn", erase: (*erasure).turn, what: "records of turns"},
		{space: "gathered", erase: (*erasure).gathered, what: "records of turns"},
		{space: "draft", erase: (*erasure).ofTurn, what: "drafts"},
		{space: "via", why: "counts under hashes of what is erased"},
		{space: "stop", why: "requests among replicas, which last for moments"},
		{space: "pauses", why: "names no person"},
		{space: "spend", erase: (*erasure).spent, what: "figures of spending, now without a name"},
		{space: "blob", why: "goes with what refers to it"},
		{space: "blob-lone", why: "goes with what refers to it"},
		{space: "blob-ref", why: "goes with what it refers from"},
		{space: "workspaces", why: "names no person"},
		{space: "identity", why: "the directory removes the member, their accounts and when they were answered"},
		{space: "login", why: "ended with the member's departure"},
		{space: "audit", why: "buried in the log itself, so that its chain holds"},
		{space: "audit-mark", why: "positions and hashes"},
		{space: "vault", why: "their secrets and grants end with the member's departure"},
		{space: "egress", why: "how much was sent where, by nobody's name"},
		{space: "receiver", why: "which process receives for a channel"},
		{space: "module", why: "what is installed, by nobody's name"},
		{space: "module-package", why: "code"},
		{space: "publisher", why: "keys, with the names that the operator gave to them"},
		{space: "sealed", why: "a position"},
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
