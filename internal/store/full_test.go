//go:build linux

package store

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestOnADiskThatIsFullWritingGoesOn is on a real file system that somebody else fills to the last byte.
func TestOnADiskThatIsFullWritingGoesOn(t *testing.T) {
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=48m"); err != nil {
		t.Skip("needs the right to mount a file system: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(folder, 0) })
	measured := true
	s, err := Open(t.Context(), "sqlite:"+filepath.Join(folder, "s.db"), FreeBy(func(folder string) (uint64, error) {
		if measured {
			return freeOf(folder)
		}
		return plenty, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	measured = false // it is smaller than what counts as plenty
	if why := s.Room(); why != "" {
		t.Fatal(why)
	}
	measured = true
	fillUp(t, filepath.Join(folder, "somebody-else"))
	var failed error
	for i := 0; failed == nil && i < 10_000; i++ {
		failed = s.Update(t.Context(), func(tx *Tx) error {
			return tx.Apply(asked(t, "before-"+string(rune('a'+i%26))+string(rune('a'+i/26)), "A"), cause)
		})
	}
	if failed == nil {
		t.Fatal("the disk never filled")
	}
	for range 50 {
		update(t, s, func(tx *Tx) error { return tx.Append(cause, made(t, "grant.ended", "grant", "g", 2, 1)) })
	}
	if s.Room() == "" {
		t.Error("there is room on a full disk")
	}
}

// fillUp writes until nothing more fits.
func fillUp(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
}
