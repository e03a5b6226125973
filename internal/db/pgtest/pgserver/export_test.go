package pgserver

// What the tests look at from outside.
var (
	Key     = key
	Release = release
	TryLock = tryLock
	ErrBusy = errBusy
)

// Forget takes a shared lock and drops all that refers to it.
func Forget(path string) error {
	_, err := lockShared(path)
	return err
}

// Mirror is findMirror, with the stanza that would be given to apt.
func Mirror(etc, codename string) (string, error) {
	m, err := findMirror(etc, codename)
	if err != nil {
		return "", err
	}
	return m.stanza(), nil
}
