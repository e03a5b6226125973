package pattern

// Rules lists what a set was made of.
func (s *Set) Rules() []Rule {
	var all []Rule
	for _, r := range s.rules {
		all = append(all, r.Rule)
	}
	return all
}

// NewSet makes a set of given rules.
func NewSet(all ...Rule) *Set { return newSet(all) }

// Reach is how far a match of an expression can go from its keyword.
var Reach = reach

// Again is what a rule with a distance asks of a text first.
var Again = again
