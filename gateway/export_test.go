package gateway

// Kept lists the spaces of the state, each with whether it holds content.
func Kept() map[string]bool {
	all := map[string]bool{}
	for _, k := range allKept() {
		all[k.space] = k.content
	}
	return all
}

// Decision is what becomes of a space when a person is erased.
type Decision struct {
	Erased    bool
	What, Why string
}

// Decided lists the decisions by space.
func Decided() map[string]Decision {
	all := map[string]Decision{}
	for _, k := range allKept() {
		all[k.space] = Decision{Erased: k.erase != nil, What: k.what, Why: k.why}
	}
	return all
}

// ParseLater writes what stands after /later, "" when it is not understood.
func ParseLater(args string) string {
	d, text, ok := parseLater(args)
	if !ok {
		return ""
	}
	said := d.in.String() + " " + text
	if d.again {
		said = "every " + said
	}
	return said
}
