package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"

	"sparekey/access"
)

// Restore puts an archive into an empty database, and brings its tables up to date. open is called twice: the archive is read
// to its end before anything is done, and everything is put in in one transaction. An archive of older tables gets tables of
// its time first. After an error the database is empty; at most it has tables without rows, and Restore can be tried again.
func Restore(ctx context.Context, address string, open func() (io.ReadCloser, error), options ...Option) (Archive, error) {
	a, err := wholeOf(open)
	if err != nil {
		return a, err
	}
	o := opening{free: freeOf}
	for _, option := range options {
		option(&o)
	}
	s, err := connect(ctx, address, o)
	if err != nil {
		return a, err
	}
	defer s.Close()
	return a, s.onlyOne(ctx, func(ctx context.Context) error { return s.restore(ctx, a, open) })
}

func wholeOf(open func() (io.ReadCloser, error)) (Archive, error) {
	from, err := open()
	if err != nil {
		return Archive{}, err
	}
	defer from.Close()
	return Whole(from)
}

func (s *Store) restore(ctx context.Context, a Archive, open func() (io.ReadCloser, error)) error {
	ours, err := s.provider()
	if err != nil {
		return err
	}
	if a.Schema > s.schema {
		return fmt.Errorf("%w: %w", ErrNewer, &access.Problem{
			Kind: access.ErrInvalid, Message: fmt.Sprintf("the backup has tables of version %d, and this program knows version %d", a.Schema, s.schema), Hint: "restore it with the newer Sparekey",
		})
	}
	if !slices.ContainsFunc(ours.ListSources(), func(m *goose.Source) bool { return m.Version == a.Schema }) {
		return damaged("there are no tables of version %d", a.Schema)
	}
	if err := s.View(ctx, func(tx *Tx) error { return tx.unused() }); err != nil {
		return err
	}
	at, err := ours.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	if at > a.Schema {
		return &access.Problem{Kind: access.ErrInvalid, Message: fmt.Sprintf("the database has tables of version %d, and the backup of version %d", at, a.Schema), Hint: "restore into a database without any tables; they are brought up to date afterwards"}
	}
	if _, err := ours.UpTo(ctx, a.Schema); err != nil {
		return fmt.Errorf("making tables of version %d: %w", a.Schema, err)
	}
	from, err := open()
	if err != nil {
		return err
	}
	defer from.Close()
	if err := s.run(ctx, s.write, &sql.TxOptions{}, func(tx *Tx) error { return tx.take(a, from) }); err != nil {
		return err
	}
	return s.migrateAlone(ctx)
}

// unused refuses a database that somebody has worked with.
func (tx *Tx) unused() error {
	tables, err := tx.tables()
	if err != nil {
		return err
	}
	name, err := tx.used(tables)
	if err == nil && name != "" {
		return &access.Problem{Kind: access.ErrInvalid, Message: fmt.Sprintf("the database is not empty: its table %s has rows", name), Hint: "a backup goes into an empty database; name a new one in the configuration"}
	}
	return err
}

// take puts an archive into tables of its version, which are empty but for the rows that they begin with.
func (tx *Tx) take(a Archive, from io.Reader) error {
	if err := tx.unused(); err != nil { // again, now that nobody else can come in between
		return err
	}
	tables, err := tx.tables()
	if err != nil {
		return err
	}
	for _, t := range tables {
		if t.name == "events" {
			continue // there are none, and the database refuses to delete any
		}
		if _, err := tx.tx.ExecContext(tx.ctx, "DELETE FROM "+t.name); err != nil {
			return err
		}
	}
	in := &insertion{tx: tx, tables: tables}
	again, err := readArchive(from, archived{table: in.begin, row: in.add})
	if err == nil {
		err = in.flush()
	}
	switch {
	case err != nil:
		return err
	case again.Seq != a.Seq || again.Schema != a.Schema || !again.At.Equal(a.At):
		return errors.New("the file was changed while it was read")
	case len(again.Rows) != len(tables):
		return damaged("it has %d tables of %d", len(again.Rows), len(tables))
	}
	return tx.gapless(a.Seq)
}

// gapless checks that the log is whole up to its newest event.
func (tx *Tx) gapless(seq int64) error {
	head, err := tx.Head()
	if err != nil {
		return err
	}
	var n, newest int64
	if err := tx.tx.QueryRowContext(tx.ctx, "SELECT COUNT(*), COALESCE(MAX(seq), 0) FROM events").Scan(&n, &newest); err != nil {
		return err
	}
	if head != seq || n != seq || newest != seq {
		return damaged("its log has %d events, the newest is %d, and it says that it has %d", n, newest, seq)
	}
	return nil
}

// insertion inserts rows, many with one statement.
type insertion struct {
	tx     *Tx
	tables []table
	into   table
	values []any
}

const rowsAtOnce = 100

func (in *insertion) begin(name string, columns []string) error {
	if err := in.flush(); err != nil {
		return err
	}
	i := slices.IndexFunc(in.tables, func(t table) bool { return t.name == name })
	if i < 0 || !slices.Equal(slices.Sorted(slices.Values(columns)), slices.Sorted(slices.Values(in.tables[i].columns))) {
		return damaged("tables of its version have no %s (%s)", name, strings.Join(columns, ", "))
	}
	in.into = table{name, columns} // both were just compared with the database's own
	return nil
}

func (in *insertion) add(values []any) error {
	in.values = append(in.values, values...)
	if len(in.values) < rowsAtOnce*len(in.into.columns) {
		return nil
	}
	return in.flush()
}

func (in *insertion) flush() error {
	if len(in.values) == 0 {
		return nil
	}
	var statement strings.Builder
	fmt.Fprintf(&statement, "INSERT INTO %s (%s) VALUES ", in.into.name, strings.Join(in.into.columns, ", "))
	for i := range in.values {
		switch {
		case i == 0:
			statement.WriteString("(")
		case i%len(in.into.columns) == 0:
			statement.WriteString("), (")
		default:
			statement.WriteString(", ")
		}
		statement.WriteString("$" + strconv.Itoa(i+1))
	}
	statement.WriteString(")")
	_, err := in.tx.tx.ExecContext(in.tx.ctx, statement.String(), in.values...)
	in.values = in.values[:0]
	if err != nil {
		return fmt.Errorf("inserting into %s: %w", in.into.name, err)
	}
	return nil
}
