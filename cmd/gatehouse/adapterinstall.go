package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/gateway/ingress/api"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/module/shelf"
)

// packageEnding is what a package's file is called.
const packageEnding = ".gwm"

// installFlags are those of install and upgrade.
type installFlags struct {
	dev, yes bool
	channel  string
	set      []string
}

// bindChannel adds the flags of the channel that is made at once.
func (i *installFlags) bindChannel(c *cobra.Command) {
	c.Flags().StringVar(&i.channel, "channel", "", "make a channel of it at once, with this name; on a terminal it is asked for")
	c.Flags().StringArrayVar(&i.set, "set", nil, "a key of the channel's configuration: `KEY=VALUE`; not for secrets, which are asked for or come from standard input")
}

func (i *installFlags) bind(c *cobra.Command) {
	c.Flags().BoolVar(&i.dev, "dev", false, "take a package whose publisher is not trusted, for development; status shows it for ever")
	c.Flags().BoolVar(&i.yes, "yes", false, "grant what it wants without asking")
}

const installLong = "The package comes from a file, a folder that holds one, or an https URL with\n" +
	"#sha256= and its SHA-256 behind it. Its signature and its form are checked, and\n" +
	"its tests are run here, before anything changes; a running gateway goes over to it\n" +
	"at once, and loses nothing."

func installCommand(f *flags) *cobra.Command {
	i := &installFlags{}
	c := &cobra.Command{
		Use: "install FILE|FOLDER|URL", Short: "Install a module: shows what it wants, asks, and tests it first", Args: args(cobra.ExactArgs(1)),
		Long: "Install a module.\n\n" + installLong,
		Example: "  gatehouse adapter install mychat-1.0.0.gwm\n" +
			"  gatehouse adapter install https://example.org/mychat-1.0.0.gwm#sha256=5f70bf18...",
	}
	i.bind(c)
	i.bindChannel(c)
	c.RunE = withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
		return install(ctx, c, d, a[0], *i, false)
	})
	return c
}

func upgradeCommand(f *flags) *cobra.Command {
	i := &installFlags{}
	c := &cobra.Command{
		Use: "upgrade FILE|FOLDER|URL", Short: "Put a newer version of an installed module into use", Args: args(cobra.ExactArgs(1)),
		Long: "Put a newer version of an installed module into use. It must be by the same\n" +
			"publisher. What it wants beyond the version before is shown and asked for. The\n" +
			"version before is kept: `gatehouse adapter rollback` goes back to it.\n\n" + installLong,
	}
	i.bind(c)
	c.RunE = withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
		return install(ctx, c, d, a[0], *i, true)
	})
	return c
}

func install(ctx context.Context, c *cobra.Command, d *desk, from string, i installFlags, upgrade bool) error {
	pkg, err := source(ctx, d, from)
	if err != nil {
		return err
	}
	plan, err := d.PlanModule(ctx, pkg, i.dev)
	if err != nil {
		return err
	}
	switch {
	case upgrade && plan.From == "":
		return fmt.Errorf("no module %s is installed; `gatehouse adapter install` installs it", plan.ID)
	case !upgrade && plan.From != "":
		return fmt.Errorf("version %s of %s is installed; `gatehouse adapter upgrade` replaces it", plan.From, plan.ID)
	}
	tool := isTool(pkg)
	if tool && i.channel != "" {
		return usageError{fmt.Errorf("%s is a tool: no channel can be made of it", plan.ID)}
	}
	showPlan(c, plan)
	if err := agree(c, plan, i.yes); err != nil {
		return err
	}
	m, err := d.InstallModule(ctx, pkg, plan.Sum, i.dev)
	if err != nil {
		return err
	}
	out := c.OutOrStdout()
	fmt.Fprintf(out, "%s %s is installed; it passed its tests on both engines\n", m.ID, m.Current.Version)
	switch {
	case len(m.Channels) > 0 && d.running:
		fmt.Fprintf(out, "it is in use already: %s\n", listed(m.Channels))
	case len(m.Channels) > 0:
		fmt.Fprintf(out, "it will be used by %s when the gateway runs\n", listed(m.Channels))
	case !upgrade && tool:
		fmt.Fprint(out, offered(m.ID))
	case !upgrade:
		err := firstChannel(ctx, c, d, m.ID, i)
		if errors.Is(err, errGivenUp) { // which says that nothing was changed
			return fmt.Errorf("given up; %s is installed, without a channel: `gatehouse channels add %s` makes one", m.ID, m.ID)
		}
		return err
	}
	return nil
}

// isTool reports whether a package is a tool for the model, and no channel.
func isTool(pkg []byte) bool {
	p, err := module.Open(pkg)
	return err == nil && p.Manifest.Tool != nil
}

