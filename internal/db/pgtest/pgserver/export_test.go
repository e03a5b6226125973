package pgserver

// What the tests look at from outside.
var (
	Key     = key
	Release = release
)

// Mirror is findMirror, with the stanza that would be given to apt.
func Mirror(etc, codename string) (string, error) {
	m, err := findMirror(etc, codename)
	if err != nil {
		return "", err
	}
	return m.stanza(), nil
}
