package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gatehouse-chat/gatehouse/internal/porttest"
)

// scriptCertify writes cert.pem and key.pem for gate.example.org and 127.0.0.1.
func scriptCertify(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 1, "certify DAYS")
	days, err := strconv.Atoi(a[0])
	ts.Check(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	like := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{"gate.example.org"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Duration(days)*24*time.Hour + time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, like, like, &key.PublicKey, key)
	ts.Check(err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
}

// scriptVisit asks for a page, believes cert.pem, and waits until it is answered
// with the status: what changes the answer may take a moment.
func scriptVisit(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 2, "visit STATUS URL [Header=value]...")
	last := ""
	defer func() { ts.Logf("%s", last) }()
	until(ts, "status "+a[0], func() bool {
		resp, err := fetchPage(ts, a[1], a[2:])
		ts.Check(err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		ts.Check(err)
		last = resp.Proto + " " + resp.Status + "\n" + string(body)
		return strconv.Itoa(resp.StatusCode) == a[0]
	})
}

func fetchPage(ts *testscript.TestScript, url string, headers []string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	ts.Check(err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, "=")
		r.Header.Set(name, value)
		if name == "Host" {
			r.Host = value
		}
	}
	roots := x509.NewCertPool()
	if text, err := os.ReadFile(ts.MkAbs("cert.pem")); err == nil {
		roots.AppendCertsFromPEM(text)
	}
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	return t.RoundTrip(r)
}

// scriptVacant keeps a port for the gateway of the script.
func scriptVacant(ts *testscript.TestScript, _ bool, a []string) {
	want(ts, a, 1, "vacant NAME")
	addr, release, err := porttest.Reserve()
	ts.Check(err)
	worldOf(ts).shut = append(worldOf(ts).shut, release)
	ts.Setenv(a[0], addr)
}

// scriptEnters opens a new login link as a browser does.
func scriptEnters(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(ts.Exec("gatehouse", "login"))
	link, err := url.Parse(strings.TrimSpace(ts.ReadFile("stdout")))
	ts.Check(err)
	form := url.Values{"token": {link.Fragment}}.Encode()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, link.Scheme+"://"+link.Host+"/login", strings.NewReader(form))
	ts.Check(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	t := &http.Transport{DisableKeepAlives: true}
	resp, err := t.RoundTrip(r)
	ts.Check(err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		ts.Fatalf("the login was answered with %s", resp.Status)
	}
}
