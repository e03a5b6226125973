package wasm

import (
	"crypto/sha256"
	"embed"
)

// What decides how a module is checked and rewritten: this package's code.
//
//go:embed check.go code.go cost.go hollow.go limits.go meter.go module.go origin.go parse.go reader.go rewrite.go rewritten.go
var sources embed.FS

// Version stands for what Parse and Rewrite do: a module that an earlier version
// of this package rewrote has to be checked again. It is another one whenever the
// package's source is, so that nobody has to remember.
func Version() [sha256.Size]byte {
	all := sha256.New()
	files, _ := sources.ReadDir(".") // they are part of the program
	for _, f := range files {
		b, _ := sources.ReadFile(f.Name())
		_, _ = all.Write(b)
	}
	return [sha256.Size]byte(all.Sum(nil))
}
