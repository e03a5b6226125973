package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/ingest"
	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// How much goes to the gateway in one request.
const (
	importAtOnce = 100
	importBytes  = 4 << 20
)

// importing sends files to the memory.
type importing struct {
	desk    *desk
	tell    *bar
	reach   memory.Reach
	tags    []string
	label   memory.Label // of files
	waiting []store.Listed
	size    int
	all     int64 // items that there will be, as far as one can tell before
	done    int64
	skipped []string
}

// paths takes files, and folders with all below them.
func (i *importing) paths(ctx context.Context, paths []string) error {
	var found []candidate
	for _, path := range paths {
		some, err := i.find(path)
		if err != nil {
			return err
		}
		found = append(found, some...)
	}
	for _, f := range found {
		i.all += f.items
	}
	for _, f := range found {
		err := i.file(ctx, f.path)
		if f.among && errors.Is(err, errNotRead) {
			i.skipped = append(i.skipped, err.Error())
			i.all -= f.items
		} else if err != nil {
			return err
		}
	}
	return i.flush(ctx)
}

// broken says how far an import came that has not come to its end.
func (i *importing) broken(ctx context.Context, err error) error {
	err = brokenOff(ctx, err)
	if i.done == 0 {
		return err
	}
	return fmt.Errorf("%w; the first %d are imported, and doing it again replaces them", err, i.done)
}

// candidate is a file to import.
type candidate struct {
	path  string
	among bool  // it was found in a folder, and is passed over if it cannot be read
	items int64 // that it holds
}

// find lists what there is at a path: a file, or a folder with all below it. In a
// folder, what is hidden is passed over, and what cannot be opened is told.
func (i *importing) find(path string) (found []candidate, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []candidate{{path: path, items: itemsIn(path)}}, nil
	}
	err = filepath.WalkDir(path, func(at string, d fs.DirEntry, err error) error {
		switch hidden := at != path && strings.HasPrefix(d.Name(), "."); {
		case err != nil:
			i.skipped = append(i.skipped, fmt.Sprintf("%s: %v", at, err))
			return nil
		case hidden && d.IsDir():
			return fs.SkipDir
		case hidden, !d.Type().IsRegular():
			return nil
		}
		found = append(found, candidate{path: at, among: true, items: itemsIn(at)})
		return nil
	})
	return found, err
}

// itemsIn counts the lines of an export; any other file is one item.
func itemsIn(path string) int64 {
	if filepath.Ext(path) != exportExt {
		return 1
	}
	in, err := os.Open(path) //nolint:gosec // the operator's own path
	if err != nil {
		return 1 // reading it says why
	}
	defer in.Close() //nolint:errcheck // it was only read
	n, some := int64(0), make([]byte, 64<<10)
	for {
		read, err := in.Read(some)
		n += int64(bytes.Count(some[:read], []byte("\n")))
		if err != nil {
			return n
		}
	}
}

// exportExt is how the name of an export ends.
const exportExt = ".jsonl"

// errNotRead is what a file gives that cannot be read.
var errNotRead = errors.New("cannot be read")

func (i *importing) file(ctx context.Context, path string) error {
	in, err := os.Open(path) //nolint:gosec // the operator's own path
	if err != nil {
		return fmt.Errorf("%s: %w: %w", path, errNotRead, err)
	}
	defer in.Close() //nolint:errcheck // it was only read
	if filepath.Ext(path) == exportExt {
		err := exported(in, func(l store.Listed) error { return i.add(ctx, l) })
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	}
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if info.Size() > ingest.MostFile {
		return fmt.Errorf("%s: %w: it is too large", path, errNotRead)
	}
	b, err := os.ReadFile(path) //nolint:gosec // as above
	if err != nil {
		return fmt.Errorf("%s: %w: %w", path, errNotRead, err)
	}
	doc, err := ingest.Read(ctx, path, b)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", path, errNotRead, err)
	}
	return i.add(ctx, i.document(path, info.ModTime(), doc))
}

// document is the item that a file becomes. Its id follows from where it goes
// and from the path, so that importing it again replaces it.
func (i *importing) document(path string, at time.Time, doc ingest.Document) store.Listed {
	sum := sha256.Sum256([]byte(string(i.reach) + "\x00" + i.desk.Workspace + "\x00" + path))
	return store.Listed{Item: memory.Item{
		ID: "f" + hex.EncodeToString(sum[:8]), Reach: i.reach, Kind: memory.Document, Title: doc.Title, Text: doc.Text,
		URI: "file://" + filepath.ToSlash(path), Label: i.label, Tags: i.tags, At: at,
	}}
}

func (i *importing) add(ctx context.Context, l store.Listed) error {
	if len(i.waiting) == importAtOnce || i.size+len(l.Text) > importBytes {
		if err := i.flush(ctx); err != nil {
			return err
		}
	}
	i.waiting, i.size = append(i.waiting, l), i.size+len(l.Text)
	return nil
}

func (i *importing) flush(ctx context.Context) error {
	if len(i.waiting) == 0 {
		return nil
	}
	ids, err := i.desk.KeepMemory(ctx, i.waiting...)
	if err != nil {
		return err
	}
	i.done += int64(len(ids))
	i.tell.show(i.done, i.all)
	i.waiting, i.size = nil, 0
	return nil
}
