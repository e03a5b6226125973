package egress

import (
	"errors"
	"net/http"
	"strings"
)

var (
	errHostHeader = errors.New("the Host header differs from the destination")
	errHeader     = errors.New("a header that steers the connection is not allowed")
	errUpgrade    = errors.New("the connection must not be upgraded")
)

// steering headers tell intermediaries what to do with the connection. They are
// the transport's to set.
var steering = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true, "Content-Length": true, "Host": true,
}

// checkHeader refuses requests that say one destination and mean another.
func (r *rules) checkHeader(req *http.Request, to Destination) error {
	if req.Host != "" && req.Host != req.URL.Host {
		host, port, err := splitHost(req.Host)
		if err != nil || host != to.Host || (port != 0 && port != to.Port) || (port == 0 && ports[to.Scheme] != to.Port) {
			return errHostHeader
		}
	}
	for _, coding := range req.TransferEncoding {
		if coding != "chunked" && coding != "identity" {
			return errHeader
		}
	}
	upgrade := false
	for name, values := range req.Header {
		canonical := http.CanonicalHeaderKey(name)
		if canonical == "Connection" || canonical == "Upgrade" {
			upgrade = upgrade || !closes(canonical, values)
			continue
		}
		// net/http writes its own length and refuses what differs.
		if steering[canonical] && canonical != "Content-Length" || strings.HasPrefix(canonical, "Proxy-") {
			return errHeader
		}
	}
	if upgrade && !r.websocket(req) {
		return errUpgrade
	}
	return nil
}

// closes reports whether a Connection header only asks to close or to keep the
// connection.
func closes(name string, values []string) bool {
	for _, v := range values {
		if v = strings.ToLower(strings.TrimSpace(v)); v != "close" && v != "keep-alive" {
			return false
		}
	}
	return name == "Connection"
}

// websocket reports whether the request asks for a WebSocket, and may.
func (r *rules) websocket(req *http.Request) bool {
	return r.Upgrade && req.Method == http.MethodGet &&
		strings.EqualFold(req.Header.Get("Upgrade"), "websocket") &&
		strings.EqualFold(req.Header.Get("Connection"), "upgrade")
}
