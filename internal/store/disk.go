package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"modernc.org/sqlite"

	"sparekey/access"
)

// networked names the kind of a file system on which SQLite cannot be relied upon, by its magic number: locks may not hold
// between machines there, and its write-ahead log needs memory that all of its readers share. Empty: it is a local one, or
// not known. The numbers are those of statfs(2) and of the kernel's include/uapi/linux/magic.h.
func networked(magic uint32) string {
	switch magic {
	case 0x6969:
		return "NFS"
	case 0x517B, 0xFE534D42, 0xFF534D42:
		return "SMB"
	case 0x01021997:
		return "9P"
	case 0x65735546, 0x65735543:
		return "FUSE" // sshfs, s3fs, virtiofs and others; which of them is not told
	case 0x5346414F, 0x6B414653:
		return "AFS"
	case 0x00C36400:
		return "Ceph"
	case 0x0BD00BD0:
		return "Lustre"
	case 0x47504653:
		return "GPFS"
	case 0x19830326:
		return "BeeGFS"
	case 0x01161970:
		return "GFS2"
	case 0x7461636F:
		return "OCFS2"
	case 0x73757245:
		return "Coda"
	case 0x564C:
		return "NCP"
	case 0xAAD7AAEA:
		return "PanFS"
	}
	return ""
}

// local refuses a folder on a network file system.
func local(folder string) error {
	magic, err := magicOf(folder)
	if err != nil {
		return fmt.Errorf("looking at the database's file system: %w", err)
	}
	if kind := networked(magic); kind != "" {
		return &access.Problem{
			Kind: access.ErrInvalid, Message: fmt.Sprintf("the database's folder %s is on a network file system (%s), where SQLite's locks cannot be relied upon", folder, kind),
			Hint: "put the database on a local disk, or use PostgreSQL",
		}
	}
	return nil
}

const (
	mib     = 1 << 20
	least   = 64 * mib // free, below which nothing starts
	plenty  = 96 * mib // free, from which on things start again
	last    = 16 * mib // free, below which the ballast goes
	ballast = 16 * mib
)

// room watches the free space of the disk with the database. The ballast is a file that is deleted when space runs out, so
// that ends can still be written: also when somebody else's files took the last of it.
type room struct {
	folder, ballast string
	free            func(folder string) (uint64, error)

	mu    sync.Mutex
	short bool
}

func newRoom(path string, free func(string) (uint64, error)) *room {
	return &room{folder: filepath.Dir(path), ballast: path + ".ballast", free: free}
}

// Room says why there is no room for what starts; empty: there is, or it cannot be measured: PostgreSQL's disk is elsewhere.
// It is cheap. Whoever calls it from time to time has the ballast laid up, thrown off and laid up again.
func (s *Store) Room() string {
	if s.room == nil {
		return ""
	}
	r := s.room
	free, err := r.free(r.folder)
	if err != nil {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.short {
		r.short = free < plenty
	} else {
		r.short = free < least
	}
	switch {
	case free < last:
		r.throw()
	case free >= plenty:
		r.load()
	}
	if r.short {
		return fmt.Sprintf("the disk with the database is nearly full: less than %d MiB are free", least/mib)
	}
	return ""
}

// load lays up the ballast, if it is not there. Without it everything works until the disk is full.
func (r *room) load() {
	f, err := os.OpenFile(r.ballast, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	err = reserve(f, ballast)
	if err := errors.Join(err, f.Close()); err != nil {
		r.throw()
	}
}

func (r *room) throw() { _ = os.Remove(r.ballast) }

// relieve throws off the ballast when the disk is full, and returns the error as it came: whoever wrote tries again.
func (r *room) relieve(err error) error {
	var failed *sqlite.Error
	if r == nil || !errors.As(err, &failed) {
		return err
	}
	const sqliteIOErr, sqliteFull = 10, 13 // https://sqlite.org/rescode.html; the low byte is the primary code
	if code := failed.Code() & 0xFF; code == sqliteFull || code == sqliteIOErr {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.short = true
		r.throw()
	}
	return err
}
