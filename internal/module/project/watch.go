package project

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// State stands for what a project's files were at one moment, by their names,
// sizes and times.
type State string

// Modified looks at all files of the project, except those that are built and
// those that others keep there.
func (p Project) Modified() (State, error) {
	h := sha256.New()
	err := filepath.WalkDir(p.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != p.Dir && (strings.HasPrefix(name, ".") || name == "build" || name == "target" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".gwm") || strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".lock") {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil // it was removed meanwhile, which the next look finds
		}
		fmt.Fprintf(h, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		return nil
	})
	return State(hex.EncodeToString(h.Sum(nil))), err
}
