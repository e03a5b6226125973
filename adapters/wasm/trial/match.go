package trial

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/module"
)

type exchange module.Exchange

// wants holds a request to what a test says of it.
func (x exchange) wants(r request, body []byte) error {
	if x.Method != "" && x.Method != r.Method || x.URL != "" && x.URL != r.URL {
		return fmt.Errorf("it asks for %s %s, want %s %s", r.Method, r.URL, x.Method, x.URL) //nolint:err113 // for people
	}
	if len(x.Body) > 0 {
		return holds("body", x.Body, body)
	}
	return nil
}

// holds reports where what there is does not hold what is wanted: every key that
// is wanted, with the same value. Keys beyond those do not matter.
func holds(place string, want, got []byte) error {
	var w, g any
	if err := json.Unmarshal(want, &w); err != nil {
		return fmt.Errorf("the test's %s: %w", place, err)
	}
	if json.Unmarshal(got, &g) != nil {
		g = string(got)
	}
	return within(place, w, g)
}

func within(place string, want, got any) error {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return differ(place, want, got)
		}
		for key, v := range w {
			if err := within(place+"."+key, v, g[key]); err != nil {
				return err
			}
		}
		return nil
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return differ(place, want, got)
		}
		for i := range w {
			if err := within(fmt.Sprintf("%s[%d]", place, i), w[i], g[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if !reflect.DeepEqual(want, got) {
		return differ(place, want, got)
	}
	return nil
}

func differ(place string, want, got any) error {
	return fmt.Errorf("%s is %s, want %s", place, short(got), short(want)) //nolint:err113 // for people
}

func short(v any) string {
	const most = 200
	b, _ := json.Marshal(v) // it came from JSON
	if len(b) > most {
		return strings.ToValidUTF8(string(b[:most]), "") + "..."
	}
	return string(b)
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
