package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// Folder keeps blobs as files of one folder, which this process owns alone. A
// file is written under another name, synced and renamed, so that one that has
// its name is whole. The time of its last change is when it was put.
type Folder struct {
	dir  string
	now  func() time.Time
	seal *Seal // nil: files are kept as they are

	// mu lets no removal come between the look at a file's time and its end.
	mu sync.Mutex
}

var _ Shelf = (*Folder)(nil)

// unfinished begins the names of files that are being written.
const unfinished = "tmp-"

// NewFolder opens or makes the folder, for its owner only. seal says how files
// are encrypted; nil: not at all, and none ever was.
func NewFolder(dir string, now func() time.Time, seal *Seal) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for files: %w", err)
	}
	return &Folder{dir: dir, now: now, seal: seal}, nil
}

// path spreads the files over 256 folders.
func (f *Folder) path(id ID) string { return filepath.Join(f.dir, string(id[:2]), string(id)) }

// Put implements Shelf.
func (f *Folder) Put(ctx context.Context, r io.Reader, limit int64) (ID, int64, error) {
	tmp, m, err := f.write(ctx, r, limit)
	if err != nil {
		return "", 0, fmt.Errorf("keep a file: %w", err)
	}
	failpoint.Hit(failpoint.BlobBefore)
	if err := f.name(tmp, m.id()); err != nil {
		_ = os.Remove(tmp)
		return "", 0, fmt.Errorf("keep a file: %w", err)
	}
	failpoint.Hit(failpoint.BlobAfter)
	return m.id(), m.size, nil
}

// write keeps what r gives in a file without a name of its own yet.
func (f *Folder) write(ctx context.Context, r io.Reader, limit int64) (name string, m *measured, err error) {
	tmp, err := os.CreateTemp(f.dir, unfinished+"*")
	if err != nil {
		return "", nil, err
	}
	defer func() {
		if err != nil {
			_ = tmp.Close() // it may be closed already
			_ = os.Remove(tmp.Name())
		}
	}()
	m = measure(ctx, r, limit)
	if f.seal != nil && f.seal.On {
		err = f.seal.write(ctx, tmp, m)
	} else {
		_, err = io.Copy(tmp, m)
	}
	if err != nil {
		return "", nil, err
	}
	return tmp.Name(), m, errors.Join(tmp.Sync(), tmp.Close())
}

// name makes a written file the blob of that name. One that is there already
// is replaced, which also mends it.
func (f *Folder) name(tmp string, id ID) error {
	now := f.now()
	if err := os.Chtimes(tmp, now, now); err != nil {
		return err
	}
	to := f.path(id)
	if err := os.Mkdir(filepath.Dir(to), 0o700); err == nil {
		if err := syncFolder(f.dir); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	f.mu.Lock()
	err := os.Rename(tmp, to)
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(to))
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // one of our own
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Open implements Shelf.
func (f *Folder) Open(ctx context.Context, id ID) (io.ReadCloser, error) {
	if !id.Valid() {
		return nil, ErrNotFound
	}
	file, err := os.Open(f.path(id))
	if err != nil {
		return nil, absent("open a kept file", err)
	}
	if f.seal == nil {
		return verify(file, id), nil
	}
	r, err := f.seal.reader(ctx, file)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a kept file: %w", err), file.Close())
	}
	return verify(r, id), nil
}

// absent makes ErrNotFound of a file that is not there.
func absent(what string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Touch implements Shelf.
func (f *Folder) Touch(_ context.Context, id ID) error {
	if !id.Valid() {
		return ErrNotFound
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if err := os.Chtimes(f.path(id), now, now); err != nil {
		return absent("touch a kept file", err)
	}
	return nil
}

// Old implements Shelf.
func (f *Folder) Old(ctx context.Context, after ID, before time.Time, limit int) ([]ID, error) {
	folders, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, fmt.Errorf("list the kept files: %w", err)
	}
	var old []ID
	for _, d := range folders {
		if !d.IsDir() || after != "" && d.Name() < string(after[:2]) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		some, err := f.oldIn(d.Name(), after, before)
		if err != nil {
			return nil, err
		}
		if old = append(old, some...); len(old) >= limit {
			return old[:limit], nil
		}
	}
	return old, nil
}

func (f *Folder) oldIn(folder string, after ID, before time.Time) ([]ID, error) {
	all, err := os.ReadDir(filepath.Join(f.dir, folder))
	if err != nil {
		return nil, fmt.Errorf("list the kept files: %w", err)
	}
	var old []ID
	for _, e := range all {
		id := ID(e.Name())
		if !id.Valid() || id <= after {
			continue
		}
		if i, err := e.Info(); err == nil && i.ModTime().Before(before) {
			old = append(old, id)
		}
	}
	slices.Sort(old)
	return old, nil
}

// Remove implements Shelf.
func (f *Folder) Remove(_ context.Context, id ID, before time.Time) (bool, error) {
	if !id.Valid() {
		return false, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	i, err := os.Stat(f.path(id))
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !i.ModTime().Before(before):
		return false, nil
	case err == nil:
		err = os.Remove(f.path(id))
	}
	if err != nil {
		return false, fmt.Errorf("remove a kept file: %w", err)
	}
	return true, nil
}

// Unfinished implements Shelf.
func (f *Folder) Unfinished(_ context.Context, before time.Time) error {
	all, err := os.ReadDir(f.dir)
	if err != nil {
		return fmt.Errorf("list the kept files: %w", err)
	}
	var errs []error
	for _, e := range all {
		i, err := e.Info()
		if !strings.HasPrefix(e.Name(), unfinished) || err != nil || !i.ModTime().Before(before) {
			continue
		}
		errs = append(errs, os.Remove(filepath.Join(f.dir, e.Name())))
	}
	return errors.Join(errs...)
}
