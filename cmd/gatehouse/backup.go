package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/open"
	"github.com/gatehouse-chat/gatehouse/internal/db/sqlite"
	"github.com/gatehouse-chat/gatehouse/vault/backup"
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
		cfg, err := configured(*f)
		if err != nil {
			return err
		}
		if open.IsPostgres(cfg.Store) {
			return errors.New("the data is in Postgres: back it up with pg_dump, and keep the vault's key apart")
		}
		if err := writeBackup(c.Context(), c.ErrOrStderr(), cfg.Data, *to, recipients); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s is written; the vault's key is not in it\n", *to)
		return nil
	}
	return c
}

// configured reads the configuration and opens nothing.
func configured(f flags) (config.Config, error) {
	s := &settings{flags: f, getenv: getenv, drivers: allDrivers()}
	s.path, s.explicit = f.path(getenv)
	cfg, _, err := s.read()
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
