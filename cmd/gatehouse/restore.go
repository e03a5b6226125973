package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/open"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/backup"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

func restoreCommand(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use: "restore FILE --identity FILE", Short: "Put a backup in the place of the data folder", Args: args(cobra.MaximumNArgs(1)),
		Long: "Put a backup in the place of the data folder, while the gateway is stopped. What\n" +
			"was there is kept beside it, under a name that ends in the time.\n\n" +
			"The vault's key must be in its place, and be the one of the time of the backup.\n" +
			"A backup that is older than what the vault has seen brings back secrets that were\n" +
			"replaced or revoked since; it is refused without --accept-older.\n\n" +
			"A database that other tools have put back (pg_restore, a copy of the disk) is\n" +
			"accepted as it stands by --accept-older without a FILE.",
		Example: "  gatehouse restore monday.age --identity backup.key\n  gatehouse restore --accept-older",
	}
	identity := c.Flags().String("identity", "", "file that age-keygen made")
	older := c.Flags().Bool("accept-older", false, "take a database that is older than what the vault has seen")
	c.RunE = func(c *cobra.Command, a []string) error {
		switch {
		case len(a) == 1 && *identity == "":
			return usageError{errors.New("--identity names the file with which the backup is opened; age-keygen made it")}
		case len(a) == 0 && (!*older || *identity != ""):
			return usageError{errors.New("name the backup and its identity: gatehouse restore FILE --identity FILE")}
		}
		cfg, err := configured(*f)
		if err != nil {
			return err
		}
		r := restoring{cfg: cfg, older: *older, tell: c.ErrOrStderr()}
		if len(a) == 0 {
			if err := r.accept(c.Context()); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), "the database is accepted as it stands; replace the secrets that were changed since")
			return nil
		}
		if open.IsPostgres(cfg.Store) {
			return errors.New("the data is in Postgres: put it back with pg_restore; should the vault refuse it then: gatehouse restore --accept-older")
		}
		before, err := r.run(c.Context(), a[0], *identity)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s is restored\n", cfg.Data)
		if before != "" {
			fmt.Fprintf(c.OutOrStdout(), "what was there before is in %s\n", before)
		}
		return nil
	}
	return c
}

// restoring puts a backup in the place of a data folder.
type restoring struct {
	cfg   config.Config
	older bool
	tell  io.Writer
}

// halfDone stands in a folder that is being filled.
const halfDone = "restoring"

// accept opens the vault of a database that was put back by others.
func (r restoring) accept(ctx context.Context) error {
	unlock, err := r.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return r.try(ctx, r.cfg.Data, true)
}

// lock keeps a gateway out.
func (r restoring) lock() (unlock func(), err error) {
	if err := makeFolder(r.cfg.Data); err != nil {
		return nil, err
	}
	if unlock, err = lockFolder(r.cfg.Data); errors.Is(err, errLocked) {
		err = fmt.Errorf("%w: stop the gateway first", err)
	}
	return unlock, err
}

// run returns where the former folder is now, "" when there was none.
func (r restoring) run(ctx context.Context, file, identity string) (before string, err error) {
	by, err := readIdentities(identity)
	if err != nil {
		return "", err
	}
	unlock, err := r.lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	fresh := filepath.Clean(r.cfg.Data) + ".restoring"
	if err := r.clearStage(fresh); err != nil {
		return "", err
	}
	if err := r.unpack(ctx, file, fresh, by); err != nil {
		return "", errors.Join(err, os.RemoveAll(fresh))
	}
	if err := r.try(ctx, fresh, false); err != nil && (!r.older || !errors.Is(err, vault.ErrRolledBack)) {
		if errors.Is(err, vault.ErrRolledBack) {
			err = fmt.Errorf("%w; to take it nevertheless: --accept-older, and then replace the secrets that were changed since", err)
		}
		return "", errors.Join(err, os.RemoveAll(fresh))
	}
	failpoint.Hit(failpoint.RestoreUnpacked)
	before, err = swapFolders(fresh, r.cfg.Data)
	if err != nil {
		return "", fmt.Errorf("put the backup in its place: %w", err)
	}
	failpoint.Hit(failpoint.RestoreSwapped)
	if _, err := os.Stat(filepath.Join(before, databaseFile)); errors.Is(err, os.ErrNotExist) {
		if err := os.RemoveAll(before); err != nil { // it was made for the lock alone
			return "", err
		}
		before = ""
	}
	if r.older {
		err = r.try(ctx, r.cfg.Data, true)
	}
	return before, err
}

// clearStage removes what an earlier restore left half done, and refuses to touch
// anything else.
func (r restoring) clearStage(fresh string) error {
	if _, err := os.Stat(fresh); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if _, err := os.Stat(filepath.Join(fresh, halfDone)); err != nil {
		return fmt.Errorf("%s is there, from a restore that was broken off in its last step: look whether you need it, and rename or remove it", fresh)
	}
	return os.RemoveAll(fresh)
}

func (r restoring) unpack(ctx context.Context, file, fresh string, by []age.Identity) error {
	in, err := os.Open(file) //nolint:gosec // the operator's own path
	if err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	defer in.Close() //nolint:errcheck // read only
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	mark := filepath.Join(fresh, halfDone)
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if err := backup.Read(ctx, in, fresh, progress(r.tell, "read"), by...); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// try opens the vault of a folder, or of the configured Postgres, and with older
// accepts what it finds.
func (r restoring) try(ctx context.Context, folder string, older bool) (err error) {
	a := &app{cfg: r.cfg, log: quietLogger(config.Log{}, r.tell)}
	a.cfg.Data = folder
	if err := makeFolder(folder); err != nil {
		return err
	}
	store := r.cfg.Store
	if !open.IsPostgres(store) {
		store = filepath.Join(folder, databaseFile)
	}
	engine, err := open.Open(ctx, store, open.Options{Log: a.log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	o, _, err := vaultOptions(a.cfg, egress.New(egress.Options{Log: a.log}), a.log, asCommand().keyring(a.log))
	if err != nil {
		return err
	}
	o.State, o.AcceptOlder = engine, older
	_, err = vault.Open(ctx, o)
	return err
}

func readIdentities(path string) ([]age.Identity, error) {
	f, err := os.Open(path) //nolint:gosec // the operator's own path
	if err != nil {
		return nil, fmt.Errorf("read the identity: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only
	by, err := age.ParseIdentities(f)
	if err != nil {
		return nil, fmt.Errorf("%s is no file of age-keygen", path)
	}
	return by, nil
}

// formerName is where a folder goes that makes room.
func formerName(data string) string {
	return filepath.Clean(data) + ".before-" + time.Now().Format("20060102-150405.000")
}
