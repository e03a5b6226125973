package module

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// A bundle holds the manifests of several guests that are one program, and the
// program once: <id>.json for each, and module.wasm.

const manifestEnding = ".json"

// Bundle writes one. A manifest with faults, or for another module, is refused.
func Bundle(manifests [][]byte, module []byte) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	var errs []error
	write := func(name string, content []byte) {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
		if err == nil {
			_, err = f.Write(content)
		}
		errs = append(errs, err)
	}
	write(moduleFile, module)
	for _, text := range manifests {
		m, err := check(text, module)
		if err != nil {
			return nil, err
		}
		write(m.ID+manifestEnding, text)
	}
	if err := errors.Join(append(errs, w.Close())...); err != nil {
		return nil, fmt.Errorf("write the bundle: %w", err)
	}
	return b.Bytes(), nil
}

// Bundled lists the ids of a bundle's guests; none for what is no bundle.
func Bundled(b []byte) (ids []string) {
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil
	}
	for _, f := range r.File {
		if id, ok := strings.CutSuffix(f.Name, manifestEnding); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// Unbundle is the package of one guest; fs.ErrNotExist when the bundle has none
// of this id. The program is not compressed anew.
func Unbundle(b []byte, id string) ([]byte, error) {
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, fs.ErrNotExist
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, part := range []struct{ name, as string }{{path.Base(id) + manifestEnding, manifestFile}, {moduleFile, moduleFile}} {
		at := file(r, part.name)
		if at == nil {
			return nil, fs.ErrNotExist
		}
		head := at.FileHeader
		head.Name = part.as
		if err := carry(w, head, at); err != nil {
			return nil, fmt.Errorf("read the bundle: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("read the bundle: %w", err)
	}
	return out.Bytes(), nil
}

func file(r *zip.Reader, name string) *zip.File {
	for _, f := range r.File {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// carry copies a file as it is compressed.
func carry(w *zip.Writer, head zip.FileHeader, from *zip.File) error {
	to, err := w.CreateRaw(&head)
	if err != nil {
		return err
	}
	content, err := from.OpenRaw()
	if err != nil {
		return err
	}
	_, err = io.Copy(to, content)
	return err
}
