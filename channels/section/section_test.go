package section_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/section"
)

type keys struct {
	Name  string
	Loud  bool
	Many  int
	When  map[string][]string
	Proof json.RawMessage
}

func (k *keys) fields() map[string]any {
	return map[string]any{"name": &k.Name, "loud": &k.Loud, "many": &k.Many, "when": &k.When, "proof": &k.Proof}
}

func TestRead(t *testing.T) {
	was := keys{Name: "before", Loud: true, Many: 1}
	for _, c := range []struct {
		name, cfg string
		want      keys
		faults    []string
		refused   bool
	}{
		{name: "no keys", cfg: " {} ", want: was},
		{
			name: "all that fit", cfg: `{"name":"x","loud":false,"many":3,"when":{"a":["b"]},"proof":{"kind":1}}`,
			want: keys{Name: "x", Many: 3, When: map[string][]string{"a": {"b"}}, Proof: json.RawMessage(`{"kind":1}`)},
		},
		{name: "a text without a value", cfg: `{"name":null}`, want: was},
		{
			name: "all that do not fit", cfg: `{"name":7,"loud":null,"many":1.5,"when":["a"]}`, want: was,
			faults: []string{
				"loud must be true or false", "many must be a whole number", "name must be a text; put it into quotes",
				"when must be a mapping of texts to lists of texts",
			},
		},
		{name: "a list for a text", cfg: `{"name":["x"]}`, want: was, faults: []string{"name must be a text"}},
		{
			name: "keys that are not there", cfg: `{"nam":"x","colour":"red"}`, want: was,
			faults: []string{"colour is not a key of a pigeon channel", "nam is not a key of a pigeon channel; did you mean name?"},
		},
		{name: "no section", cfg: `[1]`, want: was, refused: true, faults: []string{" the section must be a mapping of keys to values"}},
		{name: "nothing", cfg: "", want: was, refused: true, faults: []string{" the section must be a mapping of keys to values"}},
		{name: "null", cfg: "null", want: was, refused: true, faults: []string{" the section must be a mapping of keys to values"}},
		{name: "no JSON", cfg: `{`, want: was, refused: true, faults: []string{" the section must be a mapping of keys to values"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := was
			f, ok := section.Read(json.RawMessage(c.cfg), "pigeon", got.fields())
			if ok == c.refused {
				t.Errorf("ok is %v", ok)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if d := cmp.Diff(c.faults, said(f)); d != "" {
				t.Errorf("faults, -want +got:\n%s", d)
			}
		})
	}
}

func said(f *section.Faults) (out []string) {
	for _, x := range f.List() {
		out = append(out, x.Path+" "+x.Text)
	}
	return out
}

func TestTheFirstFaultOfAKeyCounts(t *testing.T) {
	var f section.Faults
	f.Add("b", "is missing")
	f.Add("a.c", "is odd")
	f.Add("b", "must be a text")
	if d := cmp.Diff([]string{"a.c is odd", "b is missing"}, said(&f)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestURL(t *testing.T) {
	for raw, fault := range map[string]string{
		"https://example.org/api/":  "",
		"http://127.0.0.1:8081":     "",
		"":                          "such as https://x",
		"example.org":               "such as https://x",
		"ftp://example.org":         "such as https://x",
		"https://":                  "such as https://x",
		"http://[::1%25]/":          "such as https://x",
		"https://a:b@example.org":   "must not",
		"https://example.org/?a=b":  "must not",
		"https://example.org/#here": "must not",
	} {
		var f section.Faults
		if got := f.URL("base_url", raw, "https://x"); got != strings.TrimRight(raw, "/") {
			t.Errorf("%q became %q", raw, got)
		}
		if got := strings.Join(said(&f), " "); (fault == "") != (got == "") || !strings.Contains(got, fault) {
			t.Errorf("%q: %q, want %q", raw, got, fault)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`{"name":"x","loud":null}`)
	f.Add(`[1]`)
	f.Fuzz(func(t *testing.T, cfg string) {
		var k keys
		faults, ok := section.Read(json.RawMessage(cfg), "pigeon", k.fields())
		if !ok && len(faults.List()) != 1 {
			t.Errorf("refused with %v", faults.List())
		}
	})
}

func TestRefusal(t *testing.T) {
	faults := []channels.Fault{{Path: "token", Text: "is missing"}}
	tests := []struct {
		name   string
		faults []channels.Fault
		more   []error
		want   string
	}{
		{"nothing", nil, []error{nil}, "<nil>"},
		{"a fault", faults, nil, "pigeon channel loft: token is missing"},
		{"both", faults, []error{errors.New("no roof")}, "pigeon channel loft: token is missing\nno roof"},
	}
	for _, tt := range tests {
		if got := fmt.Sprint(section.Refusal("pigeon", "loft", tt.faults, tt.more...)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
