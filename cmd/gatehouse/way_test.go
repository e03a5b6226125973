package main

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

func TestPrivateAuthorities(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	to, err := egress.ParseDestination(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, files := range [][]string{nil, {file}} {
		a := &app{cfg: config.Config{Egress: config.Egress{CA: files}}}
		gate, err := a.openGate()
		if err != nil {
			t.Fatal(err)
		}
		client := gate.Client(egress.Policy{
			Name: "test", Allow: []egress.Destination{to}, Operator: []string{strings.TrimPrefix(server.URL, "https://")},
		})
		res, err := client.Get(server.URL)
		if err == nil {
			_ = res.Body.Close()
		}
		client.CloseIdleConnections()
		if trusted := err == nil; trusted != (files != nil) {
			t.Errorf("with %v: %v", files, err)
		}
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{empty, "/nowhere.pem"} {
		if _, err := (&app{cfg: config.Config{Egress: config.Egress{CA: []string{f}}}}).openGate(); err == nil {
			t.Errorf("%s passed", f)
		}
	}
}

func TestProxyBinding(t *testing.T) {
	if got := proxyBinding(config.Egress{Proxy: "http://Proxy.corp:3128", ProxyLogin: "secret://proxy"}); len(got) != 1 || got[0].Hosts[0] != "proxy.corp:3128" {
		t.Errorf("got %v", got)
	}
	for _, e := range []config.Egress{{}, {Proxy: "http://proxy.corp:3128"}, {ProxyLogin: "secret://proxy"}} {
		if got := proxyBinding(e); got != nil {
			t.Errorf("%v: got %v", e, got)
		}
	}
}
