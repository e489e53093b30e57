package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"sparekey/access"
)

// Backup writes everything that the database holds at one moment, while others write. Jobs of River are not in it: each can
// be found again from the rows. Nothing of the configuration is in it, and so no token, key or password.
func (s *Store) Backup(ctx context.Context, w io.Writer, now time.Time) error {
	return s.View(ctx, func(tx *Tx) error {
		a := Archive{Engine: s.engine, At: now}
		tables, err := tx.tables()
		if err != nil {
			return err
		}
		if tables == nil {
			return errors.New("the database has none of Sparekey's tables")
		}
		if err := tx.tx.QueryRowContext(ctx, "SELECT MAX(version_id) FROM goose_db_version").Scan(&a.Schema); err != nil {
			return fmt.Errorf("reading the version of the tables: %w", err)
		}
		if a.Seq, err = tx.Head(); err != nil {
			return err
		}
		to, err := newArchiver(w, a)
		if err != nil {
			return err
		}
		for _, t := range tables {
			if err := tx.archive(t, to); err != nil {
				return fmt.Errorf("writing the table %s: %w", t.name, err)
			}
		}
		return to.end()
	})
}

// Whole reads an archive and says what it is of; [ErrArchive] when anything of it is missing or damaged.
func Whole(from io.Reader) (Archive, error) { return readArchive(from, archived{}) }

func (tx *Tx) archive(t table, to *archiver) error {
	if err := to.begin(t.name, t.columns); err != nil {
		return err
	}
	rows, err := tx.tx.QueryContext(tx.ctx, "SELECT "+strings.Join(t.columns, ", ")+" FROM "+t.name)
	if err != nil {
		return err
	}
	defer rows.Close()
	values, into := make([]any, len(t.columns)), make([]any, len(t.columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := to.row(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

// table is one of ours, as the database has it.
type table struct {
	name    string
	columns []string
}

// tables lists our tables, in a fixed order; none when the database was never Sparekey's. What River and goose keep is theirs.
func (tx *Tx) tables() ([]table, error) {
	const (
		ofSQLite     = `SELECT m.name, c.name, c.type FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' ORDER BY m.name, c.cid`
		ofPostgreSQL = `SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns c
JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name AND t.table_type = 'BASE TABLE'
WHERE c.table_schema = current_schema() ORDER BY c.table_name, c.ordinal_position`
	)
	statement := ofSQLite
	if tx.engine == PostgreSQL {
		statement = ofPostgreSQL
	}
	rows, err := tx.tx.QueryContext(tx.ctx, statement)
	if err != nil {
		return nil, fmt.Errorf("listing the tables: %w", err)
	}
	defer rows.Close()
	var all []table
	migrated := false
	for rows.Next() {
		var name, column, kind string
		if err := rows.Scan(&name, &column, &kind); err != nil {
			return nil, err
		}
		if name == "goose_db_version" {
			migrated = true
			continue
		}
		if strings.HasPrefix(name, "river_") {
			continue
		}
		if kind := strings.ToLower(kind); kind != "bigint" && kind != "text" {
			return nil, fmt.Errorf("the column %s of the table %s is a %s, which backups do not carry", column, name, kind)
		}
		if len(all) == 0 || all[len(all)-1].name != name {
			all = append(all, table{name: name})
		}
		all[len(all)-1].columns = append(all[len(all)-1].columns, column)
	}
	if err := rows.Err(); err != nil || migrated {
		return all, err
	}
	if len(all) > 0 {
		return nil, &access.Problem{Kind: access.ErrInvalid, Message: "the database has tables that are not Sparekey's, such as " + all[0].name, Hint: "give Sparekey a database of its own"}
	}
	return nil, nil
}

// used names a table that has rows once anybody has worked with the database; empty: nobody has.
func (tx *Tx) used(tables []table) (string, error) {
	for _, name := range []string{"events", "requests", "grants", "books", "leases", "mirror_items"} {
		if !slices.ContainsFunc(tables, func(t table) bool { return t.name == name }) {
			continue
		}
		var one int64
		err := tx.tx.QueryRowContext(tx.ctx, "SELECT 1 FROM "+name+" LIMIT 1").Scan(&one)
		if err == nil {
			return name, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return "", err
		}
	}
	return "", nil
}
