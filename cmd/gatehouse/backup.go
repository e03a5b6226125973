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
	"github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/backup"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
)

const databaseFile = "gatehouse.db"

func backupCommand(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use: "backup --to FILE --recipient age1...", Short: "Write the data folder into one encrypted file", Args: args(cobra.NoArgs),
		Long: "Write the data folder, as of one moment, into a file that is encrypted with age for\n" +
			"the recipients. The gateway may run meanwhile.\n\n" +
			"The vault's key is not in it: secrets stay locked. Keep a copy of the key, apart\n" +
			"from the backup; without it the secrets of the backup are lost.",
		Example: "  age-keygen -o backup.key\n  gatehouse backup --to monday.age --recipient age1...",
	}
	to := c.Flags().String("to", "", "the file to make")
	names := c.Flags().StringArray("recipient", nil, "who can decrypt it, as age-keygen prints it; can be repeated")
	_, _ = c.MarkFlagRequired("to"), c.MarkFlagRequired("recipient")
	c.RunE = func(c *cobra.Command, _ []string) error {
		var recipients []age.Recipient
		for _, name := range *names {
			r, err := age.ParseX25519Recipient(name)
			if err != nil {
				return usageError{fmt.Errorf("--recipient %s: it begins with age1; age-keygen makes one", name)}
			}
			recipients = append(recipients, r)
		}
		cfg, err := embedded(*f)
		if err != nil {
			return err
		}
		if err := writeBackup(c.Context(), c.ErrOrStderr(), cfg.Data, *to, recipients); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s is written; the vault's key is not in it\n", *to)
		return nil
	}
	return c
}

// embedded reads the configuration of a gateway with the embedded database.
func embedded(f flags) (config.Config, error) {
	s := &settings{flags: f, getenv: getenv, drivers: allDrivers()}
	s.path, s.explicit = f.path(getenv)
	cfg, _, err := s.read()
	if err == nil && open.IsPostgres(cfg.Store) {
		err = errors.New("the data is in Postgres: back it up with pg_dump, and keep the vault's key apart")
	}
	return cfg, err
}

// writeBackup makes the file whole or not at all.
func writeBackup(ctx context.Context, tell io.Writer, data, to string, recipients []age.Recipient) (err error) {
	if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is there already: choose another name", to)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(to), ".gatehouse-backup-*")
	if err != nil {
		return fmt.Errorf("make the backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	copied := filepath.Join(tmp, databaseFile)
	if err := sqlite.Snapshot(ctx, filepath.Join(data, databaseFile), copied); err != nil {
		return fmt.Errorf("make the backup: %w", err)
	}
	// Files after the database: what it speaks of was there before.
	files, err := backup.Files(data, databaseFile, databaseFile+"-wal", databaseFile+"-shm", "lock")
	if err != nil {
		return fmt.Errorf("make the backup: %w", err)
	}
	files = append([]backup.Source{{Path: copied, Name: databaseFile}}, files...)
	half := filepath.Join(tmp, "backup")
	out, err := os.OpenFile(half, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // made right above
	if err != nil {
		return fmt.Errorf("make the backup: %w", err)
	}
	err = backup.Write(ctx, out, files, progress(tell, "written"), recipients...)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(half, to)
	}
	if err != nil {
		return fmt.Errorf("make the backup: %w", err)
	}
	return nil
}

// progress tells of every 256 MiB.
func progress(tell io.Writer, done string) backup.Progress {
	const step = 256 << 20
	next := int64(step)
	return func(n int64) {
		if n >= next {
			fmt.Fprintf(tell, "%d MiB %s\n", n>>20, done)
			next = n - n%step + step
		}
	}
}

func restoreCommand(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use: "restore FILE --identity FILE", Short: "Put a backup in the place of the data folder", Args: args(cobra.ExactArgs(1)),
		Long: "Put a backup in the place of the data folder, while the gateway is stopped. What\n" +
			"was there is kept beside it, under a name that ends in the time.\n\n" +
			"The vault's key must be in its place, and be the one of the time of the backup.\n" +
			"A backup that is older than what the vault has seen brings back secrets that were\n" +
			"replaced or revoked since; it is refused without --accept-older.",
	}
	identity := c.Flags().String("identity", "", "file that age-keygen made")
	older := c.Flags().Bool("accept-older", false, "take a backup that is older than what the vault has seen")
	_ = c.MarkFlagRequired("identity")
	c.RunE = func(c *cobra.Command, a []string) error {
		cfg, err := embedded(*f)
		if err != nil {
			return err
		}
		r := restoring{cfg: cfg, older: *older, tell: c.ErrOrStderr()}
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

// run returns where the former folder is now, "" when there was none.
func (r restoring) run(ctx context.Context, file, identity string) (before string, err error) {
	by, err := readIdentities(identity)
	if err != nil {
		return "", err
	}
	if err := makeFolder(r.cfg.Data); err != nil {
		return "", err
	}
	unlock, err := lockFolder(r.cfg.Data)
	if errors.Is(err, errLocked) {
		return "", fmt.Errorf("%w: stop the gateway first", err)
	}
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

// try opens the vault of a folder, and with older accepts what it finds.
func (r restoring) try(ctx context.Context, folder string, older bool) (err error) {
	a := &app{cfg: r.cfg, log: quietLogger(config.Log{}, r.tell)}
	a.cfg.Data = folder
	if err := makeFolder(folder); err != nil {
		return err
	}
	engine, err := open.Open(ctx, filepath.Join(folder, databaseFile), open.Options{Log: a.log})
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
