package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sparekey/internal/judge"
	"sparekey/org"
)

func TestALeaseHasOneHolderUntilItsTime(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		take := func(holder string, at time.Duration) (int64, bool) {
			t.Helper()
			epoch, ok, err := s.TakeLease(t.Context(), "lane", holder, start.Add(at), start.Add(at+10*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			return epoch, ok
		}
		for i, step := range []struct {
			holder string
			at     time.Duration
			epoch  int64
			ok     bool
		}{
			{"a", 0, 1, true}, {"b", time.Second, 0, false}, {"a", 5 * time.Second, 1, true}, {"b", 14 * time.Second, 0, false},
			{"b", 15 * time.Second, 2, true}, {"a", 16 * time.Second, 0, false},
		} {
			if epoch, ok := take(step.holder, step.at); epoch != step.epoch || ok != step.ok {
				t.Errorf("step %d: epoch %d, %v", i, epoch, ok)
			}
		}
		if err := s.DropLease(t.Context(), "lane", "a"); err != nil {
			t.Fatal(err)
		}
		if _, ok := take("a", 17*time.Second); ok {
			t.Error("a dropped what b holds")
		}
		if err := s.DropLease(t.Context(), "lane", "b"); err != nil {
			t.Fatal(err)
		}
		if epoch, ok := take("a", 18*time.Second); !ok || epoch != 3 {
			t.Errorf("after the drop: epoch %d, %v", epoch, ok)
		}
		if err := s.ForgetLeases(t.Context(), start.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if epoch, ok := take("b", 0); !ok || epoch != 1 {
			t.Errorf("after forgetting: epoch %d, %v", epoch, ok)
		}
	})
}

func TestRepliesAreRememberedAndForgotten(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		update(t, s, func(tx *Tx) error {
			if _, err := tx.Reply("p", "k"); !errors.Is(err, ErrNotFound) {
				t.Errorf("before: %v", err)
			}
			return tx.PutReply("p", "k", Reply{"d", "req-1"}, start)
		})
		if err := s.Update(t.Context(), func(tx *Tx) error { return tx.PutReply("p", "k", Reply{"e", "req-2"}, start) }); err == nil {
			t.Error("a key was used twice")
		}
		update(t, s, func(tx *Tx) error {
			if r, err := tx.Reply("p", "k"); err != nil || r != (Reply{"d", "req-1"}) {
				t.Errorf("%+v, %v", r, err)
			}
			if err := tx.ForgetReplies(start.Add(time.Second)); err != nil {
				return err
			}
			_, err := tx.Reply("p", "k")
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("after: %v", err)
			}
			return nil
		})
	})
}

func TestTheMirrorIsKeptAndOnlyWhatChangedIsWritten(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		o, _, err := org.Describe("o.yaml", []byte("accounts: [{id: 100000000001, name: a, ou: X/Y, tags: {env: prod}}]\npermission-sets: [{name: R}]\npeople: [{user: dana, groups: [g]}, {user: kim}]\n"))
		if err != nil {
			t.Fatal(err)
		}
		o.ReadAt = start
		put := func(o org.Organization) (d Difference) {
			t.Helper()
			update(t, s, func(tx *Tx) error { d, err = tx.PutMirror(o); return err })
			return d
		}
		if d := put(o); d != (Difference{7, 0}) {
			t.Errorf("first: %+v", d)
		}
		o.ReadAt = start.Add(time.Minute)
		if d := put(o); d != (Difference{}) {
			t.Errorf("again: %+v", d)
		}
		o.People = []org.Person{{ID: o.People[0].ID, User: "dana", Status: org.StatusDisabled}}
		if d := put(o); d != (Difference{1, 1}) {
			t.Errorf("changed: %+v", d)
		}
		view(t, s, func(tx *Tx) error {
			got, head, err := tx.Mirror()
			if err != nil || head.Generation != 3 || !head.ReadAt.Equal(o.ReadAt) || !got.ReadAt.Equal(o.ReadAt) {
				t.Errorf("%+v, %v", head, err)
			}
			if got.Instance != o.Instance || len(got.OUs) != 2 || !reflect.DeepEqual(got.Accounts, o.Accounts) || !reflect.DeepEqual(got.People, o.People) || !reflect.DeepEqual(got.PermissionSets, o.PermissionSets) {
				t.Errorf("got %+v\nwant %+v", got, o)
			}
			return nil
		})
		kim := org.Person{ID: "id-kim", User: "kim", Status: org.StatusEnabled}
		update(t, s, func(tx *Tx) error { return tx.PutPerson(kim) })
		view(t, s, func(tx *Tx) error {
			got, head, err := tx.Mirror()
			if err != nil || head.Generation != 4 || !head.ReadAt.Equal(o.ReadAt) || len(got.People) != 2 {
				t.Errorf("after one person: %+v, %v, %d people", head, err, len(got.People))
			}
			return nil
		})
	})
}

