package agent

// Price is what a model costs, in USD per million tokens. The zero Price is
// that of a local model.
type Price struct {
	Input   float64
	Cached  float64 // input that the provider had in its cache
	Output  float64
	Guessed bool // not from a price list
}

// Free reports whether a call costs nothing.
func (p Price) Free() bool { return p.Input == 0 && p.Cached == 0 && p.Output == 0 }

// Of is what a call cost, in USD.
func (p Price) Of(u Usage) float64 {
	const million = 1e6
	cached := min(max(u.Cached, 0), max(u.Input, 0))
	fresh := max(u.Input, 0) - cached
	return (float64(fresh)*p.Input + float64(cached)*p.Cached + float64(max(u.Output, 0))*p.Output) / million
}
