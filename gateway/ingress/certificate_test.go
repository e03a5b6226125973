package ingress_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/ingress"
)

// issue writes a certificate of its own with a serial number, changed at a time.
func issue(t *testing.T, dir string, serial int64, at time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	like := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "gate.example.org"}, DNSNames: []string{"gate.example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, like, like, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, cert, "CERTIFICATE", der, at)
	write(t, key, "PRIVATE KEY", secret, at)
	return cert, key
}

func write(t *testing.T, path, kind string, b []byte, at time.Time) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// serial is the number of the certificate that a listener shows.
func serial(t *testing.T, c *tls.Config, version uint16) (int64, error) {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer theirs.Close()
		_ = tls.Server(theirs, c).HandshakeContext(t.Context()) // the other side reports it
	}()
	//nolint:gosec // it looks at a certificate that nobody signed, also with an old version
	conn := tls.Client(ours, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
	err := conn.HandshakeContext(t.Context())
	var got int64
	if err == nil {
		got = conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	_ = ours.Close()
	<-done
	return got, err
}

func TestARenewedCertificateIsTakenUp(t *testing.T) {
	dir, began := t.TempDir(), time.Now().Add(-time.Hour)
	cert, key := issue(t, dir, 1, began)
	now := &clock{now: time.Now()}
	c, err := ingress.NewCertificate(cert, key, now.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want int64) {
		t.Helper()
		now.add(time.Minute)
		if got, err := serial(t, c.Config(), tls.VersionTLS13); err != nil || got != want {
			t.Errorf("shows certificate %d, want %d (%v)", got, want, err)
		}
	}
	expect(1)
	issue(t, dir, 2, began.Add(time.Minute))
	expect(2)
	write(t, key, "PRIVATE KEY", []byte("half-way"), began.Add(2*time.Minute))
	expect(2)
	issue(t, dir, 3, began.Add(3*time.Minute))
	expect(3)
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	expect(3)
}

func TestOldTLSIsRefused(t *testing.T) {
	cert, key := issue(t, t.TempDir(), 1, time.Now())
	c, err := ingress.NewCertificate(cert, key, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := serial(t, c.Config(), tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 was spoken")
	}
	if _, err := serial(t, c.Config(), tls.VersionTLS12); err != nil {
		t.Errorf("TLS 1.2: %v", err)
	}
	if _, err := ingress.NewCertificate(cert, cert, nil, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a certificate without its key was taken")
	}
}
