package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

	"sparekey/access"
	"sparekey/internal/store/query"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the tables up to date, one process at a time.
func (s *Store) migrate(ctx context.Context) error { return s.onlyOne(ctx, s.migrateAlone) }

// onlyOne changes the tables while no other process does.
func (s *Store) onlyOne(ctx context.Context, change func(context.Context) error) error {
	if s.engine == PostgreSQL {
		conn, err := s.write.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", migrationLock); err != nil {
			return fmt.Errorf("waiting for another process that does the same: %w", err)
		}
		defer func() {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", migrationLock)
		}() // it ends with the connection anyway
	}
	return change(ctx)
}

const migrationLock = 0x53706172 // "Spar"

func (s *Store) migrateAlone(ctx context.Context) error {
	ours, err := s.provider()
	if err != nil {
		return err
	}
	at, err := ours.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	if at > s.schema { // a newer program was here; its tables serve us as long as it says so
		return s.MayWrite(ctx)
	}
	if _, err := ours.Up(ctx); err != nil {
		return err
	}
	return s.migrateRiver(ctx)
}

// provider makes what carries out our migrations, and remembers the newest of them.
func (s *Store) provider() (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	dialect := goose.DialectSQLite3
	if s.engine == PostgreSQL {
		dialect = goose.DialectPostgres
	}
	ours, err := goose.NewProvider(dialect, s.write, files, goose.WithGoMigrations(s.appendOnly()))
	if err != nil {
		return nil, err
	}
	known := ours.ListSources()
	s.schema = known[len(known)-1].Version
	return ours, nil
}

// MayWrite is [ErrNewer] when this program may not write any more.
func (s *Store) MayWrite(ctx context.Context) error {
	least, err := query.New(s.read).LeastWriter(ctx)
	if err != nil {
		return err
	}
	return s.outdated(least)
}

// outdated says that this program may not write any more, if the least version that may is newer than what it knows.
func (s *Store) outdated(least int64) error {
	if least <= s.schema {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrNewer, &access.Problem{
		Kind: access.ErrUnavailable, Message: fmt.Sprintf("a newer Sparekey has the database: who writes must know its tables of version %d, and this program knows version %d", least, s.schema),
		Hint: "run the newer version here as well",
	})
}

// appendOnly makes the database itself refuse to change or delete an event. It is the one place where the engines differ in
// what they are told.
func (s *Store) appendOnly() *goose.Migration {
	statements := []string{
		`CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are never changed'); END`,
		`CREATE TRIGGER events_remain BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END`,
	}
	if s.engine == PostgreSQL {
		statements = []string{
			`CREATE FUNCTION events_stay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'events are never changed or deleted'; END $$`,
			`CREATE TRIGGER events_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION events_stay()`,
		}
	}
	return goose.NewGoMigration(2, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		for _, statement := range statements {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}}, nil)
}

func (s *Store) migrateRiver(ctx context.Context) error {
	config := &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)}
	var err error
	if s.engine == PostgreSQL {
		var m *rivermigrate.Migrator[pgxTx]
		if m, err = rivermigrate.New(riverpgxv5.New(s.pool), config); err == nil {
			_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
		}
	} else {
		var m *rivermigrate.Migrator[*sql.Tx]
		if m, err = rivermigrate.New(riversqlite.New(s.write), config); err == nil {
			_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
		}
	}
	return err
}
