package project

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels/guest/kits"
)

//go:embed template
var templates embed.FS

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// Kinds are the names for --kind.
func Kinds() []string { return []string{"channel", "tool"} }

// New makes a project of a kind that builds and passes its tests. Whatever compiler is
// missing for that is returned beside it: the project is there all the same.
func New(ctx context.Context, dir, lang, kind, name string) (missing, err error) {
	if !nameForm.MatchString(name) {
		return nil, fmt.Errorf("%q is no name for a module: it has small letters, digits and hyphens, and begins with a letter", name)
	}
	at := slices.IndexFunc(languages(), func(l language) bool { return l.name == lang })
	if at < 0 {
		return nil, fmt.Errorf("%q is no language that there is a kit for; there are %s", lang, strings.Join(Languages(), ", "))
	}
	l := languages()[at]
	if !slices.Contains(Kinds(), kind) {
		return nil, fmt.Errorf("%q is no kind of module; there are %s", kind, strings.Join(Kinds(), ", "))
	}
	if err := os.Mkdir(dir, 0o755); errors.Is(err, fs.ErrExist) { //nolint:gosec // nothing in it is secret
		return nil, fmt.Errorf("%s is there already", dir)
	} else if err != nil {
		return nil, err
	}
	if err := l.copyKit(dir, name); err != nil {
		return nil, err
	}
	for to, from := range l.templates(kind) {
		if err := write(templates, path.Join("template", from), filepath.Join(dir, filepath.FromSlash(to)), name, l); err != nil {
			return nil, err
		}
	}
	return l.missing(ctx), nil
}

// templates are our files for a project, by their names there. A kit begins with a
// channel, whose place a tool takes.
func (l language) templates(kind string) map[string]string {
	all := map[string]string{"manifest.json": "common/manifest.json", "README.md": "common/README.md", ".gitignore": "common/gitignore"}
	for from, to := range l.files {
		all[to] = path.Join(l.name, from)
	}
	if kind == "tool" {
		all["manifest.json"], all["README.md"], all[l.source] = "tool/manifest.json", "tool/README.md", "tool/"+l.name+".txt"
	}
	return all
}

// copyKit puts the kit's files into a project, which then needs nothing else of
// ours. Its manifest and its name are the project's.
func (l language) copyKit(dir, name string) error {
	kit, err := fs.Sub(kits.Files(), l.kitName())
	if err != nil {
		return err
	}
	return fs.WalkDir(kit, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || file == manifestFile || file == ".gitignore" {
			return err
		}
		to, renamed := l.rename[file]
		switch {
		case !renamed:
			to = file
		case to == "":
			return nil
		}
		return write(kit, file, filepath.Join(dir, l.kit, filepath.FromSlash(to)), name, l)
	})
}

// example is what the kits call the channel that a project begins with, where a
// compiler wants a name.
const (
	example     = `name = "echo"`
	jsonExample = `"name": "echo"`
)

func write(from fs.FS, file, to, name string, l language) error {
	b, err := fs.ReadFile(from, file)
	if err != nil {
		return err
	}
	limits := l.limits
	if limits == "" {
		limits = "{}"
	}
	text := strings.NewReplacer("__NAME__", name, "__LIMITS__", limits, example, `name = "`+name+`"`, jsonExample, `"name": "`+name+`"`).Replace(string(b))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // nothing in it is secret
		return err
	}
	return os.WriteFile(to, []byte(text), 0o644) //nolint:gosec // the author shows it to others
}
