package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/gateway/ingress/api"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/module/shelf"
)

// publisherKey is where an author's key is, unless they say otherwise: with
// their configuration, and not in a project that others get to see.
func publisherKey() string { return filepath.Join(filepath.Dir(config.DefaultPath()), "publisher.key") }

func keygenCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "keygen", Short: "Make the key with which you sign your modules", Args: args(cobra.NoArgs),
		Long: "Make the key with which you sign your modules. Its file is for you alone; keep a\n" +
			"copy of it. Who loses it cannot publish an upgrade of a module any more: those\n" +
			"who installed it have to remove it first.",
	}
	to := c.Flags().String("out", publisherKey(), "the file to make")
	c.RunE = func(c *cobra.Command, _ []string) error {
		p, err := module.NewKey(*to)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "the key is in %s; keep it to yourself, and keep a copy\n", *to)
		fmt.Fprintf(c.OutOrStdout(), "you publish as %s; operators trust you with\n  gatehouse adapter trust add %s\n", p, p)
		return nil
	}
	return c
}

func signCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "sign PACKAGE", Short: "Sign a package with your key", Args: args(cobra.ExactArgs(1)),
		Long: "Sign a package with your key: its manifest and its module, so that neither can be\n" +
			"changed by anybody else. The file is replaced by the signed one.",
	}
	from := c.Flags().String("key", publisherKey(), "the key that keygen made")
	c.RunE = func(c *cobra.Command, a []string) error {
		key, err := module.ReadKey(*from)
		if err != nil {
			return err
		}
		b, err := sourceFile(a[0])
		if err != nil {
			return err
		}
		signed, err := module.Sign(b, key)
		if err != nil {
			return err
		}
		if err := replaceFile(a[0], signed); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "signed by %s\n", module.PublisherOf(key))
		return nil
	}
	return c
}

// replaceFile writes a file in one step, so that nobody finds half of it. A
// folder stands for the package that it holds.
func replaceFile(path string, b []byte) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		found, err := filepath.Glob(filepath.Join(path, "*"+packageEnding))
		if err != nil || len(found) != 1 {
			return errors.Join(err, fmt.Errorf("%s holds no single package", path))
		}
		path = found[0]
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".gatehouse-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // it is gone when all went well
	_, err = tmp.Write(b)
	if err := errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(tmp.Name(), path)
}

func trustCommand(f *flags) *cobra.Command {
	name := ""
	add := &cobra.Command{
		Use: "add KEY", Short: "Let a publisher's modules be installed", Args: args(cobra.ExactArgs(1)),
		Long: "Let a publisher's modules be installed. Compare the key with one that you got from\n" +
			"the publisher by another way than the module itself.",
		Example: "  gatehouse adapter trust add ed25519:oFh0... --name 'Example Ltd'",
	}
	add.Flags().StringVar(&name, "name", "", "how you call the publisher")
	add.RunE = withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
		err := d.TrustPublisher(ctx, a[0], name)
		if err == nil {
			fmt.Fprintln(c.OutOrStdout(), "trusted")
		}
		return err
	})
	list := listing(f, "List the publishers that are trusted or were revoked",
		"no publisher is trusted; `gatehouse adapter trust add KEY` trusts one", "PUBLISHER | NAME | SINCE | STATE",
		func(ctx context.Context, d *desk) ([]shelf.Publisher, error) { return d.Publishers(ctx) },
		func(p shelf.Publisher) []string {
			state := "trusted"
			if !p.Revoked.IsZero() {
				state = "revoked " + p.Revoked.Local().Format("2006-01-02 15:04")
			}
			return []string{p.Key, orDash(printable(p.Name)), p.Added.Local().Format("2006-01-02 15:04"), state}
		})
	revoke := &cobra.Command{
		Use: "revoke KEY", Short: "Quarantine all modules of a publisher, now and later", Args: args(cobra.ExactArgs(1)),
		Long: "Quarantine all modules of a publisher, now and later. Their channels stop at once;\n" +
			"what is to be sent there waits. `trust add` ends it.",
		ValidArgsFunction: suggestions(f, false, publisherKeys),
		RunE: withDesk(f, func(ctx context.Context, c *cobra.Command, d *desk, a []string) error {
			err := d.RevokePublisher(ctx, a[0])
			if err == nil {
				fmt.Fprintln(c.OutOrStdout(), "revoked; its modules are in quarantine")
			}
			return err
		}),
	}
	return group("trust", "Say whose modules may be installed", add, list, revoke)
}

func publisherKeys(ctx context.Context, c *api.Client) ([]string, error) {
	all, err := c.Publishers(ctx)
	var keys []string
	for _, p := range all {
		keys = append(keys, cobra.CompletionWithDesc(p.Key, printable(p.Name)))
	}
	return keys, err
}
