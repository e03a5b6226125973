package provider

import (
	_ "embed"
	"encoding/json"
	"strings"
	"sync"

	"github.com/gatehouse-chat/gatehouse/agent"
)

//go:embed prices.json
var pricesJSON []byte

// prices is the price list. It is dated; docs/models.md says how to correct a
// price in the configuration.
type prices struct {
	AsOf      string                      `json:"as_of"`
	Note      string                      `json:"note"`
	Guess     [3]float64                  `json:"guess"`
	Providers map[string]map[string]rates `json:"providers"`
	// Vendors maps the first half of names such as "openai/gpt-5-mini", under
	// which OpenRouter and NEAR AI pass on the models of others at their price.
	Vendors map[string]string `json:"vendors"`
}

type rates [3]float64

var list = sync.OnceValue(func() prices {
	var p prices
	if err := json.Unmarshal(pricesJSON, &p); err != nil {
		panic("provider: the embedded price list is broken: " + err.Error())
	}
	return p
})

// PricesAsOf is the date of the price list, as YYYY-MM-DD.
func PricesAsOf() string { return list().AsOf }

// Price returns what a model costs. The model of a local kind costs nothing. A
// hosted model that is not on the list gets a guess on the high side, marked
// Guessed, so that the daily cap is reached too early rather than too late.
func Price(kind, model string) agent.Price {
	if k, ok := Find(kind); ok && k.Local {
		return agent.Price{}
	}
	p := list()
	if r, ok := lookUp(p.Providers[kind], model); ok {
		return r.price()
	}
	if vendor, rest, ok := strings.Cut(model, "/"); ok {
		if strings.HasSuffix(rest, ":free") {
			return agent.Price{}
		}
		// OpenRouter writes versions with a dot where the vendor has a hyphen.
		for _, name := range []string{rest, strings.ReplaceAll(rest, ".", "-")} {
			if r, ok := lookUp(p.Providers[p.Vendors[vendor]], name); ok {
				return r.price()
			}
		}
	}
	g := rates(p.Guess).price()
	g.Guessed = true
	return g
}

func (r rates) price() agent.Price { return agent.Price{Input: r[0], Cached: r[1], Output: r[2]} }

// lookUp finds a model by its name, or by the name without a date.
func lookUp(models map[string]rates, model string) (rates, bool) {
	if r, ok := models[model]; ok {
		return r, true
	}
	best, found := "", false
	for name := range models {
		rest, ok := strings.CutPrefix(model, name)
		if ok && len(name) > len(best) && release(rest) {
			best, found = name, true
		}
	}
	return models[best], found
}

// release reports whether the end of a name only says which release is meant.
func release(s string) bool {
	s, ok := strings.CutPrefix(s, "-")
	if !ok {
		return false
	}
	if s == "latest" || s == "preview" || strings.HasPrefix(s, "preview-") {
		return true
	}
	const digits = "0123456789"
	return len(s) >= 4 && strings.Trim(s[:4], digits) == "" && strings.Trim(s, digits+"-") == ""
}
