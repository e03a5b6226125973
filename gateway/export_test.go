package gateway

// Kept lists the spaces of the state, each with whether it holds content.
func Kept() map[string]bool {
	all := map[string]bool{}
	for _, k := range allKept() {
		all[k.space] = k.content
	}
	return all
}
