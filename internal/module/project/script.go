package project

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gatehouse-chat/gatehouse/channels/guest/kits"
)

// scriptFile is what a project in TypeScript becomes before the engine gets it.
var scriptFile = filepath.Join("build", "main.js")

// kitName is the folder of the language's kit.
func (l language) kitName() string {
	if l.name == "ts" {
		return "js"
	}
	return l.name
}

func javaScript() language {
	return language{
		name: "js", marker: "main.js", source: "main.js", rename: map[string]string{"echo.js": "main.js"},
		files:   map[string]string{"gw.d.ts": "gw.d.ts"},
		missing: func(context.Context) error { return nil },
		build:   func(_ context.Context, j job) error { return j.script(filepath.Join(j.dir, "main.js")) },
	}
}

func typeScript() language {
	return language{
		name: "ts", marker: "main.ts", source: "main.ts", rename: map[string]string{"echo.js": ""},
		files: map[string]string{
			"main.ts.txt": "main.ts", "package.json": "package.json", "tsconfig.json": "tsconfig.json", "../js/gw.d.ts": "gw.d.ts",
		},
		missing: npm,
		build: func(ctx context.Context, j job) error {
			if err := j.modules(ctx); err != nil {
				return err
			}
			if !j.dev { // it takes seconds; an editor says the same
				if err := j.tool(ctx, "tsc", "--noEmit"); err != nil {
					return err
				}
			}
			err := j.tool(ctx, "esbuild", "main.ts", "--bundle", "--format=esm", "--target=es2023", "--charset=utf8", "--log-level=warning",
				"--sourcemap=external", "--outfile="+scriptFile)
			if err != nil {
				return err
			}
			return j.script(filepath.Join(j.dir, scriptFile))
		},
	}
}

var errNoEngine = errors.New("this program was built without the engine for JavaScript; `make guests` builds it where clang, lld, cargo and the WASI library for C are")

// script puts a script into the engine.
func (j job) script(file string) error {
	engine, err := j.engine()
	if errors.Is(err, os.ErrNotExist) {
		return errNoEngine
	}
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file) //nolint:gosec // the author's own file
	if err != nil {
		return err
	}
	code, err := kits.Script(engine, text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(j.to, code, 0o644) //nolint:gosec // nothing in it is secret
}
