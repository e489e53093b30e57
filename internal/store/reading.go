package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// OpenReading opens a database that is there to look at it, beside whatever process writes. It brings nothing up to date, so
// that what this program knows of the tables may not hold: what reads them as values wants [Open].
func OpenReading(ctx context.Context, address string) (*Store, error) {
	path, isFile := strings.CutPrefix(address, "sqlite:")
	if !isFile {
		return connect(ctx, address, opening{})
	}
	if err := local(filepath.Dir(path)); err != nil {
		return nil, err
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(full); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no database %s", path)
	}
	s := &Store{engine: SQLite}
	if s.read, err = sql.Open("sqlite", dsn(full, "&_pragma=query_only(1)&mode=rw")); err != nil {
		return nil, err
	}
	s.write = s.read // which cannot write
	if err := s.read.PingContext(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("opening the database file: %w", err)
	}
	return s, nil
}
