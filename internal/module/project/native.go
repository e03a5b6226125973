package project

import (
	"context"
	"os"
	"path/filepath"
)

func c() language {
	return language{
		name: "c", marker: "main.c", source: "main.c", rename: map[string]string{"echo.c": "main.c", "Makefile": ""},
		missing: func(context.Context) error {
			const fix = "it comes with LLVM: apt install clang lld, dnf install clang lld, brew install llvm lld"
			if err := missingProgram("clang", fix); err != nil {
				return err
			}
			return missingProgram("wasm-ld", fix)
		},
		build: func(ctx context.Context, j job) error {
			sources, err := filepath.Glob(filepath.Join(j.dir, "*.c"))
			if err != nil {
				return err
			}
			// The memory is the module's own and starts small.
			args := []string{
				"--target=wasm32", "-std=c17", "-Wall", "-ffreestanding", "-mbulk-memory", "-nostdlib", "-O2", "-gline-tables-only",
				"-Wl,--no-entry", "-Wl,-z,stack-size=65536", "-o", j.to,
			}
			if !j.dev {
				args = append(args, "-Wl,--strip-debug")
			}
			for _, s := range sources {
				args = append(args, filepath.Base(s))
			}
			return j.run(ctx, nil, "clang", args...)
		},
	}
}

// npm reports what is missing of node and npm, which does nothing without it.
func npm(context.Context) error {
	const fix = "https://nodejs.org has node and npm, and so have most systems: apt install nodejs npm, dnf install nodejs npm, brew install node"
	if err := missingProgram("node", fix); err != nil {
		return err
	}
	return missingProgram("npm", fix)
}

// modules installs a project's packages, once.
func (j job) modules(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(j.dir, "node_modules")); err == nil {
		return nil
	}
	return j.run(ctx, nil, "npm", "install", "--silent", "--no-audit", "--no-fund")
}

// tool runs a program of a project's packages.
func (j job) tool(ctx context.Context, name string, args ...string) error {
	program, err := filepath.Abs(filepath.Join(j.dir, "node_modules", ".bin", name))
	if err != nil {
		return err
	}
	return j.run(ctx, nil, program, args...)
}

func assemblyScript() language {
	return language{
		name: "as", marker: "assembly", source: "assembly/index.ts", rename: map[string]string{"assembly/echo.ts": "assembly/index.ts"},
		missing: npm,
		build: func(ctx context.Context, j job) error {
			if err := j.modules(ctx); err != nil {
				return err
			}
			how := []string{"-O3"}
			if j.dev {
				how = []string{"--sourceMap"} // and nothing put into anything else, so that places are true
			}
			return j.tool(ctx, "asc", append([]string{
				filepath.Join("assembly", "index.ts"), "-o", j.to, "--runtime", "stub",
				"--use", "abort=assembly/gw1/abort", "--debug",
			}, how...)...)
		},
	}
}
