// Package guests holds the sources of the guests that are shipped, and embeds
// their packages. make guests builds these; a program that was built without
// them has none, and says so when a configuration names one.
package guests

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed dist
var dist embed.FS

const ending = ".gwm"

// Package returns the package of a shipped module; fs.ErrNotExist when there is
// none of this name.
func Package(name string) ([]byte, error) { return dist.ReadFile("dist/" + name + ending) }

// Engine is the module that runs a script in JavaScript, with room for it (see
// kits.Script); fs.ErrNotExist when the program was built without it, which
// needs a compiler for C.
func Engine() ([]byte, error) { return dist.ReadFile("dist/quickjs.wasm") }

// Names are the modules that are part of the program.
func Names() []string {
	found, _ := fs.Glob(dist, "dist/*"+ending)
	for i, f := range found {
		found[i] = strings.TrimSuffix(strings.TrimPrefix(f, "dist/"), ending)
	}
	return found
}
