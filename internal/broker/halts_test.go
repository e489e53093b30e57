package broker_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
)

const full = "the disk of the database is nearly full"

// countOf counts the events of a kind after a place in the log.
func countOf(r *rig.Rig, after int64, kind string) int {
	n := 0
	for _, k := range kindsOf(r.Events(after)) {
		if k == kind {
			n++
		}
	}
	return n
}

// creates counts the calls that begin to give access.
func creates(r *rig.Rig) int {
	return strings.Count(strings.Join(r.Calls(), " "), "CreateAccountAssignment")
}

func TestAHaltStopsRequestsAndStartsAndNothingThatEnds(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		held := r.Ask("dana", "play ReadOnly").Lines[0].Grant
		r.Become(held, access.Active, time.Minute)
		rejected, approved := r.Ask("dana", "payments-prod ReadOnly").ID, r.Ask("eli", "payments-prod ReadOnly").ID
		waiting := r.Ask("eli", "play-two ReadOnly").Lines[0].Grant
		before, head := creates(r), r.Head()

		r.Halt(full)
		for range 3 {
			_, err := r.Broker.Ask(r.As("dana"), broker.Wish{Targets: []broker.Names{{Account: "play", PermissionSet: "PowerUser"}}, Duration: time.Hour, Key: "while-it-is-full"})
			refusedWith(t, err, access.ErrUnavailable, full)
		}
		if s, err := r.Broker.Status(r.As("dana")); err != nil || s.Halted != full {
			t.Errorf("%+v, %v", s, err)
		}
		if _, err := r.Broker.Reject(r.As("kim"), rejected, ""); err != nil {
			t.Error("a rejection is refused:", err)
		}
		if _, err := r.Broker.Approve(r.As("kim"), approved, "", 0); err != nil {
			t.Error("an approval is refused:", err)
		}
		r.Pass(5 * time.Minute)
		if _, err := r.Broker.End(r.As("dana"), held, ""); err != nil {
			t.Error("an end is refused:", err)
		}
		r.Become(held, access.Ended, time.Minute)
		g := r.Grant(waiting)
		if g.State != access.Waiting || g.Trouble != full || creates(r) != before {
			t.Errorf("%d creates while halted; %s", creates(r)-before, rig.Story(g))
		}
		if n := countOf(r, head, "grant.postponed"); n != 2 {
			t.Errorf("that two grants wait is recorded %d times in five minutes", n)
		}
		if countOf(r, head, "starts.halted") != 1 || countOf(r, head, "request.refused") != 0 || strings.Count(r.Log.String(), "nothing starts until") != 1 {
			t.Errorf("it is not said once: %v\n%s", kindsOf(r.Events(head)), r.Log)
		}

		r.Halt("")
		r.Become(waiting, access.Active, 2*time.Minute)
		if s, _ := r.Broker.Status(r.As("dana")); s.Halted != "" || countOf(r, head, "starts.resumed") != 1 {
			t.Errorf("%+v, %v", s, kindsOf(r.Events(head)))
		}
		r.Chained(waiting, r.Grant(waiting))
	})
}

// TestAHaltBetweenTheIntentAndTheCreate begins while the person is looked at for the second time, and when AWS did not
// answer a create: nothing is created any more, what was created is found, and the end comes in any case.
func TestAHaltBetweenTheIntentAndTheCreate(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		looks := 0
		r.Before(func(operation string) {
			if operation == "DescribeUser" {
				if looks++; looks == 2 {
					r.Halt(full)
				}
			}
		})
		id := r.Ask("dana", "play ReadOnly").Lines[0].Grant
		r.Pass(2 * time.Minute)
		if g := r.Grant(id); looks < 2 || creates(r) != 0 || g.State != access.Granting || g.Trouble != full {
			t.Errorf("%d looks, %d creates, %s", looks, creates(r), rig.Story(g))
		}
		r.Halt("")
		r.Become(id, access.Active, 2*time.Minute)

		r.Sandboxed(sandbox.Behaviour{})
		r.Box.Script(sandbox.Fault{Operation: "CreateAccountAssignment", Kind: sandbox.DropAfter, Times: 1})
		lost := r.Ask("eli", "play ReadOnly").Lines[0].Grant
		r.Before(func(operation string) {
			if operation == "CreateAccountAssignment" {
				r.Halt(full)
			}
		})
		r.Become(lost, access.Active, 2*time.Minute)
		r.Pass(time.Hour)
		if g := r.Grant(lost); g.State != access.Ended && g.State != access.Verified || r.Box.Assigned(r.Assignment("eli", "play", "ReadOnly")) {
			t.Errorf("what began before the halt did not end: %s", rig.Story(g))
		}
	})
}

func TestAStartThatIsHaltedForAnHourIsRefused(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		id := r.Ask("dana", "play ReadOnly").Lines[0].Grant
		r.Halt(full)
		r.Pass(access.StartWithin + time.Minute)
		if g := r.Grant(id); g.State != access.Failed || !strings.Contains(g.Failure, full) || creates(r) != 0 {
			t.Errorf("%s", rig.Story(g))
		}
		if kinds := kindsOf(r.Events(0)); !slices.Contains(kinds, "starts.halted") {
			t.Error(kinds)
		}
	})
}
