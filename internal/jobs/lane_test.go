package jobs

import (
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"sparekey/access"
	"sparekey/internal/aws"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/org"
)

func laneOf(outstanding, foreign int) *lane {
	l := newLane(nil, nil, nil, slog.New(slog.NewTextHandler(io.Discard, nil)), Limits{Outstanding: outstanding}, "one")
	l.foreign = foreign
	return l
}

func startOf(n int) access.Grant {
	g := access.Grant{ID: fmt.Sprint("start-", n), State: access.Waiting, Target: access.Place{Target: org.Target{Account: org.AccountID(fmt.Sprint(n))}}}
	g.Way = access.Assignment
	return g
}

func endOf(n int, now time.Time) access.Grant {
	g := startOf(n)
	g.ID, g.State, g.End, g.EndingAt, g.BegunAt, g.ActiveAt = fmt.Sprint("end-", n), access.Ending, &access.EndCause{}, now, now, now
	return g
}

// TestSlotsAreWhatAWSLeaves admits what is due in the lane's order, and looks how much of each kind may begin.
func TestSlotsAreWhatAWSLeaves(t *testing.T) {
	now := rig.Start
	for name, c := range map[string]struct {
		outstanding, foreign, ends, starts, busy int
		wantEnds, wantStarts                     int
	}{
		"one is kept for emergencies":          {10, 0, 30, 0, 0, 9, 0},
		"and one for starts, when there are":   {10, 0, 30, 5, 0, 8, 1},
		"starts take what ends leave":          {10, 0, 2, 30, 0, 2, 7},
		"what is under way counts":             {10, 0, 30, 0, 4, 5, 0},
		"so does what others have under way":   {10, 6, 30, 0, 0, 3, 0},
		"theirs and ours":                      {10, 3, 30, 5, 2, 3, 1},
		"one is tried however much others do":  {10, 40, 30, 30, 0, 1, 0},
		"and no second one":                    {10, 40, 30, 30, 1, 0, 0},
		"a quota of one lets one thing happen": {1, 0, 5, 5, 0, 1, 0},
		"a quota of two":                       {2, 0, 5, 5, 0, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var due, busy []access.Grant
			for n := range c.ends {
				due = append(due, endOf(100+n, now))
			}
			for n := range c.starts {
				due = append(due, startOf(200+n))
			}
			for n := range c.busy {
				g := startOf(300 + n)
				g.State, g.Create = access.Granting, &access.Operation{ID: fmt.Sprint(n), SentAt: now}
				busy = append(busy, g)
			}
			s := laneOf(c.outstanding, c.foreign).slots(due, busy, now)
			ends, starts := 0, 0
			for _, g := range due {
				switch {
				case !s.admit(g, now):
				case g.End != nil:
					ends++
				default:
					starts++
				}
			}
			if ends != c.wantEnds || starts != c.wantStarts {
				t.Errorf("%d ends and %d starts, want %d and %d", ends, starts, c.wantEnds, c.wantStarts)
			}
		})
	}
}

func TestOnlyOneOperationWorksInAnAccount(t *testing.T) {
	now := rig.Start
	first, second := startOf(1), startOf(1)
	second.ID = "another"
	s := laneOf(10, 0).slots([]access.Grant{first, second, startOf(2)}, nil, now)
	if !s.admit(first, now) || s.admit(second, now) || !s.admit(startOf(2), now) {
		t.Error("two operations in one account, or none in another")
	}
}

// TestTheLaneSlowsDownWhileAWSThrottles lets AWS throttle some creates, and looks at the pace.
func TestTheLaneSlowsDownWhileAWSThrottles(t *testing.T) {
	r := rig.New(t, rig.Engines["SQLite"](t), sandbox.Behaviour{})
	k := keep(t, r, "one", Options{})
	const full = 10000 // of the tests
	r.Box.Script(sandbox.Fault{Operation: "CreateAccountAssignment", Kind: sandbox.Throttle, Times: 3})
	id := r.Ask("dana", "play ReadOnly").Lines[0].Grant
	k.until("it is active", 2*time.Minute, k.state(id)(access.Active))
	k.stop() // from here on the lane is the test's
	slow := k.keeper.lane.pace.Limit()
	if slow > full/2 || r.Broker.Throttles() != 3 {
		t.Errorf("after %d throttles the pace is %v a second", r.Broker.Throttles(), slow)
	}
	l := k.keeper.lane
	l.pace.SetLimit(2)
	r.Clock.Advance(easeEvery)
	l.adapt()
	if got := l.pace.Limit(); got != 3 {
		t.Errorf("five seconds later it is %v", got)
	}
	l.adapt()
	if got := l.pace.Limit(); got != 3 {
		t.Errorf("at the same moment it is %v", got)
	}
	l.pace.SetLimit(full - 0.5)
	r.Clock.Advance(easeEvery)
	l.adapt()
	if got := l.pace.Limit(); got != full {
		t.Errorf("it ends at %v", got)
	}
	l.throttles, l.slowed = -1, time.Time{}
	for range 50 {
		l.throttles--
		l.adapt()
	}
	if got := l.pace.Limit(); got != rate.Limit(leastPace) {
		t.Errorf("at the least it is %v", got)
	}
}

// TestOperationsOfOthersAreCounted gives somebody else's operations, and one of a Sparekey that died before it wrote AWS's
// answer down.
func TestOperationsOfOthersAreCounted(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		count := func(want int) {
			t.Helper()
			if n, err := r.Broker.Foreign(t.Context()); err != nil || n != want {
				t.Errorf("%d, %v; want %d", n, err, want)
			}
		}
		count(0)
		others := aws.NewAssignments(r.Connection, aws.NewCenter(r.Connection, r.O.Instance, r.O.IdentityStore))
		for _, who := range []string{"eli", "kim"} {
			if _, err := r.Broker.Directory.Person(t.Context(), r.Person(who).ID); err != nil { // the rig watches that nobody gets access unseen
				t.Fatal(err)
			}
			if _, err := others.Create(t.Context(), access.Key{Way: access.Assignment, Person: r.Person(who).ID, Target: r.Target("play-two", "ReadOnly")}); err != nil {
				t.Fatal(err)
			}
		}
		count(2)
		id := r.Ask("dana", "play PowerUser").Lines[0].Grant
		if _, err := r.Broker.Carry(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if g := r.Grant(id); g.Create == nil || g.Create.ID == "" {
			t.Fatal("nothing of ours is under way")
		}
		count(2)
		r.Clock.Advance(time.Minute)
		count(0)
	})
}
