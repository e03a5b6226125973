package vault

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// createWhole makes a file of mode 0600 that did not exist: complete and
// durable, or not at all. It fails with fs.ErrExist when the file exists.
func createWhole(path string, content []byte) error {
	tmp, err := writeBeside(path, content)
	if err != nil {
		return err
	}
	defer os.Remove(tmp) //nolint:errcheck // only a leftover
	err = os.Link(tmp, path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		// Some file systems have no hard links. There the file is made in
		// place, and a crash in this moment leaves one that is refused.
		err = createInPlace(path, content)
	}
	if err != nil {
		return err
	}
	return syncFolder(path)
}

// createInPlace writes a new file without the detour.
func createInPlace(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator's own path
	if err != nil {
		return err
	}
	return writeSynced(f, content)
}

// replaceWhole exchanges a file's content for new content, atomically.
func replaceWhole(path string, content []byte) error {
	tmp, err := writeBeside(path, content)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return syncFolder(path)
}

// writeBeside writes a durable file of mode 0600 in path's folder, under a name
// of its own.
func writeBeside(path string, content []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return "", err
	}
	if err := writeSynced(f, content); err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// writeSynced writes, makes durable and closes.
func writeSynced(f *os.File, content []byte) error {
	_, err := f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncFolder makes a new name durable. Systems that cannot sync a folder are
// taken as they are.
func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}
