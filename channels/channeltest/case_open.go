package channeltest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"testing"

	"github.com/gatehouse-chat/gatehouse/channels"
)

func openCases() []Case {
	return []Case{
		{Name: "open/the schema is an object that lists its keys", bare: schema},
		{Name: "open/check lists what is wrong", bare: checkConfig},
		{Name: "open/open does no I/O", bare: openWithoutIO},
	}
}

// keySchema is the part of a JSON schema that the suite reads.
type keySchema struct {
	Type       string                     `json:"type"`
	Properties map[string]json.RawMessage `json:"properties"`
	Required   []string                   `json:"required"`
	Additional *bool                      `json:"additionalProperties"`
}

func readSchema(t testing.TB, d channels.Driver) keySchema {
	t.Helper()
	var k keySchema
	if err := json.Unmarshal(d.Schema(), &k); err != nil {
		t.Fatalf("the schema is no JSON: %v", err)
	}
	return k
}

func section(t testing.TB, cfg json.RawMessage) map[string]json.RawMessage {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(cfg, &m); err != nil {
		t.Fatalf("Harness.Config is no JSON object: %v", err)
	}
	return m
}

func schema(t testing.TB, s Suite) {
	k := readSchema(t, s.Driver)
	if k.Type != "object" || k.Additional == nil || *k.Additional {
		t.Errorf(`the schema must say "type": "object" and "additionalProperties": false`)
	}
	for name := range section(t, newRig(t, s).hs.Config) {
		if _, ok := k.Properties[name]; !ok {
			t.Errorf("the configuration uses the key %q, which the schema does not know", name)
		}
	}
	for _, name := range k.Required {
		if _, ok := k.Properties[name]; !ok {
			t.Errorf("the schema requires %q and does not describe it", name)
		}
	}
	if s.Driver.Name() == "" {
		t.Errorf("the driver has no name")
	}
}

func checkConfig(t testing.TB, s Suite) {
	cfg := newRig(t, s).hs.Config
	if fs := s.Driver.Check(cfg); len(fs) > 0 {
		t.Errorf("the harness's own configuration has faults: %+v", fs)
	}
	expect := func(what, path string, change func(map[string]json.RawMessage)) {
		t.Helper()
		m := section(t, cfg)
		change(m)
		b, _ := json.Marshal(m)
		fs := s.Driver.Check(b)
		if !slices.ContainsFunc(fs, func(f channels.Fault) bool { return f.Path == path && f.Text != "" }) {
			t.Errorf("%s: no fault at %q, but %+v", what, path, fs)
		}
	}
	expect("an unknown key", "zz_unknown", func(m map[string]json.RawMessage) { m["zz_unknown"] = json.RawMessage("1") })
	expect("an unknown key beside a wrong one", "zz_unknown", func(m map[string]json.RawMessage) {
		for k := range m {
			m[k] = json.RawMessage(`{"no":["such","type"]}`)
		}
		m["zz_unknown"] = json.RawMessage("1")
	})
	for name := range section(t, cfg) {
		expect("a value of a wrong type", name, func(m map[string]json.RawMessage) { m[name] = json.RawMessage(`{"no":["such","type"]}`) })
	}
	for _, name := range readSchema(t, s.Driver).Required {
		expect("a key that is required and missing", name, func(m map[string]json.RawMessage) { delete(m, name) })
	}
	for _, junk := range []string{"", "null", "[]", "{", `"x"`} {
		if len(s.Driver.Check(json.RawMessage(junk))) == 0 {
			t.Errorf("Check finds no fault in %q", junk)
		}
	}
}

// openWithoutIO opens a channel whose host reaches nothing.
func openWithoutIO(t testing.TB, s Suite) {
	r := newRig(t, s)
	touched := func(what string) error {
		t.Errorf("Open, or Features before Run, used the %s", what)
		return errors.New("channeltest: no I/O here")
	}
	r.hs.Host = append(r.hs.Host,
		WithTransport(roundTripper(func(*http.Request) (*http.Response, error) { return nil, touched("client") })),
		WithDial(func(context.Context, string, string) (net.Conn, error) { return nil, touched("network") }))
	r.open(Snapshot{})
	r.ch.Features(channels.Address{Channel: r.host.ID()})
	kept := r.host.Snapshot().d.state
	if !maps.EqualFunc(r.found, kept, bytes.Equal) || len(r.host.Health()) > 0 || r.host.HeardCount() > 0 {
		t.Errorf("Open wrote state %v, or reported health or progress", slices.Collect(maps.Keys(kept)))
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
