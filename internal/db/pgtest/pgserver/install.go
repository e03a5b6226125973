package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// layout is raised when a tree that an older version of this package made
// would not do any more.
const layout = "-1"

const (
	binDir = "/usr/lib/postgresql/17/bin"
	// uid is the ordinary user that the server runs as: Postgres refuses root.
	// Inside the tree it is called postgres.
	uid = 5432
)

// install returns the folder with the unpacked server, which it makes where
// there is none. The folder is keyed by the versions and appears in one step.
func (p places) install(ctx context.Context) (string, error) {
	trees := filepath.Join(p.dir, "trees")
	found, err := filepath.Glob(filepath.Join(trees, "postgresql-17_*"+layout))
	if err != nil {
		return "", fmt.Errorf("installed servers: %w", err)
	}
	if len(found) > 0 {
		return slices.Max(found), nil
	}
	if err := supported(); err != nil {
		return "", err
	}
	if err := os.MkdirAll(trees, 0o755); err != nil {
		return "", fmt.Errorf("installed servers: %w", err)
	}
	work, err := os.MkdirTemp(trees, "unpacking-")
	if err != nil {
		return "", fmt.Errorf("installed servers: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	key, err := unpack(ctx, work)
	if err != nil {
		return "", err
	}
	tree := filepath.Join(trees, key+layout)
	if err := os.Rename(filepath.Join(work, "tree"), tree); err != nil {
		return "", fmt.Errorf("installed servers: %w", err)
	}
	return tree, nil
}

// supported says early, and in words, what would fail late and obscurely.
func supported() error {
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("a server of our own comes from Debian's packages, and there is no %s here", tool)
		}
	}
	return nil
}

// unpack downloads the packages into work and makes work/tree of them. It
// returns a name with the versions in it.
func unpack(ctx context.Context, work string) (string, error) {
	codename, err := release("/etc/os-release")
	if err != nil {
		return "", err
	}
	m, err := findMirror("/etc/apt", codename)
	if err != nil {
		return "", err
	}
	a, err := newApt(filepath.Join(work, "apt"), m)
	if err != nil {
		return "", err
	}
	debs, err := a.download(ctx)
	if err != nil {
		return "", err
	}
	tree := filepath.Join(work, "tree")
	if err := skeleton(tree); err != nil {
		return "", err
	}
	for _, deb := range debs {
		if out, err := exec.CommandContext(ctx, "dpkg-deb", "--extract", deb, tree).CombinedOutput(); err != nil {
			return "", fmt.Errorf("unpack %s: %w: %s", filepath.Base(deb), err, bytes.TrimSpace(out))
		}
	}
	if err := initialise(ctx, tree); err != nil {
		return "", err
	}
	return key(debs), nil
}

// key is made of the two packages that the tests are about, such as
// postgresql-17_17.5-1_amd64+postgresql-17-pgvector_0.8.0-1_amd64.
func key(debs []string) string {
	var names []string
	for _, deb := range debs {
		name := strings.TrimSuffix(filepath.Base(deb), ".deb")
		if strings.HasPrefix(name, "postgresql-17") {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return len(a) - len(b) })
	return strings.Join(names, "+")
}

// release is the codename of a Debian machine.
func release(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("which system is this: %w", err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		fields[name] = strings.Trim(value, `"'`)
	}
	if fields["ID"] != "debian" || fields["VERSION_CODENAME"] == "" {
		return "", fmt.Errorf("a server of our own comes from Debian's packages, and this system is %q", fields["ID"])
	}
	return fields["VERSION_CODENAME"], nil
}

// skeleton makes what the packages expect of a system around them.
func skeleton(tree string) error {
	for _, dir := range []string{"dev", "etc", "tmp", "srv", "usr/bin", "usr/lib", "usr/lib64", "usr/sbin"} {
		if err := os.MkdirAll(filepath.Join(tree, dir), 0o755); err != nil {
			return fmt.Errorf("server tree: %w", err)
		}
	}
	for _, name := range []string{"bin", "lib", "lib64", "sbin"} {
		if err := os.Symlink("usr/"+name, filepath.Join(tree, name)); err != nil {
			return fmt.Errorf("server tree: %w", err)
		}
	}
	if err := os.Symlink("dash", filepath.Join(tree, "usr/bin/sh")); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("server tree: %w", err)
	}
	files := map[string]string{
		"etc/passwd": fmt.Sprintf("root:x:0:0::/:/bin/sh\npostgres:x:%d:%d::/srv:/bin/sh\n", uid, uid),
		"etc/group":  fmt.Sprintf("root:x:0:\npostgres:x:%d:\n", uid),
		"etc/hosts":  "127.0.0.1 localhost\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(tree, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("server tree: %w", err)
		}
	}
	if err := os.Chmod(filepath.Join(tree, "tmp"), 0o1777); err != nil {
		return fmt.Errorf("server tree: %w", err)
	}
	for name, minor := range map[string]uint32{"null": 3, "zero": 5, "random": 8, "urandom": 9} {
		if err := device(filepath.Join(tree, "dev", name), minor); err != nil {
			return fmt.Errorf("server tree: %w", err)
		}
	}
	return own(filepath.Join(tree, "srv"))
}
