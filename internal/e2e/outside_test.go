package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// outside is a proxy behind which hosts are what the test puts in their places,
// and the file with the certificate that vouches for them. So the gateway speaks
// to the addresses that people use, with nothing set but the way.
func outside(t testing.TB, hosts map[string]string) (proxy, roots string) {
	t.Helper()
	vouched, roots := vouchFor(t, slices.Sorted(maps.Keys(hosts)))
	inner := make(chan net.Conn)
	world := &http.Server{ReadHeaderTimeout: time.Minute, Handler: reverse(t, hosts)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = world.Serve(tls.NewListener(&handed{conns: inner, closed: make(chan struct{})}, &tls.Config{Certificates: []tls.Certificate{vouched}, MinVersion: tls.VersionTLS12}))
	}()
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.Host)
		if r.Method != http.MethodConnect || hosts[host] == "" {
			http.Error(rw, "nothing is there", http.StatusBadGateway)
			return
		}
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			return
		}
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
		select {
		case inner <- conn:
		case <-done:
			_ = conn.Close()
		}
	}))
	t.Cleanup(func() {
		_ = world.Close()
		<-done
		srv.Close()
	})
	return srv.URL, roots
}

// reverse passes requests on to what stands in for their hosts.
func reverse(t testing.TB, hosts map[string]string) http.Handler {
	t.Helper()
	targets := map[string]*url.URL{}
	for host, to := range hosts {
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		targets[host] = u
	}
	return &httputil.ReverseProxy{
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // the gateway is killed on purpose
		ErrorHandler:  func(rw http.ResponseWriter, _ *http.Request, _ error) { rw.WriteHeader(http.StatusBadGateway) },
		Rewrite:       func(p *httputil.ProxyRequest) { p.SetURL(targets[p.In.Host]) },
	}
}

// handed is a listener of connections that came in elsewhere.
type handed struct {
	conns  chan net.Conn
	closed chan struct{}
}

// Accept implements net.Listener.
func (l *handed) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *handed) Close() error { close(l.closed); return nil }

// Addr implements net.Listener.
func (*handed) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// vouchFor makes a certificate for hosts, which vouches for itself.
func vouchFor(t testing.TB, hosts []string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: hosts, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}