func TestWhatWasWrittenIsThereAfterOpeningAgain(t *testing.T) {
	for _, address := range []string{"sqlite:" + filepath.Join(t.TempDir(), "s.db"), judge.Postgres(t)} {
		s, err := Open(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		update(t, s, func(tx *Tx) error { return tx.Apply(asked(t, "req-1", "A"), cause) })
		s.Close()
		s = open(t, address)
		view(t, s, func(tx *Tx) error { _, err := tx.Request("req-1"); return err })
	}
}

func TestReplicasThatStartTogetherMakeTheTablesOnce(t *testing.T) {
	address := judge.Postgres(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			s, err := Open(t.Context(), address)
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	all.Wait()
}

func TestRiversJobsAreInsertedInTheTransaction(t *testing.T) {
	// What River needs of a transaction, without River: a statement that is taken back with it, and one that stays.
	onBoth(t, func(t *testing.T, s *Store) {
		insert := func(tx *Tx, kind string) error {
			const statement = "INSERT INTO replies (person, key, digest, subject, at) VALUES ('p', '%s', '', '', 0)"
			if s.Engine() == SQLite {
				_, err := tx.SQL().Exec(fmt.Sprintf(statement, kind))
				return err
			}
			return tx.PGX(func(p pgx.Tx) error {
				inner, err := p.Begin(t.Context())
				if err != nil {
					return err
				}
				if _, err := inner.Exec(t.Context(), fmt.Sprintf(statement, "inner")); err != nil {
					return err
				}
				if err := inner.Rollback(t.Context()); err != nil {
					return err
				}
				if p.Commit(t.Context()) == nil || p.Rollback(t.Context()) == nil {
					t.Error("River could end our transaction")
				}
				_, err = p.Exec(t.Context(), fmt.Sprintf(statement, kind))
				return err
			})
		}
		if err := s.Update(t.Context(), func(tx *Tx) error { return errors.Join(insert(tx, "gone"), errors.New("back")) }); err == nil {
			t.Fatal("no error")
		}
		update(t, s, func(tx *Tx) error { return insert(tx, "stays") })
		view(t, s, func(tx *Tx) error {
			_, gone := tx.Reply("p", "gone")
			_, inner := tx.Reply("p", "inner")
			_, stays := tx.Reply("p", "stays")
			if !errors.Is(gone, ErrNotFound) || !errors.Is(inner, ErrNotFound) || stays != nil {
				t.Errorf("gone: %v, inner: %v, stays: %v", gone, inner, stays)
			}
			return nil
		})
	})
}

func TestTheFileIsItsOwnersAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.db")
	open(t, "sqlite:"+file)
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestABadAddressIsRefusedWithoutItsPassword(t *testing.T) {
	for _, address := range []string{"mysql://u:hunter2@h/d", "postgres://u:hunter2@127.0.0.1:1/d?connect_timeout=1", "postgres://u:hunter2@h:port/d", "sqlite:/nowhere/at/all/hunter2.db", ""} {
		s, err := Open(t.Context(), address)
		if err == nil {
			s.Close()
			t.Errorf("opened %q", address)
		}
		if strings.HasPrefix(address, "postgres") && err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password is in the error: %v", err)
		}
	}
}
