//go:build !linux

package store

import (
	"errors"
	"os"
)

// Unchecked says what this program cannot check about the disk of a SQLite database on this system; empty: nothing.
const Unchecked = "whether the database is on a network file system, and whether its disk is nearly full, is not checked on this system"

func magicOf(string) (uint32, error) { return 0, nil }

func freeOf(string) (uint64, error) { return 0, errors.ErrUnsupported }

func reserve(*os.File, int64) error { return errors.ErrUnsupported }
