package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/judge"
	"sparekey/org"
)

var start = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

// onBoth runs a test over an empty store of each engine.
func onBoth(t *testing.T, test func(t *testing.T, s *Store)) {
	t.Run("SQLite", func(t *testing.T) { test(t, open(t, "sqlite:"+filepath.Join(t.TempDir(), "s.db"))) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, open(t, judge.Postgres(t))) })
}

func open(t *testing.T, address string) *Store {
	t.Helper()
	s, err := Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func update(t *testing.T, s *Store, fn func(tx *Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func view(t *testing.T, s *Store, fn func(tx *Tx) error) {
	t.Helper()
	if err := s.View(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

var dana = access.Named{ID: "id-dana", User: "dana"}

func place(set string) access.Place {
	return access.Place{Target: org.Target{Account: "100000000001", PermissionSet: "arn:" + set}, AccountName: "prod", PermissionSetName: set}
}

// asked is a change that makes a request and, for each set, a waiting grant.
func asked(t testing.TB, id string, sets ...string) access.Change {
	t.Helper()
	r := access.Request{ID: id, Version: 1, Requester: dana, Minutes: 30, AskedAt: start, LapsesAt: start.Add(access.LapseAfter)}
	for i, set := range sets {
		r.Lines = append(r.Lines, access.Line{Number: i + 1, State: access.Pending, Target: place(set)})
	}
	c := access.Change{Request: &r, Events: []audit.Event{made(t, "request.asked", "request", id, 1, r)}}
	for i, set := range sets {
		g := access.Grant{
			ID: fmt.Sprintf("g-%s-%d", id, i+1), Version: 1, State: access.Waiting, Request: id, Line: i + 1, Person: dana, Terms: access.Terms{Way: access.Assignment},
			Target: place(set), Minutes: 30, ApprovedAt: start, NextTry: start.Add(time.Duration(i) * time.Second),
		}
		c.Grants = append(c.Grants, g)
		c.Events = append(c.Events, made(t, "grant.approved", "grant", g.ID, 1, g))
	}
	return c
}

func made(t testing.TB, kind, subject, id string, version int64, body any) audit.Event {
	t.Helper()
	after, err := audit.ImageOf("", version, body)
	if err != nil {
		t.Fatal(err)
	}
	e := audit.Event{At: start, Kind: kind, Actor: audit.Actor{Kind: audit.APerson, ID: string(dana.ID), Name: dana.User}, Subject: audit.Subject{Kind: subject, ID: id}, After: after}
	if version > 1 {
		e.Before = &audit.Image{Version: version - 1, Digest: "sha256:before"}
	}
	return e
}

var cause = audit.Cause{Actor: audit.Actor{Kind: audit.APerson, ID: "id-dana", Key: "k1"}, Request: "sha256:asked"}

func TestAChangeIsKeptWholeWithItsEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		c := asked(t, "req-1", "ReadOnly", "Admin")
		update(t, s, func(tx *Tx) error { return tx.Apply(c, cause) })
		view(t, s, func(tx *Tx) error {
			r, err := tx.Request("req-1")
			if err != nil || !reflect.DeepEqual(r, *c.Request) {
				t.Errorf("got %+v, %v\nwant %+v", r, err, *c.Request)
			}
			g, err := tx.Grant("g-req-1-2")
			if err != nil || !reflect.DeepEqual(g, c.Grants[1]) {
				t.Errorf("got %+v, %v\nwant %+v", g, err, c.Grants[1])
			}
			events, err := tx.EventsAfter(0, 10)
			if err != nil || len(events) != 3 || events[0].Seq != 1 || events[2].Seq != 3 || events[0].Kind != "request.asked" || events[0].Actor.Key != "k1" || events[0].Request != "sha256:asked" {
				t.Errorf("%d events, %v: %+v", len(events), err, events)
			}
			of, err := tx.EventsOf(audit.Subject{Kind: "grant", ID: "g-req-1-1"})
			if err != nil || len(of) != 1 || of[0].Seq != 2 {
				t.Errorf("%+v, %v", of, err)
			}
			if audit.DigestOf(mustCanonical(t, g)) != events[2].After.Digest {
				t.Error("the row is not what its last event says")
			}
			return nil
		})
	})
}

func mustCanonical(t *testing.T, v any) []byte {
	t.Helper()
	text, err := audit.Canonical(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestAFailedTransactionLeavesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		boom := errors.New("boom")
		err := s.Update(t.Context(), func(tx *Tx) error {
			if err := tx.Apply(asked(t, "req-1", "ReadOnly"), cause); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		view(t, s, func(tx *Tx) error {
			if _, err := tx.Request("req-1"); !errors.Is(err, ErrNotFound) {
				t.Errorf("the request: %v", err)
			}
			if head, err := tx.Head(); head != 0 || err != nil {
				t.Errorf("head %d, %v", head, err)
			}
			return nil
		})
	})
}

func TestAnOldVersionChangesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		c := asked(t, "req-1", "ReadOnly")
		update(t, s, func(tx *Tx) error { return tx.Apply(c, cause) })
		second := func() access.Change {
			g := c.Grants[0]
			g.Version, g.State = 2, access.Granting
			g.BegunAt, g.HardEnd = start, start.Add(time.Hour)
			return access.Change{Grants: []access.Grant{g}, Events: []audit.Event{made(t, "grant.begun", "grant", g.ID, 2, g)}}
		}
		update(t, s, func(tx *Tx) error { return tx.Apply(second(), cause) })
		if err := s.Update(t.Context(), func(tx *Tx) error { return tx.Apply(second(), cause) }); !errors.Is(err, ErrChanged) {
			t.Errorf("the same change again: %v", err)
		}
		if err := s.Update(t.Context(), func(tx *Tx) error { return tx.Apply(c, cause) }); err == nil {
			t.Error("a request was made twice")
		}
		view(t, s, func(tx *Tx) error {
			if head, _ := tx.Head(); head != 3 {
				t.Errorf("%d events, want 3", head)
			}
			return nil
		})
	})
}

