// Package guests holds the sources of the guests that are shipped, and embeds
// what they are built to. make guests does that; a program that was built without
// them has none, and says so when a configuration names one.
package guests

import "embed"

//go:embed dist
var dist embed.FS

// Bundle is what make guests wrote (see module.Bundle); empty where it did not.
func Bundle() []byte {
	b, err := dist.ReadFile("dist/shipped.zip")
	if err != nil {
		return nil
	}
	return b
}

// Engine is the module that runs a script in JavaScript, with room for it (see
// kits.Script); fs.ErrNotExist when the program was built without it, which
// needs a compiler for C.
func Engine() ([]byte, error) { return dist.ReadFile("dist/quickjs.wasm") }
