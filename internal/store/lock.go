package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"sparekey/access"
)

// One process at a time has a SQLite database open for writing: caches, wake-ups and the lane suppose it. The operating system
// holds the lock for as long as the process lives, so that one that was killed leaves nothing to clear away. The lock file
// itself stays: deleting it would let two processes lock two files of one name.

// errTaken is what lock returns when another process has it.
var errTaken = errors.New("taken")

// alone takes the lock of the database at path, which exists. The lock ends when the file is closed.
func alone(path string) (*os.File, error) {
	real, err := filepath.EvalSymlinks(path) // one database has one lock, by whatever name it is opened
	if err != nil {
		return nil, fmt.Errorf("finding the database file: %w", err)
	}
	f, err := os.OpenFile(real+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the database's lock file: %w", err)
	}
	if err := lock(f); err != nil {
		defer f.Close()
		if errors.Is(err, errTaken) {
			return nil, taken(path, f)
		}
		return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil && !full(err) { // on a full disk nobody learns who we are, and ends go on
		f.Close()
		return nil, fmt.Errorf("writing %s: %w", f.Name(), err)
	}
	return f, nil
}

// taken says who has the database.
func taken(path string, lock *os.File) error {
	p := &access.Problem{
		Kind: access.ErrUnavailable, Message: fmt.Sprintf("another process has the database %s open", path),
		Hint: "SQLite takes one server: end that one first, or keep everything in PostgreSQL, which takes several",
	}
	text := make([]byte, 32)
	n, err := lock.ReadAt(text, 0)
	if pid, bad := strconv.Atoi(strings.TrimSpace(string(text[:n]))); bad == nil && (err == nil || errors.Is(err, io.EOF)) {
		p.Message = fmt.Sprintf("the process %d has the database %s open", pid, path)
		p.Hint = fmt.Sprintf("SQLite takes one server: end that one first (kill %d), or keep everything in PostgreSQL, which takes several", pid)
	}
	return p
}