func TestWritersAtOnceLeaveALogWithoutGaps(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		const writers, each = 6, 15
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for i := range each {
					fail := i%5 == 4
					err := s.Update(context.Background(), func(tx *Tx) error {
						if err := tx.Apply(asked(t, fmt.Sprintf("req-%d-%d", w, i), "ReadOnly"), cause); err != nil {
							return err
						}
						if fail {
							return errors.New("not this one")
						}
						return nil
					})
					if (err != nil) != fail {
						t.Errorf("writer %d, %d: %v", w, i, err)
					}
				}
			})
		}
		all.Wait()
		view(t, s, func(tx *Tx) error {
			events, err := tx.EventsAfter(0, 1000)
			if err != nil || len(events) != writers*each*4/5*2 {
				t.Fatalf("%d events, %v", len(events), err)
			}
			for i, e := range events {
				if e.Seq != int64(i+1) {
					t.Fatalf("event %d has the place %d", i, e.Seq)
				}
			}
			return nil
		})
	})
}

func TestTheDatabaseItselfRefusesToChangeAnEvent(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		update(t, s, func(tx *Tx) error { return tx.Apply(asked(t, "req-1"), cause) })
		for _, statement := range []string{"UPDATE events SET body = 'x'", "DELETE FROM events"} {
			if _, err := s.write.Exec(statement); err == nil || !strings.Contains(err.Error(), "events are never") {
				t.Errorf("%s: %v", statement, err)
			}
		}
	})
}

func TestAViewCannotWrite(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		if err := s.View(t.Context(), func(tx *Tx) error { return tx.PutReply("p", "k", Reply{"d", "s"}, start) }); err == nil {
			t.Error("a view wrote")
		}
	})
}

