package store

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/judge"
	"sparekey/org"
	"sparekey/rules"
)

// fresh are addresses of databases that are not there yet, or empty.
var fresh = map[Engine]func(t *testing.T) string{
	SQLite:     func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "restored.db") },
	PostgreSQL: func(t *testing.T) string { return judge.Postgres(t) },
}

// fill puts something into every table.
func fill(t *testing.T, s *Store) {
	t.Helper()
	o, _, err := org.Describe("o.yaml", []byte("accounts: [{id: 100000000001, name: \"<&> ü\\u2028\", ou: X/Y}]\npermission-sets: [{name: R}]\npeople: [{user: dana, groups: [g]}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	book, files := proposed(t, "rules-1", "one\r\n\ttwo \U0001F511", 1)
	update(t, s, func(tx *Tx) error {
		_, err := tx.PutMirror(o)
		review := access.Change{Reviews: []access.Review{{ID: "rev-1", Version: 1, Person: dana, State: access.ReviewOpen, DueAt: start}}}
		stop := access.Change{Stops: []access.Stop{{ID: "stop-1", Version: 1, State: access.StopDone, At: start, Until: start.Add(time.Hour)}}}
		kill := access.Change{Kills: []access.Kill{{ID: "kill-1", Version: 1, Person: dana, WantedAt: start}}}
		return errors.Join(
			tx.Apply(kill, cause), tx.Apply(access.Change{Recoveries: []access.Recovery{{ID: "recovery-1", Version: 1, State: access.Recovering, At: start}}}, cause), tx.PutAnchor(access.LentGroup{Target: place("A"), Group: "a", Name: "anchor", Anchor: true}),
			tx.Apply(stop, cause), tx.PutScan(Scan{Account: "A", At: start, Found: []access.Finding{{Kind: access.Foreign, Since: start}}}),
			err, tx.Apply(asked(t, "req-1", "A", "B"), cause), tx.Apply(asked(t, "req-2", "C"), cause), tx.Apply(review, cause), tx.PutBook(book, files, cause),
			tx.PutReply("p", "k", Reply{"d", "req-1"}, start), tx.PutDelegation(rules.Delegation{From: rules.Named{ID: dana.ID}, Until: start.Add(time.Hour)}),
			tx.PutFavourite(dana.ID, Favourite{Name: "f", Minutes: 1}), tx.PutLentGroup(access.LentGroup{Target: place("A"), Group: "g", Name: "n"}),
		)
	})
	if _, ok, err := s.TakeLease(t.Context(), "lane", "a", start, start.Add(time.Minute)); !ok || err != nil {
		t.Fatal(err)
	}
}

// archiveOf is a backup of a store.
func archiveOf(t *testing.T, s *Store) []byte {
	t.Helper()
	var to bytes.Buffer
	if err := s.Backup(t.Context(), &to, start); err != nil {
		t.Fatal(err)
	}
	return to.Bytes()
}

func opener(archive []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }
}

// dump is every row of every table of ours, in an order of its own.
func dump(t *testing.T, archive []byte) []string {
	t.Helper()
	var all []string
	var columns []string
	var name string
	if _, err := readArchive(bytes.NewReader(archive), archived{
		table: func(n string, c []string) error { name, columns = n, c; return nil },
		row:   func(values []any) error { all = append(all, fmt.Sprint(name, columns, values)); return nil },
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

func TestABackupIsRestoredOnEitherEngine(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		fill(t, s)
		archive := archiveOf(t, s)
		want := dump(t, archive)
		whole, err := Whole(bytes.NewReader(archive))
		if err != nil || whole.Engine != s.Engine() || whole.Seq != 6 || whole.Schema != s.schema || !whole.At.Equal(start) || whole.Rows["grants"] != 3 {
			t.Fatalf("%+v, %v", whole, err)
		}
		for table, n := range whole.Rows {
			if n == 0 {
				t.Errorf("the test puts nothing into %s", table)
			}
		}
		for engine, address := range fresh {
			at := address(t)
			if _, err := Restore(t.Context(), at, opener(archive)); err != nil {
				t.Fatalf("into %s: %v", engine, err)
			}
			r := open(t, at)
			if got := dump(t, archiveOf(t, r)); !reflect.DeepEqual(got, want) {
				t.Errorf("into %s:\n%s\nwant:\n%s", engine, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			for _, statement := range []string{"UPDATE events SET body = 'x'", "DELETE FROM events"} {
				if _, err := r.write.Exec(statement); err == nil || !strings.Contains(err.Error(), "events are never") {
					t.Errorf("%s: %s: %v", engine, statement, err)
				}
			}
			update(t, r, func(tx *Tx) error { return tx.Apply(asked(t, "req-3", "A"), cause) })
			view(t, r, func(tx *Tx) error {
				if head, err := tx.Head(); err != nil || head != 8 {
					t.Errorf("%s: the log goes on at %d, %v", engine, head, err)
				}
				return nil
			})
			if _, err := Restore(t.Context(), at, opener(archive), Shared()); err == nil || !strings.Contains(err.Error(), "is not empty") {
				t.Errorf("%s: into a database that is in use: %v", engine, err)
			}
		}
	})
}

// TestABackupWhileOthersWriteIsOfOneMoment has grants change all the time: in every backup each row is what its last event
// says, each event follows on the one before, and the log has no gaps.
func TestABackupWhileOthersWriteIsOfOneMoment(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for w := range 3 {
			c := asked(t, fmt.Sprintf("req-%d", w), "A")
			update(t, s, func(tx *Tx) error { return tx.Apply(c, cause) })
			g := c.Grants[0]
			all.Go(func() {
				for ctx.Err() == nil {
					next := advanced(t, g)
					if err := s.Update(context.Background(), func(tx *Tx) error { return tx.Apply(next, cause) }); err != nil {
						t.Error(err)
						return
					}
					g = next.Grants[0]
				}
			})
		}
		var before int64
		for range 5 {
			archive := archiveOf(t, s)
			a, err := Whole(bytes.NewReader(archive))
			if err != nil || a.Seq <= before {
				t.Errorf("the log was at %d before: %+v, %v", before, a, err)
			}
			before = a.Seq
			at := fresh[SQLite](t)
			if _, err := Restore(t.Context(), at, opener(archive)); err != nil {
				t.Fatal(err)
			}
			consistent(t, open(t, at), a.Seq)
			for changed := false; !changed; { // until somebody has written since
				view(t, s, func(tx *Tx) error { head, err := tx.Head(); changed = head > before; return err })
			}
		}
		stop()
		all.Wait()
	})
}

// advanced is a grant's next version, with the event that follows on the one before.
func advanced(t testing.TB, g access.Grant) access.Change {
	before, err1 := audit.ImageOf("", g.Version, g)
	n := g
	n.Version++
	n.Tries++
	after, err2 := audit.ImageOf("", n.Version, n)
	if err := errors.Join(err1, err2); err != nil {
		t.Error(err)
	}
	e := audit.Event{At: start, Kind: "grant.hindered", Actor: cause.Actor, Subject: audit.Subject{Kind: "grant", ID: g.ID}, Before: before.Bare(), After: after}
	return access.Change{Grants: []access.Grant{n}, Events: []audit.Event{e}}
}

func consistent(t *testing.T, s *Store, seq int64) {
	t.Helper()
	view(t, s, func(tx *Tx) error {
		events, err := tx.EventsAfter(0, 1_000_000)
		if err != nil || int64(len(events)) != seq {
			t.Errorf("%d events, want %d, %v", len(events), seq, err)
		}
		last := map[string]*audit.Image{}
		for i, e := range events {
			if e.Seq != int64(i+1) {
				t.Fatalf("event %d has the place %d", i, e.Seq)
			}
			was := last[e.Subject.ID]
			if (was == nil) != (e.Before == nil) || was != nil && (was.Digest != e.Before.Digest || e.After.Version != was.Version+1) {
				t.Fatalf("event %d does not follow on the one before of %s", e.Seq, e.Subject.ID)
			}
			last[e.Subject.ID] = e.After
		}
		grants, err := tx.RecentGrants(100)
		if err != nil || len(grants) != 3 {
			t.Errorf("%d grants, %v", len(grants), err)
		}
		for _, g := range grants {
			digest, err := audit.Digest(g)
			if err != nil || last[g.ID].Digest != digest || last[g.ID].Version != g.Version {
				t.Errorf("grant %s has version %d, its last event %+v, %v", g.ID, g.Version, last[g.ID], err)
			}
		}
		return nil
	})
}

// plain is an archive's lines; packed is the archive of lines.
func plain(t testing.TB, archive []byte) string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func packed(text string) []byte {
	var to bytes.Buffer
	zip := gzip.NewWriter(&to)
	_, _ = zip.Write([]byte(text)) // into memory
	_ = zip.Close()
	return to.Bytes()
}

func TestDamagedArchivesAreRefusedAndChangeNothing(t *testing.T) {
	s := open(t, "sqlite:"+filepath.Join(t.TempDir(), "s.db"))
	fill(t, s)
	whole := archiveOf(t, s)
	text := plain(t, whole)
	damage := map[string][]byte{
		"empty": {}, "not compressed": []byte(text), "twice": append(bytes.Clone(whole), whole...), "with something behind": append(bytes.Clone(whole), 'x'),
		"without its last line": packed(text[:strings.LastIndex(text[:len(text)-1], "\n")+1]), "without a line": packed(strings.Replace(text, text[strings.Index(text, "\n[")+1:strings.Index(text, "\n[")+40], "", 1)),
		"altered": packed(strings.Replace(text, `"req-1"`, `"req-9"`, 1)), "with lines behind": packed(text + "[]\n"),
		"of another format": packed(strings.Replace(text, `"version":1`, `"version":2`, 1)), "of something else": packed(strings.Replace(text, archiveFormat, "other", 1)),
	}
	for n := 0; n < len(whole); n += 61 {
		damage[fmt.Sprintf("cut off after %d bytes", n)] = whole[:n]
		flipped := bytes.Clone(whole)
		flipped[n] ^= 0x10
		if n > 9 { // gzip's own header has bytes that say nothing
			damage[fmt.Sprintf("with another byte %d", n)] = flipped
		}
	}
	path := filepath.Join(t.TempDir(), "new.db")
	for name, archive := range damage {
		if _, err := Restore(t.Context(), "sqlite:"+path, opener(archive)); !errors.Is(err, ErrArchive) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Fatalf("%s: a database was made", name)
		}
	}
}

// TestArchivesThatAreWholeAndDoNotFitAreRefused has archives with a right digest that no Sparekey wrote.
func TestArchivesThatAreWholeAndDoNotFitAreRefused(t *testing.T) {
	s := open(t, "sqlite:"+filepath.Join(t.TempDir(), "s.db"))
	fill(t, s)
	text := plain(t, archiveOf(t, s))
	newer := strings.Replace(text, fmt.Sprintf(`"schema":%d`, s.schema), `"schema":9999`, 1)
	if _, err := Restore(t.Context(), fresh[SQLite](t), opener(resealed(t, newer))); !errors.Is(err, ErrNewer) {
		t.Errorf("newer: %v", err)
	}
	for engine, address := range fresh {
		at := address(t)
		for name, altered := range map[string]string{
			"a gap in the log":       strings.Replace(text, "\n[2,", "\n[7,", 1),
			"another head":           strings.Replace(text, `"seq":6`, `"seq":5`, 1),
			"a table that is not":    strings.Replace(text, `"table":"grants"`, `"table":"grants; DROP TABLE events"`, 1),
			"a column that is not":   strings.Replace(text, `"columns":["id","version","request"`, `"columns":["id","version","colour"`, 1),
			"one row twice":          strings.Replace(text, `"table":"favourites","columns":["person","name","body"]}`+"\n", `"table":"favourites","columns":["person","name","body"]}`+"\n"+`["id-dana","f","{}"]`+"\n", 1),
			"no table of favourites": text[:strings.Index(text, `{"table":"favourites"`)] + text[strings.Index(text, `{"table":"grants"`):],
			"tables of no version":   strings.Replace(text, fmt.Sprintf(`"schema":%d`, s.schema), `"schema":1`, 1),
		} {
			if altered == text {
				t.Fatal(name, ": nothing was altered")
			}
			if _, err := Restore(t.Context(), at, opener(resealed(t, altered))); err == nil {
				t.Fatalf("%s: %s was restored", engine, name)
			}
			if name == "tables of no version" {
				continue
			}
			r, err := OpenReading(t.Context(), at)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.View(t.Context(), func(tx *Tx) error { return tx.unused() }); err != nil {
				t.Errorf("%s: after %s: %v", engine, name, err)
			}
			r.Close()
		}
		if _, err := Restore(t.Context(), at, opener(resealed(t, text))); err != nil {
			t.Errorf("%s: what is right, after all that: %v", engine, err)
		}
	}
}

// resealed gives lines the end that they need to be a whole archive.
func resealed(t testing.TB, text string) []byte {
	t.Helper()
	lines := strings.SplitAfter(text, "\n")
	var to bytes.Buffer
	w := newLines(&to)
	name := ""
	for _, line := range lines {
		switch {
		case line == "" || strings.Contains(line, `"sha256"`) && line[0] == '{':
			continue
		case line[0] == '[':
			w.rows[name]++
		case strings.HasPrefix(line, `{"table":"`):
			name = strings.SplitN(line, `"`, 5)[3]
			w.rows[name] = 0
		}
		w.sum.Write([]byte(line))
		if _, err := w.zip.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	return to.Bytes()
}

func TestAnArchiveOfOlderTablesIsBroughtUpToDate(t *testing.T) {
	for engine, address := range fresh {
		o, err := connect(t.Context(), address(t), opening{free: freeOf})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(o.Close)
		ours, err := o.provider()
		if err == nil {
			_, err = ours.UpTo(t.Context(), 4)
		}
		if err == nil {
			_, err = o.write.Exec("INSERT INTO favourites (person, name, body) VALUES ('id-dana', 'f', '{\"name\":\"f\",\"targets\":null,\"minutes\":7}')")
		}
		if err != nil {
			t.Fatal(err)
		}
		archive := archiveOf(t, o)
		for _, to := range fresh {
			at := to(t)
			if a, err := Restore(t.Context(), at, opener(archive)); err != nil || a.Schema != 4 {
				t.Fatalf("%s: %+v, %v", engine, a, err)
			}
			r := open(t, at)
			view(t, r, func(tx *Tx) error {
				all, err := tx.Favourites(dana.ID)
				if err != nil || len(all) != 1 || all[0].Minutes != 7 {
					t.Errorf("%s: %+v, %v", engine, all, err)
				}
				return nil
			})
			update(t, r, func(tx *Tx) error { return tx.Apply(asked(t, "req-1", "A"), cause) })
		}
	}
}

func TestABackupGoesIntoNoDatabaseOfSomebodyElse(t *testing.T) {
	s := open(t, "sqlite:"+filepath.Join(t.TempDir(), "s.db"))
	fill(t, s)
	archive := archiveOf(t, s)
	for engine, address := range fresh {
		at := address(t)
		o, err := connect(t.Context(), at, opening{free: freeOf})
		if err == nil {
			_, err = o.write.Exec("CREATE TABLE theirs (id BIGINT)")
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Restore(t.Context(), at, opener(archive), Shared()); err == nil || !strings.Contains(err.Error(), "tables that are not Sparekey's, such as theirs") {
			t.Errorf("%s: %v", engine, err)
		}
		o.Close()
	}
	busy := "sqlite:" + filepath.Join(t.TempDir(), "busy.db")
	open(t, busy)
	if _, err := Restore(t.Context(), busy, opener(archive)); err == nil || !strings.Contains(err.Error(), "has the database") {
		t.Errorf("into a database that a server has open: %v", err)
	}
}

// FuzzArchive reads lines as they are and lines with the end that they need: whatever is read whole can be written again.
func FuzzArchive(f *testing.F) {
	f.Add(`{"format":"sparekey-backup","version":1,"schema":5,"engine":"sqlite","at":"2026-11-22T03:00:00Z","seq":1}` + "\n" + `{"table":"t","columns":["a","b"]}` + "\n" + `[1,"x"]` + "\n")
	f.Add(`{"format":"sparekey-backup","version":1,"schema":5,"engine":"","at":"2026-11-22T03:00:00Z","seq":0}` + "\n" + `{"rows":{},"sha256":"x"}` + "\n")
	f.Add("[1e400]\n[[]]\n{}\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, archive := range [][]byte{[]byte(text), packed(text), resealed(t, text)} {
			var to bytes.Buffer
			w := newLines(&to)
			a, err := readArchive(bytes.NewReader(archive), archived{
				head: func(a Archive) error { return w.line(a) }, table: w.begin, row: w.row,
			})
			if err != nil {
				continue
			}
			if err := w.end(); err != nil {
				t.Fatalf("what was read cannot be written: %v", err)
			}
			if again, err := Whole(&to); err != nil || !reflect.DeepEqual(again, a) {
				t.Fatalf("%+v became %+v, %v", a, again, err)
			}
		}
	})
}
