package wasm

import (
	"hash/crc32"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/gatehouse-chat/gatehouse/internal/module"
)

// grant is a kind of request that the guest may make, with its host resolved.
type grant struct {
	module.HTTP
	scheme, authority, prefix string
}

func newGrant(h module.HTTP, base string) (grant, error) {
	u, err := baseURL(base)
	if err != nil {
		return grant{}, err
	}
	return grant{HTTP: h, scheme: u.Scheme, authority: authority(u), prefix: strings.TrimRight(u.Path, "/") + h.Path}, nil
}

// covers reports whether the guest may make a request. The path still has the
// names of secrets where they go.
func (g *grant) covers(method string, u *url.URL) bool {
	return u.Scheme == g.scheme && within(g.authority, authority(u)) &&
		slices.Contains(g.Methods, method) && strings.HasPrefix(u.Path, g.prefix)
}

// within reports whether an authority is the one that was granted. One that
// begins with "*." stands for one label more.
func within(granted, to string) bool {
	if rest, wild := strings.CutPrefix(granted, "*."); wild {
		label, below, ok := strings.Cut(to, ".")
		return ok && label != "" && below == rest
	}
	return granted != "" && to == granted
}

// plain reports whether a URL means what it says: a path that wanders, or hides
// its separators, could leave the prefix that was granted.
func plain(u *url.URL) bool {
	if u.User != nil || u.Opaque != "" || u.Fragment != "" || u.Host == "" {
		return false
	}
	for element := range strings.SplitSeq(u.Path, "/") {
		if element == "." || element == ".." {
			return false
		}
	}
	if strings.Contains(u.Path, "//") {
		return false
	}
	escaped := u.EscapedPath()
	if !strings.Contains(escaped, "%") {
		return true
	}
	escaped = strings.ToLower(escaped)
	return !strings.Contains(escaped, "%2f") && !strings.Contains(escaped, "%5c")
}

// granted are the entries that cover a request. The credentials of all of them
// are put in; the limits are those of the first.
func granted(all []grant, method string, u *url.URL) []grant {
	if !plain(u) {
		return nil
	}
	var fit []grant
	for i := range all {
		if g := &all[i]; g.covers(method, u) {
			fit = append(fit, *g)
		}
	}
	return fit
}

// requestLines remember the last requests that were granted: a channel makes a
// few, again and again. The zero requestLines remember none. Its methods may be
// called concurrently.
type requestLines [4]atomic.Pointer[requestLine]

type requestLine struct {
	method, text string
	url          *url.URL // not to be changed, nor is fit
	fit          []grant
}

// longestLine is how long a URL may be that is remembered.
const longestLine = 512

// resolve parses a URL and returns the entries of a channel's grants that cover it.
func (l *requestLines) resolve(all []grant, method, text string) (*url.URL, []grant, error) {
	at := &l[crc32.ChecksumIEEE([]byte(text))%uint32(len(l))]
	if r := at.Load(); r != nil && r.method == method && r.text == text {
		return r.url, r.fit, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, nil, err
	}
	fit := granted(all, method, u)
	if len(fit) > 0 && len(text) <= longestLine {
		at.Store(&requestLine{method, text, u, fit})
	}
	return u, fit, nil
}