func TestLiveGrantsAreReadSomeAtATimeAndNoneTwice(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		want := map[string]bool{}
		for i := range liveAtOnce/200 + 1 { // one page and a part of another
			targets := make([]string, 200)
			for j := range targets {
				targets[j] = fmt.Sprint("A", j)
			}
			c := asked(t, fmt.Sprint("req-", i), targets...)
			c.Grants[0].State, c.Grants[0].EndedAt = access.Ended, start
			for _, g := range c.Grants[1:] {
				want[g.ID] = true
			}
			update(t, s, func(tx *Tx) error { return tx.Apply(c, cause) })
		}
		view(t, s, func(tx *Tx) error {
			for range tx.LiveGrants() {
				break // nothing is left open
			}
			for g, err := range tx.LiveGrants() {
				if err != nil || !want[g.ID] {
					t.Fatalf("%s, %v", g.ID, err)
				}
				delete(want, g.ID)
			}
			return nil
		})
		if len(want) > 0 {
			t.Errorf("%d were left out", len(want))
		}
		gone, cancel := context.WithCancel(t.Context())
		view(t, s, func(tx *Tx) error {
			tx.ctx = gone
			cancel()
			for g, err := range tx.LiveGrants() {
				if err == nil {
					t.Errorf("%s was read with a context that is over", g.ID)
				}
			}
			return nil
		})
	})
}

func TestDueGrantsComeMostUrgentFirst(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		c := asked(t, "req-1", "A", "B", "C", "D")
		ending := &c.Grants[2]
		ending.State, ending.BegunAt, ending.HardEnd, ending.End = access.Ending, start, start.Add(time.Hour), &access.EndCause{At: start}
		ending.EndingAt, ending.NextTry = start, start.Add(2*time.Second)
		c.Grants[3].State, c.Grants[3].EndedAt = access.Ended, start // nothing was done in AWS: it is over
		update(t, s, func(tx *Tx) error { return tx.Apply(c, cause) })
		view(t, s, func(tx *Tx) error {
			due, err := tx.DueGrants(start.Add(2*time.Second), 10)
			if err != nil || len(due) != 3 || due[0].ID != "g-req-1-3" || due[1].ID != "g-req-1-1" || due[2].ID != "g-req-1-2" {
				t.Errorf("%v, %v", ids(due), err)
			}
			if some, err := tx.DueGrants(start.Add(2*time.Second), 1); err != nil || len(some) != 2 || some[0].ID != "g-req-1-3" || some[1].ID != "g-req-1-1" {
				t.Errorf("one of each urgency: %v, %v", ids(some), err)
			}
			if one, _ := tx.DueGrants(start, 10); len(one) != 1 || one[0].ID != "g-req-1-1" {
				t.Errorf("at the start: %v", ids(one))
			}
			if next, err := tx.NextDue(start); err != nil || !next.Equal(start.Add(time.Second)) {
				t.Errorf("next %s, %v", next, err)
			}
			if next, err := tx.NextDue(start.Add(time.Hour)); err != nil || !next.IsZero() {
				t.Errorf("after everything: %s, %v", next, err)
			}
			if live, err := tx.LiveGrantsOf(dana.ID); err != nil || len(live) != 3 {
				t.Errorf("live of dana: %v, %v", ids(live), err)
			}
			key, _ := tx.GrantsOfKey(c.Grants[0].Key())
			over, _ := tx.GrantsOfKey(c.Grants[3].Key())
			if len(key) != 1 || key[0].ID != "g-req-1-1" || len(over) != 0 {
				t.Errorf("of the key %v, of one that is over %v", ids(key), ids(over))
			}
			if of, _ := tx.GrantsOf(dana.ID, 2); len(of) != 2 || of[0].ID != "g-req-1-4" {
				t.Errorf("of dana: %v", ids(of))
			}
			if of, _ := tx.GrantsOfRequest("req-1"); len(of) != 4 {
				t.Errorf("of the request: %v", ids(of))
			}
			if recent, _ := tx.RecentGrants(1); len(recent) != 1 {
				t.Errorf("recent: %v", ids(recent))
			}
			return nil
		})
	})
}

func ids(grants []access.Grant) []string {
	var all []string
	for _, g := range grants {
		all = append(all, g.ID)
	}
	return all
}

