package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/agent/provider"
	"github.com/gatehouse-chat/gatehouse/config"
)

// notRunning is what reload says where there is nothing to do.
const notRunning = "the gateway is not running; it reads the configuration when it starts"

var errMistakes = errors.New("the configuration has mistakes")

func configCommand(f *flags) *cobra.Command {
	strict := false
	check := &cobra.Command{
		Use: "check [FILE]", Short: "Check the configuration and list every mistake", Args: args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			f := *f
			if len(a) == 1 {
				f.config = a[0]
			}
			s := &settings{flags: f, getenv: getenv, drivers: allDrivers(), strict: strict}
			s.path, s.explicit = f.path(getenv)
			_, faults, err := s.read()
			for _, x := range faults {
				fmt.Fprintln(c.OutOrStdout(), x)
			}
			switch {
			case len(faults.Errors()) > 0:
				return errMistakes
			case err != nil:
				return err
			}
			if _, err := os.Stat(s.path); errors.Is(err, os.ErrNotExist) {
				fmt.Fprintf(c.OutOrStdout(), "%s is not there yet; the defaults are in force, and they are valid\n", s.path)
				return nil
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is valid\n", s.path)
			return nil
		},
	}
	check.Flags().BoolVar(&strict, "strict", false, "fault secrets in plain text, open policies and a key beside the data, as well")
	schema := &cobra.Command{
		Use: "schema", Short: "Print the JSON schema, for editors", Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			all := map[string][]byte{}
			for _, name := range allDrivers().Names() {
				all[name] = allDrivers().named(name).Schema()
			}
			b, err := config.Schema(all, provider.Names())
			if err == nil {
				_, err = fmt.Fprintln(c.OutOrStdout(), string(b))
			}
			return err
		},
	}
	path := &cobra.Command{
		Use: "path", Short: "Print where the configuration is", Args: args(cobra.NoArgs),
		Run: func(c *cobra.Command, _ []string) {
			p, _ := f.path(getenv)
			fmt.Fprintln(c.OutOrStdout(), p)
		},
	}
	reload := &cobra.Command{
		Use: "reload", Short: "Let the running gateway read the configuration again", Args: args(cobra.NoArgs),
	}
	reload.RunE = func(c *cobra.Command, _ []string) error {
		d, err := openToLook(c.Context(), *f)
		if errors.Is(err, errNothingThere) {
			fmt.Fprintln(c.OutOrStdout(), notRunning)
			return nil
		}
		if err != nil {
			return err
		}
		defer d.close() //nolint:errcheck // nothing was written
		if !d.running {
			fmt.Fprintln(c.OutOrStdout(), notRunning)
			return nil
		}
		warnings, err := d.Reload(c.Context())
		for _, w := range warnings {
			fmt.Fprintln(c.OutOrStdout(), "warning:", w)
		}
		if err == nil {
			fmt.Fprintln(c.OutOrStdout(), "applied")
		}
		return err
	}
	return group("config", "Check and describe the configuration", check, schema, path, reload)
}
