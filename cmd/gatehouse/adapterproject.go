package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/adapters/guests"
	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/internal/module/project"
)

// folder is the project that a verb is about: the one named, or this one.
func folder(a []string) string {
	if len(a) == 0 {
		return "."
	}
	return a[0]
}

func newProjectCommand() *cobra.Command {
	lang, kind := "", "channel"
	c := &cobra.Command{
		Use: "new NAME", Short: "Make a project: a channel, or a tool, that builds and passes its tests", Args: args(cobra.ExactArgs(1)),
		Long: "Make a project in a folder of this name: a channel that builds, and passes its\n" +
			"tests, or with --kind tool a tool for the model. It holds all that it needs of\n" +
			"Gatehouse.",
		Example: "  gatehouse adapter new --lang go mychat\n  gatehouse adapter new --lang ts --kind tool mytool",
	}
	c.Flags().StringVar(&lang, "lang", "", "the language: "+strings.Join(project.Languages(), ", "))
	c.Flags().StringVar(&kind, "kind", kind, "what it is: "+strings.Join(project.Kinds(), ", "))
	_ = c.MarkFlagRequired("lang")
	_ = c.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(project.Kinds(), cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions(project.Languages(), cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(c *cobra.Command, a []string) error {
		if !slices.Contains(project.Languages(), lang) {
			return usageError{fmt.Errorf("--lang %s: there is a kit for %s", lang, strings.Join(project.Languages(), ", "))}
		}
		if !slices.Contains(project.Kinds(), kind) {
			return usageError{fmt.Errorf("--kind %s: there are %s", kind, strings.Join(project.Kinds(), ", "))}
		}
		missing, err := project.New(c.Context(), a[0], lang, kind, filepath.Base(a[0]))
		if err != nil {
			return err
		}
		out := c.OutOrStdout()
		fmt.Fprintf(out, "%s is made; README.md says what is in it\n", a[0])
		if missing != nil {
			fmt.Fprintf(out, "before you go on: %s\n", missing)
		}
		fmt.Fprintf(out, "\n  cd %s\n  gatehouse adapter test\n  gatehouse adapter dev --watch\n", a[0])
		return nil
	}
	return c
}

func buildCommand() *cobra.Command {
	return &cobra.Command{
		Use: "build [FOLDER]", Short: "Compile a project to build/module.wasm", Args: args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			p, err := project.Open(folder(a), guests.Engine)
			if err != nil {
				return err
			}
			began := time.Now()
			code, err := p.Build(c.Context(), c.ErrOrStderr(), false)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "build/module.wasm has %d bytes; it took %s\n", len(code), time.Since(began).Round(10*time.Millisecond))
			return nil
		},
	}
}

func packCommand() *cobra.Command {
	to := ""
	c := &cobra.Command{
		Use: "pack [FOLDER]", Short: "Compile a project and write its package", Args: args(cobra.MaximumNArgs(1)),
		Long: "Compile a project and write its package, NAME-VERSION" + packageEnding + ", unsigned. The same sources\n" +
			"and compiler give the same bytes. Packages of other versions in the folder are removed.",
	}
	c.Flags().StringVarP(&to, "output", "o", "", "the file to write, instead of NAME-VERSION"+packageEnding+" in the folder")
	c.RunE = func(c *cobra.Command, a []string) error {
		p, err := project.Open(folder(a), guests.Engine)
		if err != nil {
			return err
		}
		code, err := p.Build(c.Context(), c.ErrOrStderr(), false)
		if err != nil {
			return err
		}
		b, m, err := p.Pack(code)
		if err != nil {
			return err
		}
		if to == "" {
			to = filepath.Join(p.Dir, m.ID+"-"+m.Version+packageEnding)
			if err := removeOthers(p.Dir, m.ID, to); err != nil {
				return err
			}
		}
		if err := replaceFile(to, b); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s has %d bytes; it is not signed yet (gatehouse adapter sign)\n", to, len(b))
		return nil
	}
	return c
}

// removeOthers takes away the packages of other versions, so that a folder holds
// one.
func removeOthers(dir, id, but string) error {
	found, err := filepath.Glob(filepath.Join(dir, id+"-*"+packageEnding))
	for _, f := range found {
		if f != but {
			err = errors.Join(err, os.Remove(f))
		}
	}
	return err
}

func testCommand() *cobra.Command {
	seed, verbose := uint64(0), false
	c := &cobra.Command{
		Use: "test [FOLDER|FILE]", Short: "Test a project or a package: its own tests, the contract, hostile inputs, speed", Args: args(cobra.MaximumNArgs(1)),
		Long: "Test a project, or a package. There is no network: what the platform answers stands\n" +
			"in the manifest's tests. Each is made on both engines; then the platform fails in\n" +
			"the ways in which platforms fail, inputs are broken, and the clock is read.\n\n" +
			"One mistake fails many of them: the first is shown, and the others are counted\n" +
			"below it. The exit code is 0 when all pass, and 1 when one does not.",
	}
	c.Flags().Uint64Var(&seed, "seed", 0, "repeat the hostile inputs of an earlier run; 0: new ones")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "show each check that failed in full, and list what passed as well")
	c.RunE = func(c *cobra.Command, a []string) error {
		pkg, dir, err := packageOf(c.Context(), folder(a), c.ErrOrStderr())
		if err != nil {
			return err
		}
		d := newBench()
		defer d.Close() //nolint:errcheck // the process ends
		if seed == 0 {
			seed = uint64(time.Now().UnixNano())
		}
		return runTrial(c.Context(), c.OutOrStdout(), d, trialOf{pkg: pkg, dir: dir, seed: seed, verbose: verbose})
	}
	return c
}

// newBench is a driver for modules that are tried out and not installed. What it
// compiles is kept with the author's other caches.
func newBench() *wasm.Driver {
	dir, err := os.UserCacheDir()
	if err != nil {
		return newGuests(wasm.Options{OnTrial: true}) // it compiles anew each time
	}
	cache := filepath.Join(dir, "gatehouse", "guests")
	return newGuests(wasm.Options{CacheDir: cache, OnTrial: true})
}

// packageOf reads a package, or builds the one of a project; then dir is the
// project's folder.
func packageOf(ctx context.Context, from string, log io.Writer) (pkg []byte, dir string, err error) {
	if strings.HasSuffix(from, packageEnding) {
		pkg, err = sourceFile(from)
		return pkg, "", err
	}
	p, err := project.Open(from, guests.Engine)
	if err != nil {
		return nil, "", err
	}
	code, err := p.Build(ctx, log, true)
	if err != nil {
		return nil, "", err
	}
	pkg, _, err = p.Pack(code)
	return pkg, from, err
}

// trialOf is one run of the tests.
type trialOf struct {
	pkg     []byte
	dir     string // of the sources; "": they are not here
	seed    uint64
	verbose bool
}

var errTests = errors.New("the module does not pass")

func runTrial(ctx context.Context, out io.Writer, d *wasm.Driver, t trialOf) error {
	rep, err := d.Try(ctx, t.pkg, t.seed)
	if err != nil {
		return unloaded(err, t.dir)
	}
	reasons := printResults(out, rep.Results, t.dir, t.verbose)
	if n := rep.Failed(); n > 0 {
		return fmt.Errorf("%w: %d of %d checks failed, for %s (--verbose shows each; --seed %d repeats the hostile inputs)",
			errTests, n, len(rep.Results), plural(reasons, "1 reason", fmt.Sprint(reasons, " reasons")), t.seed)
	}
	printSpeed(out, rep)
	fmt.Fprintf(out, "all %d passed\n", len(rep.Results))
	return nil
}
