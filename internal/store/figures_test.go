package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/judge"
)

// standing puts a grant as it stands into the store.
func standing(t *testing.T, s *Store, id string, state access.GrantState, way access.Way, edit func(*access.Grant)) {
	t.Helper()
	g := access.Grant{
		ID: id, Version: 1, State: state, Person: dana, Terms: access.Terms{Way: way}, Target: place("A"), Minutes: 30,
		ApprovedAt: start, BegunAt: start, HardEnd: start.Add(45 * time.Minute), NextTry: start,
	}
	edit(&g)
	update(t, s, func(tx *Tx) error { return tx.putGrant(g, 0) })
}

func TestFiguresCountWhatIsNotOver(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ends := func(minutes int) func(*access.Grant) {
			return func(g *access.Grant) { g.EndsAt = start.Add(time.Duration(minutes) * time.Minute) }
		}
		ending := func(by int) func(*access.Grant) {
			return func(g *access.Grant) {
				ends(30)(g)
				g.End, g.EndingAt = &access.EndCause{}, start.Add(time.Duration(by)*time.Minute)
				g.Delete = &access.Operation{SentAt: g.EndingAt}
			}
		}
		update(t, s, func(tx *Tx) error { return tx.Apply(asked(t, "req-1", "A"), cause) })
		standing(t, s, "g-1", access.Active, access.Assignment, ends(30))
		standing(t, s, "g-2", access.Active, access.Membership, ends(20))
		standing(t, s, "g-3", access.Ending, access.Assignment, ending(10))
		standing(t, s, "g-4", access.Stuck, access.Assignment, ending(5))
		standing(t, s, "g-5", access.Granting, access.Assignment, func(*access.Grant) {})
		standing(t, s, "g-6", access.Ended, access.Assignment, func(g *access.Grant) { ending(1)(g); g.EndedAt = start.Add(time.Minute) })
		standing(t, s, "g-7", access.Verified, access.Assignment, func(g *access.Grant) { ending(1)(g); g.EndedAt = start.Add(time.Minute) })
		view(t, s, func(tx *Tx) error {
			f, err := tx.Figures(start.Add(22 * time.Minute))
			want := Figures{
				Grants: []GrantCount{
					{access.Active, access.Assignment, 1}, {access.Active, access.Membership, 1}, {access.Ended, access.Assignment, 1}, {access.Ending, access.Assignment, 1},
					{access.Granting, access.Assignment, 1}, {access.Stuck, access.Assignment, 1}, {access.Waiting, access.Assignment, 1},
				},
				LateEnds: 3, FirstEnd: start.Add(5 * time.Minute), OpenRequests: 1,
			}
			if err != nil || !reflect.DeepEqual(f, want) {
				t.Errorf("got  %+v, %v\nwant %+v", f, err, want)
			}
			return nil
		})
	})
}

func TestFiguresOfAnEmptyStoreAreZero(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		view(t, s, func(tx *Tx) error {
			if f, err := tx.Figures(start); err != nil || !reflect.DeepEqual(f, Figures{}) {
				t.Errorf("%+v, %v", f, err)
			}
			return nil
		})
	})
}

// crowd fills the store with so many active grants, and ten times as many that are over.
func crowd(t testing.TB, s *Store, n int) {
	t.Helper()
	numbers := map[Engine]string{
		SQLite:     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) SELECT i FROM n",
		PostgreSQL: "SELECT i FROM generate_series(1, $1::bigint) AS n(i)",
	}[s.engine]
	const row = "INSERT INTO grants (id, version, request, person, way, account, permission_set, state, live, due, urgency, ends_at, approved_at, body) SELECT '%s' || i, 1, 'req', 'p', 'assignment', 'a' || i, 's', '%s', %d, %s, 0, %s, i, '{}' FROM (%s) AS numbers"
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := s.write.ExecContext(context.Background(), statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(fmt.Sprintf(row, "live", "active", 1, "i", "i", numbers), n)
	exec(fmt.Sprintf(row, "over", "verified", 0, "0", "0", numbers), 10*n)
	exec("VACUUM")
	exec("ANALYZE")
}

// TestFiguresReadIndexes looks at the plans: neither a scrape nor a turn of the lane may read every grant there ever was.
func TestFiguresReadIndexes(t *testing.T) {
	queries := map[string]string{
		"SELECT body FROM grants WHERE urgency = 0 AND due > 0 AND due <= 100 ORDER BY due, id LIMIT 500":                                   "grants_due",
		"SELECT due FROM grants WHERE due > 0 AND due > 100 ORDER BY due LIMIT 1":                                                           "grants_next",
		"SELECT state, way, COUNT(*) AS grants FROM grants WHERE due > 0 GROUP BY state, way ORDER BY state, way":                           "grants_state",
		"SELECT ends_at FROM grants WHERE ends_at > 0 ORDER BY ends_at LIMIT 1":                                                             "grants_ends",
		"SELECT COUNT(*) FROM grants WHERE ends_at > 0 AND ends_at <= 100":                                                                  "grants_ends",
		"SELECT COUNT(*) FROM requests WHERE open = 1":                                                                                      "requests_open",
		"SELECT scheduled_at FROM river_job WHERE state = 'scheduled' AND queue = 'default' AND priority = 1 ORDER BY scheduled_at LIMIT 1": "river_job_prioritized_fetching_index",
	}
	onBoth(t, func(t *testing.T, s *Store) {
		crowd(t, s, 2000)
		explain := "EXPLAIN QUERY PLAN "
		if s.engine == PostgreSQL {
			explain = "EXPLAIN "
		}
		for q, index := range queries {
			if plan := explained(t, s, explain+q); !strings.Contains(plan, index) {
				t.Errorf("%s does not use %s:\n%s", q, index, plan)
			}
		}
	})
}

func explained(t *testing.T, s *Store, statement string) string {
	t.Helper()
	conn, err := s.write.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if s.engine == PostgreSQL { // two of the tables are nearly empty here, and are read whole where that is allowed
		if _, err := conn.ExecContext(t.Context(), "SET enable_seqscan = off"); err != nil {
			t.Fatal(err)
		}
		defer func() { _, _ = conn.ExecContext(t.Context(), "RESET enable_seqscan") }()
	}
	rows, err := conn.QueryContext(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var a, b, c sql.RawBytes
		var line string
		if s.engine == PostgreSQL {
			err = rows.Scan(&line)
		} else {
			err = rows.Scan(&a, &b, &c, &line)
		}
		if err != nil {
			t.Fatal(err)
		}
		plan.WriteString(line + "\n")
	}
	return plan.String()
}

// BenchmarkFigures counts among 100,000 live grants, of which a hundred are late, and a million that are over.
func BenchmarkFigures(b *testing.B) {
	for name, address := range map[string]func() string{
		"SQLite": func() string { return "sqlite:" + filepath.Join(b.TempDir(), "s.db") }, "PostgreSQL": func() string { return judge.Postgres(b) },
	} {
		b.Run(name, func(b *testing.B) {
			s, err := Open(b.Context(), address())
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			crowd(b, s, 100_000)
			for b.Loop() {
				if err := s.View(b.Context(), func(tx *Tx) error { _, err := tx.Figures(time.UnixMilli(100)); return err }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
