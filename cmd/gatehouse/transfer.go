package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gatehouse-chat/gatehouse/adapters/console/consoleclient"
	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
)

// fileLine tells of a file.
func fileLine(what string, f wire.File) string {
	return fmt.Sprintf("[%s: %s, %s]", what, printable(f.Name), wire.Size(f.Size))
}

// withFiles is a message and, with their numbers, its files.
func (v *conversation) withFiles(m wire.Message) string {
	text := v.face.message(m)
	for _, f := range m.Files {
		v.files = append(v.files, f)
		line := fmt.Sprintf("%s  /save %d saves it", fileLine("file", f), len(v.files))
		text = strings.TrimPrefix(text+"\n"+v.face.dim(line), "\n")
	}
	return text
}

// transfer does what /file and /save ask for.
func (v *conversation) transfer(ctx context.Context, word, rest string) error {
	if word == "/file" {
		if rest == "" {
			v.face.print("(name the file: /file PATH)")
			return nil
		}
		o := outgoing{key: consoleclient.NewKey(), file: fromHome(strings.Trim(rest, `"'`))}
		v.mine[o.key], v.busy = true, true
		return v.hand(ctx, o)
	}
	number, to, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(number)
	switch {
	case len(v.files) == 0:
		v.face.print("(there is no file here)")
		return nil
	case err != nil || n < 1 || n > len(v.files):
		v.face.print(fmt.Sprintf("(name a file by its number, from 1 to %d: /save NUMBER [PATH])", len(v.files)))
		return nil
	}
	path, err := save(ctx, v.c, v.files[n-1], fromHome(strings.Trim(strings.TrimSpace(to), `"'`)))
	if err != nil {
		v.face.print("(not saved: " + err.Error() + ")")
		return nil
	}
	v.face.print(v.face.dim("(saved as " + printable(path) + ")"))
	return nil
}

// fromHome reads a path as a shell does.
func fromHome(path string) string {
	rest, ok := strings.CutPrefix(path, "~/")
	home, err := os.UserHomeDir()
	if !ok || err != nil {
		return path
	}
	return filepath.Join(home, rest)
}

// deliverFile sends a file in a message of its own. Each try reads it anew.
func (v *conversation) deliverFile(ctx context.Context, o outgoing, waiting func()) error {
	var sent wire.File
	var local error // which another try would meet again
	upload := consoleclient.NewKey()
	remote := insist(ctx, waiting, func() error {
		f, size, err := openRegular(o.file)
		if err != nil {
			local = err
			return nil
		}
		defer func() { _ = f.Close() }()
		sent, err = v.c.Upload(ctx, upload, filepath.Base(o.file), size, f)
		return err
	})
	if err := errors.Join(local, remote); err != nil {
		return err
	}
	if _, err := deliver(ctx, v.c, o.key, "", waiting, upload); err != nil {
		return err
	}
	v.face.print(v.face.dim(fileLine("sent", sent)))
	return nil
}

func openRegular(path string) (*os.File, int64, error) {
	f, err := os.Open(path) //nolint:gosec // the person names it
	if err != nil {
		return nil, 0, err
	}
	i, err := f.Stat()
	if err == nil && !i.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", path)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, i.Size(), nil
}

// save writes a file of a message to a folder under its name, or under the
// given one. It overwrites nothing, and leaves nothing behind when it fails.
func save(ctx context.Context, c *consoleclient.Client, f wire.File, to string) (string, error) {
	content, err := c.File(ctx, f)
	if err != nil {
		return "", err
	}
	defer func() { _ = content.Close() }()
	out, err := create(f.Name, to)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, content)
	if err = errors.Join(err, out.Close()); err != nil {
		return "", errors.Join(err, os.Remove(out.Name()))
	}
	return out.Name(), nil
}

// maxSame is how many files of one name a folder takes.
const maxSame = 100

// create makes a new file. In a folder whose name is taken it has a number.
func create(name, to string) (*os.File, error) {
	i, err := os.Stat(to)
	if to != "" && (err != nil || !i.IsDir()) {
		return os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the person names it
	}
	name = localName(name)
	end := filepath.Ext(name)
	for n := 1; ; n++ {
		next := name
		if n > 1 {
			next = fmt.Sprintf("%s (%d)%s", strings.TrimSuffix(name, end), n, end)
		}
		out, err := os.OpenFile(filepath.Join(to, next), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // in the folder that the person names
		if !errors.Is(err, fs.ErrExist) || n == maxSame {
			return out, err
		}
	}
}

// localName is a file's name without a folder, and not one that hides.
func localName(name string) string {
	name = strings.TrimLeft(filepath.Base(filepath.FromSlash(printable(name))), ".")
	if name == "" || !filepath.IsLocal(name) || name == string(filepath.Separator) {
		return "file"
	}
	return name
}
