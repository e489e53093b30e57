package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

type pgxTx = pgx.Tx

// SQLite returns the writing connection for River; nil on PostgreSQL.
func (s *Store) SQLite() *sql.DB {
	if s.engine == SQLite {
		return s.write
	}
	return nil
}

// PostgreSQL returns the pool for River; nil on SQLite.
func (s *Store) PostgreSQL() *pgxpool.Pool { return s.pool }

// SQL returns the transaction as database/sql knows it, so that River can insert a job in it.
func (tx *Tx) SQL() *sql.Tx { return tx.tx }

// PGX runs fn with the transaction as pgx knows it, so that River can insert a job in it. It is an error on SQLite.
func (tx *Tx) PGX(fn func(pgx.Tx) error) error {
	return tx.conn.Raw(func(driver any) error {
		c, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("the transaction is on a %T, not on pgx", driver)
		}
		return fn(within{c.Conn()})
	})
}

// within is a transaction of database/sql in the clothes of pgx: statements go to the connection on which it was begun. It
// cannot be ended here; that is the business of who began it.
type within struct{ c *pgx.Conn }

var errNotOurs = errors.New("this transaction is ended by the store")

func (w within) Begin(ctx context.Context) (pgx.Tx, error) {
	_, err := w.c.Exec(ctx, "SAVEPOINT within")
	return savepoint{w}, err
}

func (w within) Commit(context.Context) error   { return errNotOurs }
func (w within) Rollback(context.Context) error { return errNotOurs }
func (w within) Conn() *pgx.Conn                { return w.c }
func (w within) LargeObjects() pgx.LargeObjects { return pgx.LargeObjects{} }

func (w within) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return w.c.Exec(ctx, sql, args...)
}

func (w within) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return w.c.Query(ctx, sql, args...)
}

func (w within) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return w.c.QueryRow(ctx, sql, args...)
}

func (w within) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return w.c.SendBatch(ctx, b)
}

func (w within) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	return w.c.Prepare(ctx, name, sql)
}

func (w within) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	return w.c.CopyFrom(ctx, table, columns, rows)
}

// savepoint is a part of the transaction that can be taken back alone.
type savepoint struct{ within }

func (s savepoint) Commit(ctx context.Context) error {
	_, err := s.c.Exec(ctx, "RELEASE SAVEPOINT within")
	return err
}

func (s savepoint) Rollback(ctx context.Context) error {
	_, err := s.c.Exec(ctx, "ROLLBACK TO SAVEPOINT within")
	return err
}
