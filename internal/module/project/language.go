package project

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// language is how modules are made of sources in one language.
type language struct {
	name   string            // of --lang, and the folder of its kit
	marker string            // the file by which a project is known
	source string            // the file of the module's own code
	kit    string            // the folder for the kit's files, below the project's
	files  map[string]string // of our template: the name in the project, by the name here
	// rename has the names in the project of the kit's files, by their own; "" is
	// left out.
	rename map[string]string
	limits string // of the manifest, where the defaults are not enough
	// missing says what has to be installed, and how; nil: nothing.
	missing func(ctx context.Context) error
	build   func(ctx context.Context, j job) error
}

// job is one build.
type job struct {
	dir, to string
	log     io.Writer
	dev     bool
	engine  func() ([]byte, error)
}

// run starts a compiler in the project's folder and waits for its end.
func (j job) run(ctx context.Context, env []string, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...) //nolint:gosec // the author's own compiler
	c.Dir, c.Stdout, c.Stderr = j.dir, j.log, j.log
	c.Env = append(os.Environ(), env...)
	return c.Run()
}

func languages() []language {
	return []language{golang(), rust(), c(), assemblyScript(), javaScript(), typeScript()}
}

// Languages are the names for --lang.
func Languages() []string {
	var all []string
	for _, l := range languages() {
		all = append(all, l.name)
	}
	return all
}

func markers() string {
	var all []string
	for _, l := range languages() {
		all = append(all, l.marker)
	}
	return strings.Join(all, ", ")
}

// missingProgram says that a program is not there, and what brings it.
func missingProgram(name, fix string) error {
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("%s is not installed; %s", name, fix) //nolint:err113 // for people
	}
	return nil
}

func golang() language {
	return language{
		name: "go", marker: "go.mod", source: "main.go", kit: "gatehouse",
		files: map[string]string{"main.go.txt": "main.go", "go.mod.txt": "go.mod"},
		// Go's compiler turns a function into one large loop, which costs fuel.
		limits: `{"memory_mb": 32, "fuel": 10000000000}`,
		missing: func(context.Context) error {
			return missingProgram("go", "https://go.dev/dl/ has it (1.24 or later), and so have most systems: apt install golang, brew install go")
		},
		build: func(ctx context.Context, j job) error {
			// What was committed when is not part of it: the same sources give the same bytes.
			args := []string{"build", "-trimpath", "-buildvcs=false", "-buildmode=c-shared", "-o", j.to}
			if !j.dev {
				args = append(args, "-ldflags=-s -w")
			}
			return j.run(ctx, []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=-mod=mod"}, "go", append(args, ".")...)
		},
	}
}

const rustTarget = "wasm32-unknown-unknown"

func rust() language {
	return language{
		name: "rust", marker: "Cargo.toml", source: "src/lib.rs",
		missing: func(ctx context.Context) error {
			if err := missingProgram("cargo", "https://rustup.rs installs Rust, and then `rustup target add "+rustTarget+"`"); err != nil {
				return err
			}
			out, err := exec.CommandContext(ctx, "rustc", "--print", "target-libdir", "--target", rustTarget).Output()
			if err == nil {
				_, err = os.Stat(strings.TrimSpace(string(out)))
			}
			if err != nil {
				return errors.New("the Rust that is here cannot compile to WebAssembly yet; `rustup target add " + rustTarget + "` brings that (Debian: apt install libstd-rust-dev-wasm32)")
			}
			return nil
		},
		build: func(ctx context.Context, j job) error {
			// Locations in messages are the author's own paths in both profiles;
			// what differs is how long the compiler optimises.
			profile, folder := "release", "release"
			if j.dev {
				profile, folder = "dev", "debug"
			}
			made := filepath.Join(j.dir, "build", "target", rustTarget, folder, "*.wasm")
			if err := removeAll(made); err != nil { // one of another name would stay beside it
				return err
			}
			env := []string{"CARGO_TARGET_DIR=" + filepath.Join("build", "target")}
			if err := j.run(ctx, env, "cargo", "build", "--quiet", "--profile", profile, "--target", rustTarget); err != nil {
				return err
			}
			found, err := filepath.Glob(made)
			if err != nil || len(found) != 1 {
				return errors.Join(err, fmt.Errorf("cargo made %d modules, want one", len(found)))
			}
			return copyFile(found[0], j.to)
		},
	}
}

// removeAll removes the files that a pattern finds.
func removeAll(pattern string) error {
	found, err := filepath.Glob(pattern)
	for _, f := range found {
		err = errors.Join(err, os.Remove(f))
	}
	return err
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from) //nolint:gosec // a compiler's output
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644) //nolint:gosec // nothing in it is secret
}
