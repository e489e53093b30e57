package place

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrNothing is wrapped when nothing was put into a place yet. It is an [fs.ErrNotExist].
var ErrNothing = fmt.Errorf("nothing is there yet: %w", fs.ErrNotExist)

// Most is how many bytes a document may have.
const Most = 256 << 20

// File is a place in a folder. It should be on another machine's disk than the database.
type File struct{ Path string }

// Put replaces the document. When it returns, the document is on the disk.
func (f File) Put(_ context.Context, text []byte) error {
	folder := filepath.Dir(f.Path)
	temporary, err := os.CreateTemp(folder, "."+filepath.Base(f.Path)+".*") // only its owner may read it
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.Path, err)
	}
	_, err = temporary.Write(text)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), f.Path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.Path, errors.Join(err, os.Remove(temporary.Name())))
	}
	d, err := os.Open(folder)
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.Path, err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// Get reads the document; [ErrNothing] when there is none.
func (f File) Get(context.Context) ([]byte, error) {
	file, err := os.Open(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Dir(f.Path)); err != nil { // a disk that is not mounted is not an empty one
			return nil, fmt.Errorf("reading %s: %v", f.Path, err)
		}
		return nil, fmt.Errorf("reading %s: %w", f.Path, ErrNothing)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", f.Path, err)
	}
	defer file.Close()
	return atMost(file, f.Path)
}

func atMost(from io.Reader, name string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, Most+1))
	if err == nil && len(text) > Most {
		err = fmt.Errorf("it has more than %d bytes", Most)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return text, nil
}
