package broker_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
)

// restored is a broker over a database that was restored from a backup, on the same AWS and the same second place.
func restored(t *testing.T, r *rig.Rig, e *elsewhere, address string, backup []byte) {
	t.Helper()
	if _, err := store.Restore(t.Context(), address, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(backup)), nil }, store.Shared()); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), address, store.Shared())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	parts := r.Broker.Parts
	parts.Store = s
	b, err := broker.New(parts)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Begin(r.As("sparekey"), rig.Files(rig.Book), nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Refresh(r.As("sparekey")); err != nil {
		t.Fatal(err)
	}
	r.Store, r.Broker = s, b
}

// TestARestoredBackupEndsWhatItNeverKnew restores a backup from before most of what happened: one grant is in it and not yet
// begun, one is not in it at all, one is active in it and was to end early, and one waits in it for good.
func TestARestoredBackupEndsWhatItNeverKnew(t *testing.T) {
	for name, address := range rig.Engines {
		t.Run(name, func(t *testing.T) {
			r := rig.New(t, address(t), sandbox.Behaviour{})
			e := withLedger(r)
			beat(t, r)
			old := r.Ask("kim", "play ReadOnly").Lines[0].Grant
			r.Become(old, access.Active, time.Minute)
			waiting := r.Ask("dana", "play ReadOnly").Lines[0].Grant
			var backup bytes.Buffer
			if err := r.Store.Backup(t.Context(), &backup, r.Clock.Now()); err != nil {
				t.Fatal(err)
			}
			r.Become(waiting, access.Active, time.Minute)
			unknown := r.Ask("eli", "play-two ReadOnly").Lines[0].Grant
			r.Become(unknown, access.Active, time.Minute)
			beat(t, r)
			before, left := creates(r), e.ledger(t)
			restored(t, r, e, address(t), backup.Bytes())

			if err := r.Broker.Beat(r.As("sparekey")); err == nil || !strings.Contains(err.Error(), "the database is behind") {
				t.Fatal(err)
			}
			for _, id := range []string{old, waiting, unknown} {
				if g := r.Grant(id); g.State != access.Active || g.EndsAt.After(left.WrittenAt.Add(time.Hour)) {
					t.Errorf("%s", rig.Story(g))
				}
			}
			if g := r.Grant(unknown); g.Person.User != "eli" || g.Target.AccountName != "play-two" {
				t.Errorf("%s", rig.Story(g))
			}
			_, err := r.Broker.Ask(r.As("dana"), broker.Wish{Targets: []broker.Names{{Account: "play", PermissionSet: "PowerUser"}}, Duration: time.Hour, Key: "in-recovery"})
			refusedWith(t, err, access.ErrUnavailable, "the database is behind what was written outside of it")
			r.Pass(2 * time.Hour)
			for _, held := range [][2]string{{"kim", "play"}, {"dana", "play"}, {"eli", "play-two"}} {
				if r.Box.Assigned(r.Assignment(held[0], held[1], "ReadOnly")) {
					t.Errorf("%s still has %s", held[0], held[1])
				}
			}
			for _, id := range []string{old, waiting, unknown} {
				if g := r.Grant(id); g.State != access.Verified {
					t.Errorf("%s", rig.Story(g))
				}
				r.Chained(id, r.Grant(id))
			}
			if n := creates(r); n != before {
				t.Errorf("%d creates in recovery", n-before)
			}
			if l := e.ledger(t); l.Seq != left.Seq || !l.WrittenAt.Equal(left.WrittenAt) {
				t.Errorf("what stood in the second place was replaced: %+v", l)
			}
			releasedByTwo(t, r, e, left)
		})
	}
}

