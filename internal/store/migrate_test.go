package store

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/judge"
)

// expanded does what a newer program does that has only added to the tables.
func expanded(t *testing.T, s *Store) {
	t.Helper()
	for _, statement := range []string{
		"ALTER TABLE grants ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'", "CREATE TABLE colours (id TEXT PRIMARY KEY)",
		"INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, " + map[Engine]string{SQLite: "1", PostgreSQL: "true"}[s.engine] + ")",
	} {
		if _, err := s.write.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
}

// contracted does what a newer program does that takes something away from older ones.
func contracted(t *testing.T, s *Store) {
	t.Helper()
	if _, err := s.write.Exec("UPDATE log_head SET least_writer = 9999"); err != nil {
		t.Fatal(err)
	}
}

func TestAnOlderProgramWritesUntilTheTablesAreTakenFromIt(t *testing.T) {
	for _, address := range []string{"sqlite:" + filepath.Join(t.TempDir(), "s.db"), judge.Postgres(t)} {
		s, err := Open(t.Context(), address, Shared())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		writes := func(s *Store, id string) error {
			return s.Update(t.Context(), func(tx *Tx) error { return tx.Apply(asked(t, id, "A"), cause) })
		}
		expanded(t, s)
		late, err := Open(t.Context(), address, Shared())
		if err != nil {
			t.Fatalf("%s: tables that were only added to: %v", s.engine, err)
		}
		t.Cleanup(late.Close)
		if err := errors.Join(writes(s, "req-1"), writes(late, "req-2")); err != nil {
			t.Errorf("%s: beside a newer program: %v", s.engine, err)
		}
		_, held, err := s.TakeLease(t.Context(), "lane", "old", start, start.Add(time.Minute))
		if !held || err != nil {
			t.Errorf("%s: no lease: %v", s.engine, err)
		}

		contracted(t, s)
		var p *access.Problem
		if err := writes(s, "req-3"); !errors.Is(err, ErrNewer) || !errors.As(err, &p) || !errors.Is(err, access.ErrUnavailable) || !strings.Contains(p.Message, "of version 9999") {
			t.Errorf("%s: it wrote on: %v", s.engine, err)
		}
		for _, name := range []string{"lane", "another"} {
			if _, held, err := s.TakeLease(t.Context(), name, "old", start, start.Add(time.Minute)); held || err != nil {
				t.Errorf("%s: it has the lease %s, %v", s.engine, name, err)
			}
		}
		view(t, s, func(tx *Tx) error { _, err := tx.Request("req-1"); return err })
		if later, err := Open(t.Context(), address, Shared()); !errors.Is(err, ErrNewer) {
			t.Errorf("%s: it was opened: %v", s.engine, err)
			later.Close()
		}
	}
}
