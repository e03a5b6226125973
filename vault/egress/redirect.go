package egress

import (
	"errors"
	"net/http"
)

var (
	errDowngrade = errors.New("the redirect leads from https to http")
	errRedirects = errors.New("too many redirects")
)

// follows are the only headers that accompany a redirect to another origin.
var follows = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Accept-Language": true,
	"Range": true, "User-Agent": true,
}

// redirect decides about following, before the next request is authorised like
// any other. net/http has copied all headers by now, the ones with credentials
// included.
func (r *rules) redirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	if r.Redirects <= 0 || first.Method != http.MethodGet && first.Method != http.MethodHead {
		return http.ErrUseLastResponse
	}
	if len(via) > r.Redirects {
		return r.refuse(req.Context(), req.Method, "", errRedirects)
	}
	from, err := canonical(via[len(via)-1].URL)
	if err != nil {
		return r.refuse(req.Context(), req.Method, "", err)
	}
	to, err := canonical(req.URL)
	if err != nil {
		return r.refuse(req.Context(), req.Method, "", err)
	}
	if from.Scheme == "https" && to.Scheme != "https" {
		return r.refuse(req.Context(), req.Method, to.addr(), errDowngrade)
	}
	start, err := canonical(first.URL)
	if err != nil || start.Scheme != to.Scheme || start.addr() != to.addr() {
		strip(req)
	}
	return nil
}

// strip takes off everything that could be a credential.
func strip(req *http.Request) {
	for name := range req.Header {
		if !follows[http.CanonicalHeaderKey(name)] {
			delete(req.Header, name)
		}
	}
}