// TestADatabaseThatLostEventsAndHasGoneOnIsBehind has a restored database record more than it lost before it is compared with what
// stands in the second place: a standby that is promoted while everybody works does so.
func TestADatabaseThatLostEventsAndHasGoneOnIsBehind(t *testing.T) {
	for name, address := range rig.Engines {
		t.Run(name, func(t *testing.T) {
			r := rig.New(t, address(t), sandbox.Behaviour{})
			e := withLedger(r)
			beat(t, r)
			var backup bytes.Buffer
			if err := r.Store.Backup(t.Context(), &backup, r.Clock.Now()); err != nil {
				t.Fatal(err)
			}
			unknown := r.Ask("eli", "play-two ReadOnly").Lines[0].Grant
			r.Become(unknown, access.Active, time.Minute)
			beat(t, r)
			left := e.ledger(t)
			restored(t, r, e, address(t), backup.Bytes())
			for r.Head() <= left.Seq {
				if err := r.Store.Update(r.As("sparekey"), func(tx *store.Tx) error {
					return tx.Append(audit.From(r.As("sparekey")), audit.Event{At: r.Clock.Now(), Kind: "api.tried", Actor: audit.Actor{Kind: "sparekey", ID: "test"}, Subject: audit.Subject{Kind: "api"}})
				}); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Broker.Beat(r.As("sparekey")); err == nil || !strings.Contains(err.Error(), "the database is behind") {
				t.Fatal(err)
			}
			r.Pass(2 * time.Hour)
			if g := r.Grant(unknown); g.State != access.Verified || r.Box.Assigned(r.Assignment("eli", "play-two", "ReadOnly")) {
				t.Errorf("%s", rig.Story(g))
			}
		})
	}
}

// releasedByTwo releases a recovery, which one administrator alone does not.
func releasedByTwo(t *testing.T, r *rig.Rig, e *elsewhere, left access.Ledger) {
	t.Helper()
	if _, err := r.Broker.ReleaseRecovery(r.As("dana"), "looked"); err == nil {
		t.Error("dana, who administers nothing, releases it")
	}
	for range 2 { // the second time is refused
		v, err := r.Broker.ReleaseRecovery(r.As("amy"), "looked at AWS")
		if err == nil && v.State != access.Recovering {
			t.Errorf("one releases it: %+v", v)
		}
	}
	if s, _ := r.Broker.Status(r.As("amy")); !strings.Contains(s.Halted, "two administrators release it") {
		t.Errorf("%+v", s)
	}
	v, err := r.Broker.ReleaseRecovery(r.As("lee"), "looked at it as well")
	if err != nil || v.State != access.Released || v.Epoch != left.Epoch+1 || v.Taken != 2 || v.Cancel != 0 {
		t.Fatalf("%+v, %v", v, err)
	}
	if l := e.ledger(t); l.Epoch != v.Epoch || l.Seq != r.Head() {
		t.Errorf("%+v", l)
	}
	r.Become(r.Ask("dana", "play ReadOnly").Lines[0].Grant, access.Active, 2*time.Minute)
	kinds := kindsOf(r.Events(0))
	for _, kind := range []string{"recovery.begun", "recovery.agreed", "recovery.released", "grant.recovered"} {
		if !strings.Contains(strings.Join(kinds, " "), kind) {
			t.Errorf("%s is not in the record", kind)
		}
	}
}

// TestWhatHadNotBegunIsCancelledInARecovery: it may have begun, and ended, after the backup.
func TestWhatHadNotBegunIsCancelledInARecovery(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		e := withLedger(r)
		beat(t, r)
		waiting := r.Ask("dana", "play ReadOnly").Lines[0].Grant
		text, err := access.Ledger{Epoch: 1, Seq: r.Head() + 10, WrittenAt: r.Clock.Now()}.Sign(ledgerKey)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Put(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		if err := r.Broker.Beat(r.As("sparekey")); err == nil {
			t.Error("the database is not behind")
		}
		r.Pass(time.Minute)
		if g := r.Grant(waiting); g.State != access.Ended || creates(r) != 0 {
			t.Errorf("%s", rig.Story(g))
		}
	})
}

// TestALedgerOfAnotherKeyIsLeftAlone: nothing starts, and it is not replaced.
func TestALedgerOfAnotherKeyIsLeftAlone(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		e := withLedger(r)
		if err := e.Put(t.Context(), []byte("something else")); err != nil {
			t.Fatal(err)
		}
		if err := r.Broker.Beat(r.As("sparekey")); err == nil {
			t.Error("it was written over")
		}
		if s, _ := r.Broker.Status(r.As("amy")); !strings.Contains(s.Halted, "not signed with the key of this Sparekey") || string(e.text) != "something else" {
			t.Errorf("%+v", s)
		}
	})
}
