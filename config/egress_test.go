package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/config"
)

func TestEgress(t *testing.T) {
	tests := []struct{ yaml, want string }{
		{"proxy: http://proxy.corp:3128", ""},
		{"proxy: socks5://127.0.0.1:1080\n  proxy_login: secret://proxy\n  ca: [/x.pem]", ""},
		{"proxy: proxy.corp", "egress.proxy"},
		{"proxy: http://proxy.corp", "egress.proxy"},
		{"proxy: https://proxy.corp:443", "egress.proxy"},
		{"proxy: http://ann:pw@proxy.corp:3128", "must not hold the login"},
		{"proxy: http://proxy.corp:3128\n  proxy_login: ann:pw", "must be a secret"},
		{"proxy_login: secret://proxy", "needs 'proxy'"},

		{"tools: {http_request: {requests_per_minute: 10, requests_per_day: -1, inside: ['git.corp:443 10.1.2.0/24 fd00:1::/64']}}", ""},
		{"tools: {http_request: {ca: [/x.pem], proxy: off}}", ""},
		{"tools: {http_request: {proxy: 'socks5://127.0.0.1:1080'}}", ""},
		{"tools: {http_request: {proxy: proxy.corp}}", "egress.tools.http_request.proxy"},
		{"tools: {httprequest: {requests_per_minute: 10}}", "there is none of this name"},
		{"channels: {nowhere: {requests_per_minute: 10}}", "there is none of this name"},
		{"models: {nowhere: {requests_per_minute: 10}}", "there is none of this name"},
		{"tools: {http_request: {requests_per_minute: -2}}", "at least 1"},
		{"tools: {http_request: {requests_a_minute: 2}}", "no such key"},
		{"tools: {http_request: {inside: ['git.corp:443']}}", "is not host:port and a network"},
		{"tools: {http_request: {inside: ['git.corp 10.0.0.0/8']}}", "is not host:port"},
		{"tools: {http_request: {inside: ['*.corp:443 10.0.0.0/8']}}", "is not host:port"},
		{"tools: {http_request: {inside: ['git.corp:443 10.1.2.3/8']}}", "is not a network"},
		{"tools: {http_request: {inside: ['git.corp:443 10.1.2.3']}}", "is not a network"},
		{"secrets: [{name: git.v1, inside: ['git.corp:443 10.1.2.0/24']}, {name: git, workspace: acme, inside: ['git.corp:443 10.1.2.0/24']}]", ""},
		{"secrets: [{name: git, inside: ['git.corp:443']}]", "egress.secrets[0].inside"},
		{"secrets: [{name: git@ann, inside: ['git.corp:443 10.1.2.0/24']}]", "members' own of that name"},
		{"secrets: [{inside: ['git.corp:443 10.1.2.0/24']}]", "egress.secrets[0].name"},
		{"secrets: [{name: git, proxy: off}]", "no such key"},
	}
	for _, tt := range tests {
		o := options()
		o.Tools = []string{"http_request"}
		_, faults := config.Parse([]byte("egress:\n  "+tt.yaml+"\n"), o)
		got := ""
		for _, x := range faults.Errors() {
			got += x.String() + "\n"
		}
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%q: got %q", tt.yaml, got)
		}
	}
}

func TestLimitsOfTools(t *testing.T) {
	c, faults := config.Parse([]byte("egress:\n  tools: {http_request: {requests_per_minute: 5, requests_per_day: -1}}\n"), options())
	if len(faults.Errors()) > 0 {
		t.Fatal(faults)
	}
	want := config.Way{RequestsPerMinute: 5, RequestsPerDay: -1, MegabytesMinute: 100, MegabytesDay: 1000}
	if diff := cmp.Diff(want, c.Egress.Tool("http_request")); diff != "" {
		t.Error(diff)
	}
	want = config.Way{RequestsPerMinute: 60, RequestsPerDay: 2000, MegabytesMinute: 100, MegabytesDay: 1000}
	if diff := cmp.Diff(want, c.Egress.Tool("another")); diff != "" {
		t.Error(diff)
	}
}
