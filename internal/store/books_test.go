package store

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"sparekey/audit"
	"sparekey/rules"
)

var amy = audit.Actor{Kind: audit.APerson, ID: "id-amy", Name: "amy"}

// proposed is a book that amy proposes some minutes after the start.
func proposed(t *testing.T, id, text string, minutes int) (rules.Turn, []rules.File) {
	t.Helper()
	files := []rules.File{{Name: "b.yaml", Text: []byte(text)}, {Name: "a/ä.yaml", Text: []byte("# <&>\u2028\n")}}
	turn, err := rules.Propose(id, files, &rules.Book{}, "", rules.Effect{}, false, amy, start.Add(time.Duration(minutes)*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return turn, files
}

func TestABookIsKeptWithItsFilesAndItsSteps(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		view(t, s, func(tx *Tx) error {
			if _, err := tx.BookInForce(); !errors.Is(err, ErrNotFound) {
				t.Errorf("before the first: %v", err)
			}
			return nil
		})
		one, files := proposed(t, "rules-1", "one", 1)
		two, others := proposed(t, "rules-2", "two", 2)
		update(t, s, func(tx *Tx) error {
			if err := tx.PutBook(two, others, cause); err != nil {
				return err
			}
			return tx.PutBook(one, files, cause)
		})
		view(t, s, func(tx *Tx) error {
			got, err := tx.BookFiles("rules-1")
			if err != nil || !reflect.DeepEqual(got, files) {
				t.Errorf("files %q, %v", got, err)
			}
			if _, err := tx.BookFiles("rules-9"); !errors.Is(err, ErrNotFound) {
				t.Errorf("files of none: %v", err)
			}
			open, err := tx.OpenBooks()
			if err != nil || len(open) != 2 || !reflect.DeepEqual(open[0], one.Proposal) || open[1].ID != "rules-2" {
				t.Errorf("open: %+v, %v", open, err)
			}
			if all, err := tx.ActivatedBooks(10); err != nil || len(all) != 0 {
				t.Errorf("activated: %+v, %v", all, err)
			}
			return nil
		})
		active, err := one.Activate(amy, "", start.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		update(t, s, func(tx *Tx) error { return tx.PutBook(active, nil, cause) })
		view(t, s, func(tx *Tx) error {
			now, err := tx.BookInForce()
			if err != nil || !reflect.DeepEqual(now, active.Proposal) {
				t.Errorf("in force: %+v, %v", now, err)
			}
			if all, err := tx.ActivatedBooks(10); err != nil || len(all) != 1 || all[0].ID != "rules-1" {
				t.Errorf("activated: %+v, %v", all, err)
			}
			if of, err := tx.BooksOfDigest(one.Digest, 10); err != nil || len(of) != 1 || of[0].State != rules.StateInForce {
				t.Errorf("of the digest: %+v, %v", of, err)
			}
			events, err := tx.EventsOf(audit.Subject{Kind: "rules", ID: "rules-1"})
			if err != nil || len(events) != 2 || events[0].Kind != "rules.proposed" || events[1].Kind != "rules.activated" || events[1].Before.Digest != events[0].After.Digest {
				t.Errorf("events: %+v, %v", events, err)
			}
			return nil
		})
		if err := s.Update(t.Context(), func(tx *Tx) error { return tx.PutBook(active, nil, cause) }); !errors.Is(err, ErrChanged) {
			t.Errorf("the same step again: %v", err)
		}
	})
}

func TestTheDatabaseItselfRefusesASecondBookInForce(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		for i, id := range []string{"rules-1", "rules-2"} {
			turn, files := proposed(t, id, id, i)
			err := s.Update(t.Context(), func(tx *Tx) error {
				if err := tx.PutBook(turn, files, cause); err != nil {
					return err
				}
				active, err := turn.Activate(amy, "", start)
				if err != nil {
					return err
				}
				return tx.PutBook(active, nil, cause)
			})
			if (err != nil) != (i == 1) {
				t.Errorf("%s: %v", id, err)
			}
		}
		view(t, s, func(tx *Tx) error {
			if _, err := tx.Book("rules-2"); !errors.Is(err, ErrNotFound) {
				t.Errorf("something of the second is left: %v", err)
			}
			return nil
		})
	})
}
