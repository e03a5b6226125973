package ingress

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Certificate is a certificate in two files that somebody else renews. It is
// safe for concurrent use.
type Certificate struct {
	cert, key string // files
	now       func() time.Time
	log       *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	stamp  [2]time.Time // when the files that were read last had been changed
	looked time.Time
}

// lookEvery is how often the files are looked at, at most.
const lookEvery = 5 * time.Second

// NewCertificate reads a certificate and its key, both in PEM. A nil now is
// time.Now.
func NewCertificate(cert, key string, now func() time.Time, log *slog.Logger) (*Certificate, error) {
	if now == nil {
		now = time.Now
	}
	c := &Certificate{cert: cert, key: key, now: now, log: log, looked: now(), stamp: stamps(cert, key)}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("read the certificate under `tls`: %w", err)
	}
	c.pair = &pair
	return c, nil
}

// Config is how a listener shows the certificate: TLS 1.2 and later, HTTP/2
// where the other side knows it.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
	}
}

// current reads the files anew when they have changed. A pair that cannot be
// read, such as one that is half-way renewed, leaves the last one in force.
func (c *Certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now().Sub(c.looked) < lookEvery {
		return c.pair
	}
	c.looked = c.now()
	now := stamps(c.cert, c.key)
	if now == c.stamp {
		return c.pair
	}
	c.stamp = now
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		c.log.Error("the changed certificate cannot be read; the last one stays in force", "err", err)
		return c.pair
	}
	c.pair = &pair
	c.log.Info("the renewed certificate is in force")
	return c.pair
}

func stamps(cert, key string) [2]time.Time {
	var all [2]time.Time
	for i, path := range []string{cert, key} {
		if f, err := os.Stat(path); err == nil {
			all[i] = f.ModTime()
		}
	}
	return all
}
