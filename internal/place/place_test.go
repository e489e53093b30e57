package place

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAFileIsReplacedWhole(t *testing.T) {
	folder := t.TempDir()
	f := File{filepath.Join(folder, "ledger")}
	if _, err := f.Get(t.Context()); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
	for _, text := range []string{"one", "two"} {
		if err := f.Put(t.Context(), []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := f.Get(t.Context()); err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
	}
	info, err := os.Stat(f.Path)
	left, err1 := os.ReadDir(folder)
	if err != nil || err1 != nil || info.Mode().Perm() != 0o600 || len(left) != 1 {
		t.Errorf("%v, %v: %v, %d files", err, err1, info.Mode(), len(left))
	}
}

func TestAFolderThatIsNotThereIsNotAnEmptyPlace(t *testing.T) {
	f := File{filepath.Join(t.TempDir(), "unmounted", "ledger")}
	if _, err := f.Get(t.Context()); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := f.Put(t.Context(), []byte("x")); err == nil {
		t.Error("it was put somewhere")
	}
}

func TestKeysAreReadAsTheyWereWritten(t *testing.T) {
	folder := t.TempDir()
	private, public := filepath.Join(folder, "key"), filepath.Join(folder, "key.pub")
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))
	if err := NewKey(key, private, public); err != nil {
		t.Fatal(err)
	}
	got, err := PrivateKey(private)
	open, err1 := PublicKey(public)
	if err != nil || err1 != nil || !got.Equal(key) || !open.Equal(key.Public()) {
		t.Fatal(err, err1)
	}
	if err := NewKey(key, private, public); !errors.Is(err, os.ErrExist) {
		t.Error("over another key:", err)
	}
	if _, err := PrivateKey(public); err == nil {
		t.Error("a public key is taken for a private one")
	}
	if _, err := PublicKey(private); err == nil {
		t.Error("a private key is taken for a public one")
	}
	if err := os.Chmod(private, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := PrivateKey(private); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Error(err)
	}
}
