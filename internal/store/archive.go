package store

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"strconv"
	"time"
	"unicode/utf8"
)

// An archive is a database in a file: gzip'd lines of JSON, the same for both engines. The first is an [Archive]; then each
// table has a line with its name and columns, and a line for each row, an array of whole numbers and texts. The last line has
// how many rows each table has and the SHA-256 of everything before it: what was cut off or damaged is known before anything
// is done with it. The digest proves that an archive is whole, and not who wrote it.

// Archive says what a backup is of.
type Archive struct {
	Format  string           `json:"format"`
	Version int              `json:"version"`
	Schema  int64            `json:"schema"` // version of the tables
	Engine  Engine           `json:"engine"` // where it comes from
	At      time.Time        `json:"at"`
	Seq     int64            `json:"seq"` // place of the newest event
	Rows    map[string]int64 `json:"-"`   // by table
}

const (
	archiveFormat  = "sparekey-backup"
	archiveVersion = 1
	longestLine    = 256 << 20
)

// ErrArchive is wrapped by what is wrong with an archive.
var ErrArchive = errors.New("not a whole backup of Sparekey")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrArchive, fmt.Sprintf(format, args...))
}

// mark is a line of an archive that is not a row: the beginning of a table, or the end.
type mark struct {
	Table   string           `json:"table,omitempty"`
	Columns []string         `json:"columns,omitempty"`
	Rows    map[string]int64 `json:"rows,omitempty"`
	SHA256  string           `json:"sha256,omitempty"`
}

// archiver writes an archive.
type archiver struct {
	zip   *gzip.Writer
	sum   hash.Hash
	table string
	rows  map[string]int64
}

func newArchiver(w io.Writer, a Archive) (*archiver, error) {
	to := newLines(w)
	a.Format, a.Version, a.At = archiveFormat, archiveVersion, a.At.UTC().Truncate(time.Millisecond)
	return to, to.line(a)
}

func newLines(w io.Writer) *archiver {
	return &archiver{zip: gzip.NewWriter(w), sum: sha256.New(), rows: map[string]int64{}}
}

func (w *archiver) line(v any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text) // which ends each value with a line feed
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	w.sum.Write(text.Bytes())
	_, err := w.zip.Write(text.Bytes())
	return err
}

func (w *archiver) begin(table string, columns []string) error {
	w.table = table
	w.rows[table] = 0
	return w.line(mark{Table: table, Columns: columns})
}

func (w *archiver) row(values []any) error {
	for i, v := range values {
		switch v := v.(type) {
		case int64:
			continue
		case string:
			if utf8.ValidString(v) {
				continue
			}
		}
		return fmt.Errorf("the value %d of a row of %s is neither a whole number nor a text in UTF-8", i+1, w.table)
	}
	w.rows[w.table]++
	return w.line(values)
}

func (w *archiver) end() error {
	sum := hex.EncodeToString(w.sum.Sum(nil))
	if err := w.line(mark{Rows: w.rows, SHA256: sum}); err != nil {
		return err
	}
	return w.zip.Close()
}

// archived is who reads an archive: row gets whole numbers as int64, and texts.
type archived struct {
	head  func(Archive) error
	table func(name string, columns []string) error
	row   func(values []any) error
}

// readArchive reads a whole archive. What to has received counts only if there is no error: the digest comes last.
func readArchive(from io.Reader, to archived) (Archive, error) {
	raw := bufio.NewReaderSize(from, 1<<16)
	zip, err := gzip.NewReader(raw)
	if err != nil {
		return Archive{}, damaged("it is not compressed as one is (%v)", err)
	}
	zip.Multistream(false)
	r := &unarchiver{lines: bufio.NewReaderSize(zip, 1<<16), raw: raw, sum: sha256.New(), rows: map[string]int64{}, to: to}
	a, err := r.first()
	if err == nil && to.head != nil {
		err = to.head(a)
	}
	for ended := false; err == nil && !ended; {
		ended, err = r.next()
	}
	a.Rows = r.rows
	return a, err
}

type unarchiver struct {
	lines   *bufio.Reader
	raw     *bufio.Reader
	sum     hash.Hash
	to      archived
	number  int
	table   string
	columns int
	rows    map[string]int64
}

// line reads the next line. It is added to the sum by whoever knows that it is not the last.
func (r *unarchiver) line() ([]byte, error) {
	r.number++
	var line []byte
	for {
		part, err := r.lines.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case len(line) > longestLine:
			return nil, damaged("line %d is too long", r.number)
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, damaged("it is cut off in line %d", r.number)
		default:
			return nil, damaged("reading line %d: %v", r.number, err)
		}
	}
}

func (r *unarchiver) first() (Archive, error) {
	var a Archive
	line, err := r.line()
	if err != nil {
		return a, err
	}
	r.sum.Write(line)
	if err := json.Unmarshal(line, &a); err != nil || a.Format != archiveFormat {
		return a, damaged("its first line does not say so")
	}
	if a.Version != archiveVersion {
		return a, damaged("its format has the version %d, and this program reads version %d", a.Version, archiveVersion)
	}
	if a.Schema < 1 || a.Seq < 0 {
		return a, damaged("its first line makes no sense")
	}
	return a, nil
}

// next reads a line of the rest, and reports whether it was the last.
func (r *unarchiver) next() (ended bool, err error) {
	line, err := r.line()
	if err != nil {
		return false, err
	}
	if line[0] == '[' {
		r.sum.Write(line)
		return false, r.row(line)
	}
	var m mark
	if err := json.Unmarshal(line, &m); err != nil {
		return false, damaged("line %d: %v", r.number, err)
	}
	if m.SHA256 != "" {
		return true, r.last(m)
	}
	r.sum.Write(line)
	if _, again := r.rows[m.Table]; m.Table == "" || again || len(m.Columns) == 0 {
		return false, damaged("line %d begins no table, or one again", r.number)
	}
	r.table, r.columns, r.rows[m.Table] = m.Table, len(m.Columns), 0
	if r.to.table == nil {
		return false, nil
	}
	return false, r.to.table(m.Table, m.Columns)
}

func (r *unarchiver) row(line []byte) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var values []any
	if err := d.Decode(&values); err != nil {
		return damaged("line %d: %v", r.number, err)
	}
	if rest, err := io.ReadAll(d.Buffered()); err != nil || len(bytes.TrimSpace(rest)) > 0 {
		return damaged("line %d has more than a row", r.number)
	}
	if r.table == "" || len(values) != r.columns {
		return damaged("line %d has %d values, and its table has %d columns", r.number, len(values), r.columns)
	}
	for i, v := range values {
		switch v := v.(type) {
		case string:
		case json.Number:
			n, err := strconv.ParseInt(v.String(), 10, 64)
			if err != nil {
				return damaged("line %d: %s is not a whole number", r.number, v)
			}
			values[i] = n
		default:
			return damaged("line %d: the value %d is neither a number nor a text", r.number, i+1)
		}
	}
	r.rows[r.table]++
	if r.to.row == nil {
		return nil
	}
	return r.to.row(values)
}

func (r *unarchiver) last(m mark) error {
	if m.SHA256 != hex.EncodeToString(r.sum.Sum(nil)) {
		return damaged("its digest is another: it was damaged or altered")
	}
	if !maps.Equal(m.Rows, r.rows) {
		return damaged("it has other rows than its last line says")
	}
	if _, err := r.lines.ReadByte(); !errors.Is(err, io.EOF) {
		return damaged("something follows its last line (%v)", err)
	}
	if _, err := r.raw.ReadByte(); !errors.Is(err, io.EOF) {
		return damaged("something follows it")
	}
	return nil
}
