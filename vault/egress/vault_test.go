package egress_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
	"github.com/gatehouse-chat/gatehouse/vault/vaulttest"
)

var _ egress.Lease = (*vault.Lease)(nil)

// The policy reaches two hosts, the secret is for one of them. The other never
// gets it, wherever the placeholder stands.
func TestASecretGoesOnlyToItsHosts(t *testing.T) {
	v := vaulttest.Open(t, &vaulttest.State{}, vaulttest.NewKey(t))
	if _, err := v.Set(t.Context(), "home", "bot", []byte(token), nil); err != nil {
		t.Fatal(err)
	}
	err := v.Configure("home", vault.Binding{
		Ref: "secret://bot", Kind: vault.ForChannel, Name: "support", Hosts: []string{"one.example:80"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Host+r.RequestURI+r.Header.Get("Authorization"))
		_, _ = io.Copy(w, r.Body)
	})
	fake := &internet{}
	for _, host := range []string{"one.example:80", "two.example:80"} {
		server := httptest.NewServer(echo)
		t.Cleanup(server.Close)
		fake.host(host, publicAddress, server.Listener.Addr().String())
	}
	client := egress.New(egress.Options{Dialer: fake.dialer}).Client(egress.Policy{
		Name: "channel support", Allow: allow(t, "http://one.example", "http://two.example"),
		Inject: []egress.Injection{{
			Placeholder: ph, In: egress.Anywhere | egress.InBody,
			Lease: func(ctx context.Context, host string) (egress.Lease, error) {
				return v.LeaseConfigured(ctx, "home", "secret://bot", vault.Purpose{
					Kind: vault.ForChannel, Name: "support", Host: host,
				})
			},
		}},
	})
	t.Cleanup(client.CloseIdleConnections)
	for _, host := range []string{"one.example", "two.example"} {
		for _, place := range []string{"path", "query", "header", "body"} {
			res, err := client.Do(asking(t, host, place))
			if err == nil {
				_ = res.Body.Close()
			}
			if want := host == "one.example"; (err == nil) != want || err != nil && !errors.Is(err, vault.ErrDenied) {
				t.Errorf("%s to %s: %v", place, host, err)
			}
		}
	}
	if len(got) != 4 || strings.Contains(strings.Join(got, " "), "two.example") {
		t.Errorf("arrived: %q", got)
	}
}

// asking makes a request with the placeholder in one place.
func asking(t *testing.T, host, place string) *http.Request {
	t.Helper()
	u, body := "http://"+host+"/", ""
	switch place {
	case "path":
		u += "bot" + ph
	case "query":
		u += "?token=" + ph
	case "body":
		body = `{"token":"` + ph + `"}`
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if place == "header" {
		req.Header.Set("Authorization", "Bearer "+ph)
	}
	return req
}
