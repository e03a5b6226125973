package main

import (
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
	found   int64 // items that were found so far
	done    int64
	skipped []string
}

// path takes a file, or a folder with all below it. In a folder, what is hidden
// and what cannot be read is passed over, and told.
func (i *importing) path(ctx context.Context, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return i.file(ctx, path)
	}
	return filepath.WalkDir(path, func(at string, d fs.DirEntry, err error) error {
		switch hidden := at != path && strings.HasPrefix(d.Name(), "."); {
		case err != nil:
			i.skipped = append(i.skipped, fmt.Sprintf("%s: %v", at, err))
			return nil
		case hidden && d.IsDir():
			return fs.SkipDir
		case hidden, !d.Type().IsRegular():
			return nil
		}
		if err := i.file(ctx, at); errors.Is(err, errNotRead) {
			i.skipped = append(i.skipped, err.Error())
		} else if err != nil {
			return err
		}
		return nil
	})
}

// errNotRead is what a file gives that cannot be read.
var errNotRead = errors.New("cannot be read")

func (i *importing) file(ctx context.Context, path string) error {
	in, err := os.Open(path) //nolint:gosec // the operator's own path
	if err != nil {
		return fmt.Errorf("%s: %w: %w", path, errNotRead, err)
	}
	defer in.Close() //nolint:errcheck // it was only read
	if filepath.Ext(path) == ".jsonl" {
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
	i.waiting, i.size, i.found = append(i.waiting, l), i.size+len(l.Text), i.found+1
	if len(i.waiting) < importAtOnce && i.size < importBytes {
		return nil
	}
	return i.flush(ctx)
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
	i.tell.show(i.done, i.found)
	i.waiting, i.size = nil, 0
	return nil
}
