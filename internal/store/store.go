package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the SQLite driver
)

// Errors of the store. ErrNotFound and ErrChanged are wrapped with what they are about.
var (
	ErrNotFound = errors.New("not in the store")
	ErrChanged  = errors.New("changed by somebody else in between")
	ErrNewer    = errors.New("a newer Sparekey has the database")
)

// Engine is the database behind a store.
type Engine string

// The engines.
const (
	SQLite     Engine = "sqlite"
	PostgreSQL Engine = "postgres"
)

// Store is an open database. Its methods may be called by any number of goroutines.
type Store struct {
	engine Engine
	write  *sql.DB       // SQLite: one connection; PostgreSQL: a pool
	read   *sql.DB       // SQLite: connections that cannot write; PostgreSQL: the same as write
	pool   *pgxpool.Pool // PostgreSQL: the same connections as pgx knows them, for River
	lock   *os.File      // SQLite: held while this process is the one that writes
	room   *room         // SQLite: on its disk
	schema int64         // the newest version of the tables that this program knows
}

// Option changes how a database is opened.
type Option func(*opening)

type opening struct {
	shared bool
	free   func(folder string) (uint64, error)
}

// Shared opens a SQLite database without being the only process that does. It is for tests, where a test looks into the
// database of a process that it has started.
func Shared() Option { return func(o *opening) { o.shared = true } }

// FreeBy has the free space of the database's disk told by a function, in bytes. It is for tests.
func FreeBy(free func(folder string) (uint64, error)) Option {
	return func(o *opening) { o.free = free }
}

// Open opens the database at address and brings its tables up to date. The address is sqlite:PATH, whose folder must exist,
// or postgres://…, as PostgreSQL's own tools take it. Errors do not contain the address, which may hold a password.
//
// A SQLite database is open in one process at a time: a second one gets an [access.Problem] that names the first.
func Open(ctx context.Context, address string, options ...Option) (*Store, error) {
	o := opening{free: freeOf}
	for _, option := range options {
		option(&o)
	}
	s, err := connect(ctx, address, o)
	if err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("bringing the tables up to date: %w", err)
	}
	return s, nil
}

func connect(ctx context.Context, address string, o opening) (*Store, error) {
	scheme, rest, _ := strings.Cut(address, ":")
	switch scheme {
	case "sqlite":
		return openSQLite(ctx, rest, o)
	case "postgres", "postgresql":
		return openPostgreSQL(ctx, address)
	}
	return nil, errors.New("the database's address begins neither with sqlite: nor with postgres://")
}

func openSQLite(ctx context.Context, path string, o opening) (*Store, error) {
	if err := local(filepath.Dir(path)); err != nil {
		return nil, err
	}
	// The file is made here, so that nobody but its owner ever could read it.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the database file: %w", err)
	}
	f.Close()
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	s := &Store{engine: SQLite, room: newRoom(full, o.free)}
	if !o.shared {
		if s.lock, err = alone(full); err != nil {
			return nil, err
		}
	}
	if s.write, err = sql.Open("sqlite", dsn(full, "&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate")); err != nil {
		s.Close()
		return nil, err
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = sql.Open("sqlite", dsn(full, "&_pragma=journal_mode(WAL)&_pragma=query_only(1)")); err != nil {
		s.Close()
		return nil, err
	}
	s.read.SetMaxOpenConns(4)
	s.read.SetMaxIdleConns(4)
	if err := s.write.PingContext(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("opening the database file: %w", err)
	}
	return s, nil
}

func dsn(path, more string) string {
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: "_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)" + more}).String()
}

func openPostgreSQL(ctx context.Context, address string) (*Store, error) {
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, errors.New("the database's address is not one that PostgreSQL understands")
	}
	config.MaxConns = max(config.MaxConns, 12)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	db := stdlib.OpenDBFromPool(pool)
	s := &Store{engine: PostgreSQL, write: db, read: db, pool: pool}
	if err := db.PingContext(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	return s, nil
}

// Engine returns the database behind the store.
func (s *Store) Engine() Engine { return s.engine }

// Close closes the database.
func (s *Store) Close() {
	if s.read != nil && s.read != s.write {
		s.read.Close()
	}
	if s.write != nil {
		s.write.Close()
	}
	if s.pool != nil {
		s.pool.Close()
	}
	if s.lock != nil {
		s.lock.Close()
	}
}

// millis is how times are kept: milliseconds since 1970, zero for never.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
