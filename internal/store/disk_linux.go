package store

import (
	"errors"
	"os"
	"syscall"
)

// Unchecked says what this program cannot check about the disk of a SQLite database on this system; empty: nothing.
const Unchecked = ""

// magicOf returns the number of the kind of file system that a folder is on.
func magicOf(folder string) (uint32, error) {
	var s syscall.Statfs_t
	err := again(func() error { return syscall.Statfs(folder, &s) })
	return uint32(s.Type), err
}

// freeOf returns how many bytes the program may still write to the file system of a folder.
func freeOf(folder string) (uint64, error) {
	var s syscall.Statfs_t
	err := again(func() error { return syscall.Statfs(folder, &s) })
	return s.Bavail * uint64(s.Bsize), err
}

// reserve makes a file take its size on the disk. On file systems that cannot promise it, zeros are written.
func reserve(f *os.File, size int64) error {
	err := again(func() error { return syscall.Fallocate(int(f.Fd()), 0, 0, size) })
	if !errors.Is(err, syscall.EOPNOTSUPP) {
		return err
	}
	zeros := make([]byte, mib)
	for at := int64(0); at < size; at += mib {
		if _, err := f.WriteAt(zeros, at); err != nil {
			return err
		}
	}
	return nil
}

// again calls until no signal comes in between.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
