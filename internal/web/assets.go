package web

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// Assets serves embedded files under names that change with their contents, so
// that browsers may keep them for ever.
type Assets struct {
	prefix string
	files  map[string]asset
}

type asset struct {
	body    []byte
	kind    string
	version string
}

// kinds are the only types that are served; everything else is not an asset.
var kinds = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// NewAssets serves the files of a folder below prefix, which ends with a slash.
func NewAssets(prefix string, from fs.FS, dir string) *Assets {
	a := &Assets{prefix: prefix, files: map[string]asset{}}
	entries, err := fs.ReadDir(from, dir)
	if err != nil {
		panic("web: embedded files: " + err.Error())
	}
	for _, e := range entries {
		kind, ok := kinds[path.Ext(e.Name())]
		if !ok {
			continue
		}
		body, err := fs.ReadFile(from, path.Join(dir, e.Name()))
		if err != nil {
			panic("web: embedded files: " + err.Error())
		}
		sum := sha256.Sum256(body)
		a.files[e.Name()] = asset{body: body, kind: kind, version: hex.EncodeToString(sum[:6])}
	}
	return a
}

// URL is where a file is. It panics for one that does not exist.
func (a *Assets) URL(name string) string {
	f, ok := a.files[name]
	if !ok {
		panic("web: no asset " + name)
	}
	return a.prefix + name + "?v=" + f.version
}

// ServeHTTP implements http.Handler.
func (a *Assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := a.files[strings.TrimPrefix(r.URL.Path, a.prefix)]
	if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(w, r)
		return
	}
	keep := "no-cache"
	if r.URL.Query().Get("v") == f.version {
		keep = "public, max-age=31536000, immutable"
	}
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("Cache-Control", keep)
	_, _ = w.Write(f.body)
}
