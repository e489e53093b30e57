package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sparekey/internal/config"
	"sparekey/internal/store"
)

func (a *app) backupCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "backup FILE --config FILE", Short: "Write everything in the database to a file", Args: takes(1, 1, "FILE"),
		Long: "Write everything in the database to a new file that only its owner can read, as it is at one moment. Servers go on meanwhile.\n" +
			"The file is the same for SQLite and PostgreSQL, and has nothing of the configuration in it. It is read again before the command ends.",
		RunE: func(c *cobra.Command, args []string) error {
			address, err := databaseOf(file)
			if err != nil {
				return err
			}
			about, err := backUp(c.Context(), address, args[0])
			if err != nil {
				return err
			}
			return a.archived("backed up", args[0], about)
		},
	}
	c.Flags().StringVar(&file, "config", "", "the configuration file, which names the database")
	return c
}

func (a *app) restoreCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "restore FILE --config FILE", Short: "Put a backup into an empty database", Args: takes(1, 1, "FILE"),
		Long: "Put a backup into the configuration's database, which must be empty: SQLite's file need not be there. Backups of older versions are\n" +
			"brought up to date; the backup may come from the other kind of database. A file that is cut off or damaged changes nothing.\n" +
			"What happened after the backup is not in it. Where a ledger is kept, what was given since is ended by it: see docs/recovery.md.",
		RunE: func(c *cobra.Command, args []string) error {
			address, err := databaseOf(file)
			if err != nil {
				return err
			}
			about, err := store.Restore(c.Context(), address, func() (io.ReadCloser, error) { return os.Open(args[0]) })
			if errors.Is(err, store.ErrArchive) {
				return &failure{exitFailed, fmt.Sprintf("%s: %v", args[0], err), "nothing was changed; take another backup"}
			}
			if err != nil {
				return err
			}
			return a.archived("restored", args[0], about)
		},
	}
	c.Flags().StringVar(&file, "config", "", "the configuration file, which names the database")
	return c
}

func databaseOf(file string) (string, error) {
	if err := needed("config", file, "sparekey.yaml"); err != nil {
		return "", err
	}
	settings, err := config.Read(file)
	if err != nil {
		return "", err
	}
	return settings.DatabaseAddress()
}

// backUp writes a backup to a file that is not there yet, and reads it again. What is not whole is not left.
func backUp(ctx context.Context, address, name string) (about store.Archive, err error) {
	s, err := store.OpenReading(ctx, address)
	if err != nil {
		return about, err
	}
	defer s.Close()
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return about, &failure{exitFailed, name + " is there already", "a backup overwrites nothing; name a new file"}
	}
	if err != nil {
		return about, fmt.Errorf("making the file: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(name))
		}
	}()
	if err := s.Backup(ctx, f, time.Now()); err != nil {
		return about, fmt.Errorf("backing up: %w", err)
	}
	if err := errors.Join(f.Sync(), syncFolder(filepath.Dir(name))); err != nil {
		return about, fmt.Errorf("keeping the file: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return about, err
	}
	return store.Whole(f)
}

// syncFolder makes a new file's name last.
func syncFolder(name string) error {
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

func (a *app) archived(what, file string, about store.Archive) error {
	if a.output == "json" {
		return a.json(map[string]any{"file": file, "at": about.At, "schema": about.Schema, "from": about.Engine, "events": about.Seq, "rows": about.Rows})
	}
	fmt.Fprintf(a.out, "%-10s %s, as of %s: %d events, %d requests, %d grants\n", what, file, about.At.Local().Format("2006-01-02 15:04:05 MST"), about.Seq, about.Rows["requests"], about.Rows["grants"])
	return nil
}
