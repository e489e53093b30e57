package jobs

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/internal/sandbox/world"
	"sparekey/internal/store"
	"sparekey/org"
)

// BenchmarkEnding1200 ends 1,200 grants at once, of two people in 300 accounts, while an operation of AWS takes 30 s. Time is
// compressed: the lane carries one grant after the other, and the clock goes to the next moment at which it would look.
func BenchmarkEnding1200(b *testing.B) {
	for b.Loop() {
		r := rig.New(b, rig.Engines["SQLite"](b), sandbox.Behaviour{})
		if _, err := r.Store.SQLite().ExecContext(b.Context(), "PRAGMA synchronous=OFF"); err != nil {
			b.Fatal(err)
		}
		r.Describe(rig.Crowded(300, 2), sandbox.Behaviour{})
		grants, given := rig.Crowd(r.O, r.Clock.Now().Truncate(time.Millisecond), func(int) int { return 30 })
		if err := rig.Put(b.Context(), r.Store, grants); err != nil {
			b.Fatal(err)
		}
		r.Sandboxed(sandbox.Behaviour{AssignmentTakes: 30 * time.Second}, given...)
		r.Clock.Advance(30 * time.Minute)
		busy, took := endAll(b, r, atOnce)
		b.ReportMetric(float64(len(grants)), "grants")
		b.ReportMetric(100*busy, "slots-busy-%")
		b.ReportMetric(took.Minutes(), "AWS-min")
	}
}

// endAll does all that is due, and says which share of the slots was busy in the time that it took.
func endAll(b testing.TB, r *rig.Rig, window int) (busy float64, took time.Duration) {
	l := newLane(r.Broker, r.Store, r.Clock, slog.New(slog.DiscardHandler), Limits{CallsPerSecond: 1e12}, "one")
	l.begin, l.atOnce, l.window = func(work func()) { work() }, window, window
	r.Broker.Keep(held{l})
	left := func() (n int) {
		err := r.Store.View(b.Context(), func(tx *store.Tx) error {
			for g, err := range tx.LiveGrants() {
				if err != nil {
					return err
				}
				if g.State == access.Stuck {
					b.Fatalf("it is stuck: %s", rig.Story(g))
				}
				n++
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	hopeless := r.Clock.Now().Add(10 * time.Hour)
	for turns := 0; turns%100 != 0 || left() > 0; turns++ {
		if r.Clock.Now().After(hopeless) {
			b.Fatalf("ten hours later %d are still live", left())
		}
		wait := lookEvery
		if l.renew(b.Context()) {
			wait = l.turn(b.Context())
		}
		if len(l.carrying) == 0 {
			r.Clock.Advance(wait)
		}
		for len(l.carrying) > 0 {
			l.finish(<-l.done)
		}
	}
	if left := r.Box.Assignments(); len(left) > 0 {
		b.Fatalf("%d assignments are left", len(left))
	}
	var first, last time.Time
	var work time.Duration
	for _, op := range r.Box.State().Operations {
		if first.IsZero() || op.Accepted.Before(first) {
			first = op.Accepted
		}
		if op.Ended.After(last) {
			last = op.Ended
		}
		work += op.Ended.Sub(op.Accepted)
	}
	took = last.Sub(first)
	return work.Seconds() / (took.Seconds() * float64(l.limits.Outstanding-1)), took
}

// More ends at once than the lane looks at in one turn: what AWS has under way is not hidden by what waits, and a start gets
// its turn before they are done.
func TestVeryManyEndsHideNothing(t *testing.T) {
	r := rig.New(t, rig.Engines["SQLite"](t), sandbox.Behaviour{})
	r.Describe(rig.Crowded(12, 1), sandbox.Behaviour{})
	grants, given := rig.Crowd(r.O, r.Clock.Now().Truncate(time.Millisecond), func(int) int { return 30 })
	given = slices.DeleteFunc(given, func(a org.Assignment) bool { return a.Target == grants[len(grants)-1].Target.Target })
	start := grants[len(grants)-1]
	start.State, start.Held, start.Create, start.BegunAt, start.ActiveAt, start.EndsAt, start.HardEnd = access.Waiting, "", nil, time.Time{}, time.Time{}, time.Time{}, time.Time{}
	start.StartAt = r.Clock.Now().Add(30 * time.Minute).Truncate(time.Millisecond)
	start.NextTry = start.StartAt
	grants[len(grants)-1] = start
	if err := rig.Put(t.Context(), r.Store, grants); err != nil {
		t.Fatal(err)
	}
	r.Sandboxed(sandbox.Behaviour{AssignmentTakes: 30 * time.Second}, given...)
	r.Clock.Advance(30 * time.Minute)
	endAll(t, r, 5)
	var begun, last time.Time
	for _, op := range r.Box.State().Operations {
		switch {
		case op.Kind == world.Create:
			begun = op.Accepted
		case op.Accepted.After(last):
			last = op.Accepted
		}
	}
	if begun.IsZero() || !begun.Before(last) {
		t.Errorf("it was begun at %s, and the last end at %s", begun, last)
	}
}

// More ends in one account than the lane looks at in one turn, of which one after the other can be under way: those of another
// account do not wait for them.
func TestManyEndsInOneAccountHideNoOthers(t *testing.T) {
	r := rig.New(t, rig.Engines["SQLite"](t), sandbox.Behaviour{})
	r.Describe(rig.Crowded(2, 6), sandbox.Behaviour{})
	grants, given := rig.Crowd(r.O, r.Clock.Now().Truncate(time.Millisecond), func(int) int { return 30 })
	if err := rig.Put(t.Context(), r.Store, grants); err != nil {
		t.Fatal(err)
	}
	r.Sandboxed(sandbox.Behaviour{AssignmentTakes: 30 * time.Second}, given...)
	r.Clock.Advance(30 * time.Minute)
	endAll(t, r, 3)
	first := map[org.AccountID]time.Time{}
	for _, op := range r.Box.State().Operations {
		if at := first[op.Account]; at.IsZero() || op.Accepted.Before(at) {
			first[op.Account] = op.Accepted
		}
	}
	one, other := first[grants[0].Target.Account], first[grants[len(grants)-1].Target.Account]
	if other.Sub(one).Abs() > 30*time.Second {
		t.Errorf("the first of one account ended at %s, of the other at %s", one, other)
	}
}

// held is a lane that the broker asks whether it is held.
type held struct{ *lane }

func (h held) Promise(*store.Tx, []access.Promise) error { return nil }
func (h held) Holds() bool                               { return h.holds() }

var (
	_ broker.Promises = held{}
)
