// Package kits are the starts of guests: for each language a file or two that
// speak gw1, and a small channel that uses them, polls, and answers. A project of
// an author begins as a copy of one. Go's has the sources of the kit alone; the
// channel stands with the projects, because it belongs to another module.
package kits

import (
	"embed"
	"io/fs"
)

//go:embed go
//go:embed rust/Cargo.toml rust/Cargo.lock rust/.gitignore rust/.cargo/config.toml rust/manifest.json rust/src
//go:embed c/gw1.h c/echo.c c/Makefile c/.gitignore c/manifest.json
//go:embed js/echo.js js/manifest.json
//go:embed as/package.json as/.gitignore as/manifest.json as/assembly
var files embed.FS

// Files are the kits, in a folder for each language: go, rust, c, as, js. A script
// in JavaScript needs no more than the engine (see Script).
func Files() fs.FS { return files }
