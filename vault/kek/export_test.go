package kek

// NewKeyringOf is a keyring that keeps its key in s.
func NewKeyringOf(name string, s interface {
	Get(service, name string) (string, error)
	Set(service, name, value string) error
}, p Patience,
) *Keyring {
	return newKeyring(name, s, p)
}