// offered says how the model gets a tool.
func offered(id string) string {
	return fmt.Sprintf("the model is offered it where the configuration has it under agent.tools: tools: [\"module:%s\"]\n", id)
}

// firstChannel makes a channel of a new module, if that is wanted.
func firstChannel(ctx context.Context, c *cobra.Command, d *desk, module string, i installFlags) error {
	if i.channel == "" && isTerminal(c.InOrStdin()) {
		name, err := ask(c, "Name of a channel to make of it now, or - for none", module)
		if err != nil {
			return err
		}
		i.channel = strings.TrimPrefix(name, "-")
	}
	if i.channel == "" {
		fmt.Fprintf(c.OutOrStdout(), "`gatehouse channels add %s` makes a channel of it\n", module)
		return nil
	}
	if !validID.MatchString(i.channel) {
		return usageError{fmt.Errorf("%q is no name for a channel; `gatehouse channels add %s` makes one", i.channel, module)}
	}
	p, err := platform(ctx, d, module)
	if err != nil {
		return err
	}
	given, err := setAnswers(p.Guide, i.set)
	if err != nil {
		return usageError{err}
	}
	return addChannel(ctx, c, d, p, given, api.NewChannel{ID: channels.ID(i.channel), Adapter: module})
}

// showPlan says what somebody is about to agree to: all of it for a new module,
// the difference for another version.
func showPlan(c *cobra.Command, p shelf.Plan) {
	out := c.OutOrStdout()
	by := p.Publisher
	if p.Name != "" {
		by = printable(p.Name) + " (" + p.Publisher + ")"
	}
	if p.From == "" {
		fmt.Fprintf(out, "%s %s, by %s\n", p.ID, p.Version, orNobody(by))
		printLines(out, "It wants:", "  - ", p.Wishes)
	} else {
		fmt.Fprintf(out, "%s %s in place of %s, by %s\n", p.ID, p.Version, p.From, orNobody(by))
		if len(p.More)+len(p.Less) == 0 {
			fmt.Fprintln(out, "It wants what the version before was granted.")
		}
		printLines(out, "It wants in addition:", "  + ", p.More)
		printLines(out, "It does not want any more:", "  - ", p.Less)
	}
	if p.Dev {
		fmt.Fprintf(out, "Nobody vouches for it: %s.\n", p.Why)
	}
}

func orNobody(s string) string {
	if s == "" {
		return "nobody known"
	}
	return s
}

var errNotGranted = errors.New("not granted; nothing was installed")

// agree asks for what was not granted before.
func agree(c *cobra.Command, p shelf.Plan, yes bool) error {
	if yes || p.From != "" && len(p.More) == 0 {
		return nil
	}
	if !isTerminal(c.InOrStdin()) {
		return usageError{errors.New("say --yes if that is to be granted; nothing was installed")}
	}
	answer, err := ask(c, "Grant this? yes or no", "no")
	if err != nil {
		return err
	}
	if a := strings.ToLower(answer); a != "yes" && a != "y" {
		return errNotGranted
	}
	return nil
}

// looksInstalled tells the name of a module from a file, a folder and a URL.
func looksInstalled(s string) bool {
	if !regexp.MustCompile(`^[a-z][a-z0-9-]*$`).MatchString(s) {
		return false
	}
	_, err := os.Stat(s)
	return errors.Is(err, os.ErrNotExist)
}

// source reads a package from where somebody says that it is.
func source(ctx context.Context, d *desk, from string) ([]byte, error) {
	if strings.Contains(from, "://") {
		url, sum, ok := strings.Cut(from, "#sha256=")
		if !ok || !strings.HasPrefix(url, "https://") {
			return nil, usageError{errors.New("a URL begins with https:// and names what it must give: https://example.org/mychat.gwm#sha256=SUM")}
		}
		return d.FetchModule(ctx, url, sum)
	}
	return sourceFile(from)
}

// sourceFile reads a package from a file, or from a folder that holds one.
func sourceFile(from string) ([]byte, error) {
	info, err := os.Stat(from)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		found, err := filepath.Glob(filepath.Join(from, "*"+packageEnding))
		if err != nil {
			return nil, err
		}
		if len(found) != 1 {
			return nil, fmt.Errorf("%s holds %d packages (*%s), want one; in a project, `gatehouse adapter pack` makes it", from, len(found), packageEnding)
		}
		from = found[0]
		if info, err = os.Stat(from); err != nil {
			return nil, err
		}
	}
	if info.Size() > module.MaxPackage {
		return nil, fmt.Errorf("%s has %d bytes, and a package has at most %d", from, info.Size(), module.MaxPackage)
	}
	return os.ReadFile(from) //nolint:gosec // the operator names it
}
