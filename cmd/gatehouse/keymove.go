package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/config"
)

func moveKeyCommand(f *flags) *cobra.Command {
	var to config.Key
	c := &cobra.Command{
		Use: "move --to SOURCE", Short: "Keep the key that locks the vault somewhere else", Args: args(cobra.NoArgs),
		Long: "Keep the key that locks the vault somewhere else: a new key is made or taken\n" +
			"there, everything is locked with it, and the configuration says so. The sources\n" +
			"are file, passphrase, credential, keyring and transit.\n\n" +
			"While the gateway runs, the configuration is written and the move is made at its\n" +
			"next start; then key_from can be taken out.",
		Example: "  gatehouse key move --to passphrase --path /etc/gatehouse/key\n  gatehouse key move --to keyring",
		RunE: func(c *cobra.Command, _ []string) error {
			return moveKey(c.Context(), c.OutOrStdout(), *f, to)
		},
	}
	s := c.Flags()
	s.StringVar(&to.Source, "to", "", "file, passphrase, credential, keyring or transit")
	s.StringVar(&to.Path, "path", "", "the file of file and passphrase")
	s.StringVar(&to.Name, "name", "", "the name of credential, keyring and transit; default gatehouse-key")
	s.StringVar(&to.Address, "address", "", "URL of the server of transit")
	s.StringVar(&to.Mount, "mount", "", "path of its engine; default transit")
	s.StringVar(&to.TokenFile, "token-file", "", "file with the token for it")
	s.StringVar(&to.State, "state", "", "file for the versions that were seen; default beside the key")
	_ = c.MarkFlagRequired("to")
	return c
}

// keySection is a key's section as it stands in the file: what its source needs.
func keySection(k config.Key) map[string]any {
	section := map[string]any{"source": k.Source}
	put := func(name, value string) {
		if value != "" {
			section[name] = value
		}
	}
	switch k.Source {
	case config.KeyFile, config.KeyPassphrase:
		put("path", k.Path)
	default:
		put("name", k.Name)
		put("address", k.Address)
		put("mount", k.Mount)
		put("token_file", k.TokenFile)
	}
	if k.Path == "" || k.State != k.Path+".version" {
		put("state", k.State)
	}
	return section
}

var (
	errMoving     = errors.New("a move is under way: start the gateway, and take 'key_from' out of the configuration")
	errKeyFlagged = errors.New("--key or GATEHOUSE_KEY says where the key is, whatever the configuration says; do without it, and put the path under 'key'")
)

// moveKey writes where the key is to be and where it is. When no gateway runs it
// makes the move at once and forgets the old place.
func moveKey(ctx context.Context, out io.Writer, f flags, to config.Key) error {
	s := &settings{flags: f, getenv: getenv, drivers: allDrivers()}
	s.path, s.explicit = f.path(getenv)
	c, _, err := s.read()
	if err != nil {
		return err
	}
	if c.KeyFrom.Set() {
		return errMoving
	}
	if v, ok := getenv("GATEHOUSE_KEY"); f.key != "" || ok && v != "" {
		return errKeyFlagged
	}
	before, err := os.ReadFile(s.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the configuration: %w", err)
	}
	both, err := s.withKeys(before, keySection(to), keySection(c.Key))
	if err != nil {
		return err
	}
	if err := config.Replace(s.path, both); err != nil {
		return err
	}
	if dialGateway(ctx, c.Data) != nil {
		fmt.Fprintln(out, "written; the gateway makes the move at its next start, and then says that key_from can go")
		return nil
	}
	if err := openOnce(ctx, f); err != nil {
		return errors.Join(fmt.Errorf("the key was not moved: %w", err), s.stay(ctx, f, before, both))
	}
	after, err := config.Edit(both, []string{"key_from"}, nil)
	if err == nil {
		err = config.Replace(s.path, after)
	}
	if err != nil {
		return fmt.Errorf("the key was moved; take 'key_from' out of the configuration: %w", err)
	}
	fmt.Fprintln(out, "moved; keep a copy of the new key. The old one is needed for older backups alone")
	return nil
}

// withKeys is the file's text with the two keys, if it is valid then.
func (s *settings) withKeys(text []byte, key, from map[string]any) ([]byte, error) {
	text, err := config.Edit(text, []string{"key"}, key)
	if err == nil {
		text, err = config.Edit(text, []string{"key_from"}, from)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	_, _, err = s.parse(text)
	return text, err
}

// openOnce opens the data folder and closes it again; what stands to be locked with
// another key is.
func openOnce(ctx context.Context, f flags) error {
	a, err := openApp(ctx, f, asCommand())
	if err != nil {
		return err
	}
	return a.close()
}

// stay goes back to the file as it was, if that still opens the vault. Where
// something is locked with the new key already, both have to stay.
func (s *settings) stay(ctx context.Context, f flags, before, both []byte) error {
	if err := config.Replace(s.path, before); err != nil {
		return err
	}
	if openOnce(ctx, f) == nil {
		return nil
	}
	if err := config.Replace(s.path, both); err != nil {
		return err
	}
	return fmt.Errorf("%s names both keys now; the next start goes on with the move", s.path)
}