func TestOpenRequestsAreThoseThatWait(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		update(t, s, func(tx *Tx) error { return tx.Apply(asked(t, "req-1", "A"), cause) })
		update(t, s, func(tx *Tx) error { return tx.Apply(asked(t, "req-2", "A"), cause) })
		update(t, s, func(tx *Tx) error {
			r, err := tx.Request("req-1")
			if err != nil {
				return err
			}
			c, err := r.Withdraw(audit.Actor{Kind: audit.APerson, ID: string(dana.ID)}, "", start)
			if err != nil {
				return err
			}
			return tx.Apply(c, cause)
		})
		view(t, s, func(tx *Tx) error {
			if open, err := tx.OpenRequests(); err != nil || len(open) != 1 || open[0].ID != "req-2" {
				t.Errorf("%+v, %v", open, err)
			}
			if of, err := tx.RequestsOf(dana.ID, 10); err != nil || len(of) != 2 || of[0].ID != "req-2" {
				t.Errorf("%+v, %v", of, err)
			}
			return nil
		})
	})
}

// TestTheDatabasesClockIsAskedFor compares with this machine's, on which the database of the tests runs.
func TestTheDatabasesClockIsAskedFor(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		off, err := s.ClockOffset(t.Context())
		if err != nil || off.Abs() > time.Second || s.Engine() == SQLite && off != 0 {
			t.Errorf("%s, %v", off, err)
		}
		s.Close()
		if _, err := s.ClockOffset(t.Context()); (err == nil) != (s.Engine() == SQLite) {
			t.Errorf("of a closed database: %v", err)
		}
	})
}

func TestKillsAreKeptAndListed(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		var changes []access.Change
		for i := range 3 {
			g := access.Grant{ID: fmt.Sprintf("g-%d", i), Person: dana, Target: place("Set")}
			c, err := access.WantKill(fmt.Sprintf("kill-%d", i), []access.Grant{g}, "", audit.Actor{Kind: audit.APerson, ID: "amy"}, "stolen", start.Add(time.Duration(i)*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			changes = append(changes, c)
			update(t, s, func(tx *Tx) error { return tx.Apply(c, audit.Cause{}) })
		}
		later, err := changes[0].Kills[0].Told(access.KillPolicy{}, start.Add(time.Hour))
		if err != nil || later.Kills[0].Open() {
			t.Fatalf("%+v, %v", later, err)
		}
		update(t, s, func(tx *Tx) error { return tx.Apply(later, audit.Cause{}) })
		if err := s.Update(t.Context(), func(tx *Tx) error { return tx.Apply(later, audit.Cause{}) }); !errors.Is(err, ErrChanged) {
			t.Errorf("the same again: %v", err)
		}
		view(t, s, func(tx *Tx) error {
			k, err := tx.Kill("kill-0")
			if !reflect.DeepEqual(k, later.Kills[0]) {
				t.Errorf("%+v\nnot %+v", k, later.Kills[0])
			}
			open, err1 := tx.OpenKills()
			first, err2 := tx.KillsBefore("", Page{}, 2)
			rest, err3 := tx.KillsBefore(dana.ID, Page{At: first[1].WantedAt, ID: first[1].ID}, 2)
			none, err4 := tx.KillsBefore("id-kim", Page{}, 2)
			if len(open) != 2 || open[0].ID != "kill-1" || len(first) != 2 || first[0].ID != "kill-2" || len(rest) != 1 || rest[0].ID != "kill-0" || len(none) != 0 {
				t.Errorf("%+v %+v %+v %+v", open, first, rest, none)
			}
			if _, err := tx.Kill("kill-9"); !errors.Is(err, ErrNotFound) {
				t.Error(err)
			}
			return errors.Join(err, err1, err2, err3, err4)
		})
	})
}

func TestAnchorsAreKeptApartFromGroupsThatLend(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		g := access.LentGroup{Target: place("Set"), Name: "sparekey anchor", MadeAt: start, Anchor: true}
		update(t, s, func(tx *Tx) error { return errors.Join(tx.PutAnchor(g), tx.PutAnchor(g)) })
		view(t, s, func(tx *Tx) error {
			got, err := tx.Anchor(g.Target.Target)
			all, err1 := tx.Anchors()
			if !reflect.DeepEqual(got, g) || len(all) != 1 {
				t.Errorf("%+v %+v", got, all)
			}
			if _, err := tx.LentGroup(g.Target.Target); !errors.Is(err, ErrNotFound) {
				t.Error(err)
			}
			return errors.Join(err, err1)
		})
	})
}
