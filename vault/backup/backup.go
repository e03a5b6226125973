// Package backup writes a data folder into one file that is encrypted with age,
// and reads it back.
//
// The file holds the folder as it is: secrets stay sealed under the vault's key,
// which is not in it. Whoever has the age identity alone gets messages but no
// secrets; whoever has the vault's key alone gets nothing.
package backup

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
)

// Bounds of what is read back.
const (
	maxEntries = 10_000_000
	maxFile    = 1 << 40 // bytes
)

// Mark is the first entry of a backup; what has none is something else.
const Mark = "gatehouse-backup-v1"

// Source is a file to keep: where it is, and its name in the folder.
type Source struct{ Path, Name string }

// Progress hears how many bytes are done.
type Progress func(bytes int64)

// Write encrypts files for the recipients. It blocks until all is written.
func Write(ctx context.Context, w io.Writer, files []Source, said Progress, to ...age.Recipient) error {
	if len(to) == 0 {
		return errors.New("a backup needs a recipient")
	}
	sealed, err := age.Encrypt(w, to...)
	if err != nil {
		return fmt.Errorf("encrypt: %w", err)
	}
	out := tar.NewWriter(&counted{ctx: ctx, w: sealed, said: said})
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: Mark, Mode: 0o600, ModTime: time.Now()}); err != nil {
		return err
	}
	for _, f := range files {
		if err := put(out, f); err != nil {
			return fmt.Errorf("keep %s: %w", f.Name, err)
		}
	}
	return errors.Join(out.Close(), sealed.Close())
}

func put(out *tar.Writer, f Source) error {
	in, err := os.Open(f.Path)
	if errors.Is(err, fs.ErrNotExist) { // it was removed since the folder was read
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // read only
	st, err := in.Stat()
	if err != nil {
		return err
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(f.Name), Mode: 0o600, Size: st.Size(), ModTime: st.ModTime()}
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.CopyN(out, in, st.Size())
	return err
}

// Read decrypts a backup into a folder, which must exist and be empty. Nothing
// of it is to be believed before Read returns without an error. Files are
// durable then, and readable by their owner only.
func Read(ctx context.Context, r io.Reader, folder string, said Progress, by ...age.Identity) error {
	plain, err := age.Decrypt(r, by...)
	if err != nil {
		return fmt.Errorf("decrypt: %w", err)
	}
	return Unpack(tar.NewReader(&counting{ctx: ctx, r: plain, said: said}), folder)
}

// Unpack writes the entries of a backup into a folder.
func Unpack(in *tar.Reader, folder string) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	seen := false
	for range maxEntries {
		h, err := in.Next()
		if errors.Is(err, io.EOF) && seen {
			return nil
		}
		if err != nil {
			return fmt.Errorf("this is no whole backup: %w", err)
		}
		if !seen {
			if seen = h.Name == Mark; !seen {
				return errors.New("this is not a backup of Gatehouse")
			}
			continue
		}
		if err := take(root, in, h); err != nil {
			return fmt.Errorf("restore %q: %w", h.Name, err)
		}
	}
	return errors.New("this backup has too many files")
}

// take writes one file.
func take(root *os.Root, in io.Reader, h *tar.Header) error {
	name := filepath.FromSlash(h.Name)
	if h.Typeflag != tar.TypeReg || !filepath.IsLocal(name) || strings.ContainsAny(h.Name, "\\\x00") || h.Size > maxFile {
		return errors.New("it is not a plain file of this folder")
	}
	if dir := filepath.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, in)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Files lists what a data folder holds, but for what skip names, in order.
func Files(folder string, skip ...string) ([]Source, error) {
	var all []Source
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil || !d.Type().IsRegular() || slices.Contains(skip, name) {
			return err
		}
		all = append(all, Source{Path: path, Name: name})
		return nil
	})
	return all, err
}

// counted says how much was written, and stops with its context.
type counted struct {
	ctx  context.Context //nolint:containedctx // an io.Writer has no other way to stop
	w    io.Writer
	n    int64
	said Progress
}

// Write implements io.Writer.
func (c *counted) Write(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.w.Write(b)
	c.n += int64(n)
	c.said(c.n)
	return n, err
}

// counting says how much was read, and stops with its context.
type counting struct {
	ctx  context.Context //nolint:containedctx // an io.Reader has no other way to stop
	r    io.Reader
	n    int64
	said Progress
}

// Read implements io.Reader.
func (c *counting) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(b)
	c.n += int64(n)
	c.said(c.n)
	return n, err
}
