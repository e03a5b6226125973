package egress

// NewEcho and Spellings are for the properties that no server can be made to try.
var (
	NewEcho   = newEcho
	Spellings = spellings
)
