package config_test

import (
	"strings"
	"testing"

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
	}
	for _, tt := range tests {
		_, faults := config.Parse([]byte("egress:\n  "+tt.yaml+"\n"), options())
		got := ""
		for _, x := range faults.Errors() {
			got += x.String() + "\n"
		}
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%q: got %q", tt.yaml, got)
		}
	}
}
