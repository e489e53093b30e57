package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/org"
)

// What changes right before a call of AWS, while a grant starts.

const freeze = rig.Book + "  - {name: freeze, deny: true, who: {groups: [developers]}}\n"

// startCalls are the calls from the request until the clock runs.
func startCalls(t *testing.T, r *rig.Rig, f ...sandbox.Fault) []string {
	t.Helper()
	r.Sandboxed(sandbox.Behaviour{}, r.Foreign()...)
	r.Box.Script(f...)
	l := r.Live()
	r.Become(l.ID, access.Active, time.Minute, l.Watch)
	var calls []string
	for _, c := range r.Box.Calls() {
		calls = append(calls, c.Operation)
	}
	l.Through()
	return calls
}

// TestNothingIsCreatedForWhoMayNotHaveItAnyMore changes the person or the rules before each call of a start, without a fault
// and with each kind of fault at the first create, after which it is created again.
func TestNothingIsCreatedForWhoMayNotHaveItAnyMore(t *testing.T) {
	t.Parallel()
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		kinds := []sandbox.FaultKind{"", sandbox.Throttle, sandbox.DropAfter}
		if strings.HasSuffix(t.Name(), "PostgreSQL") {
			kinds = kinds[2:] // the slower engine is shown one, with every kind of call in it
		}
		for _, kind := range kinds {
			var faults []sandbox.Fault
			if kind != "" {
				faults = []sandbox.Fault{{Operation: "CreateAccountAssignment", Kind: kind, Times: 1}}
			}
			calls := startCalls(t, r, faults...)
			for at := range calls {
				for _, status := range []org.Status{org.StatusDisabled, org.StatusRemoved, org.StatusUnknown, "denied"} {
					meanwhile(t, r, at, status, faults)
				}
			}
		}
	})
}

// meanwhile lets the person's status or the rules change before the call of a number.
func meanwhile(t *testing.T, r *rig.Rig, at int, status org.Status, faults []sandbox.Fault) {
	t.Helper()
	r.Sandboxed(sandbox.Behaviour{}, r.Foreign()...)
	r.Box.Script(faults...)
	n, changed, creates := 0, "", 0
	r.Before(func(operation string) {
		if changed != "" && operation == "CreateAccountAssignment" {
			creates++
		}
		if n == at {
			if changed = operation; status == "denied" {
				r.Ruled(freeze)
			} else {
				r.Says("dana", status)
			}
		}
		n++
	})
	l := r.Live()
	r.Work()
	r.Pass(2*time.Minute, l.Watch)
	if _, err := r.Broker.End(r.As("amy"), l.ID, "enough"); err != nil && !errors.Is(err, access.ErrOver) {
		t.Fatal(err)
	}
	r.Work()
	r.Pass(30*time.Minute, l.Watch)
	if !l.Grant.Over() || r.Box.Assigned(l.Assignment) {
		t.Fatalf("%s before call %d (%s): it is not over: %s", status, at, changed, rig.Story(l.Grant))
	}
	r.Before(nil)
	calls, outcome := r.Calls(), rig.Story(l.Grant)
	r.Ruled(rig.Book)
	r.Sandboxed(sandbox.Behaviour{}, r.Foreign()...)
	if err := r.Broker.Refresh(r.As("sparekey")); err != nil {
		t.Fatal(err)
	}
	unseen := status != "denied" && changed == "ListGroupMembershipsForMember" // AWS had just called them enabled
	if allowed := map[bool]int{true: 1}[unseen]; creates > allowed {
		t.Fatalf("%s before call %d (%s): %d creates after it: %s\n%s", status, at, changed, creates, outcome, strings.Join(calls, " "))
	}
	if called := strings.Contains(strings.Join(calls, " "), "CreateAccountAssignment"); !called && !l.Grant.ActiveAt.IsZero() {
		t.Fatalf("%s before call %d (%s): its clock started: %s", status, at, changed, outcome)
	}
}

// TestAnEarlierYesOfWhoLeftDoesNotCount has two approvers, of whom the first leaves before the second agrees, or before the
// access starts, and the mirror does not know it.
func TestAnEarlierYesOfWhoLeftDoesNotCount(t *testing.T) {
	t.Parallel()
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		two := strings.Replace(rig.Book, "need: 1", "need: 2", 1)
		for _, status := range []org.Status{org.StatusDisabled, org.StatusRemoved, org.StatusUnknown} {
			for _, before := range []string{"the second yes", "the start"} {
				r.Sandboxed(sandbox.Behaviour{})
				if err := r.Broker.Refresh(r.As("sparekey")); err != nil {
					t.Fatal(err)
				}
				r.Ruled(two)
				q := r.Ask("dana", "payments-prod PowerUser")
				_, err := r.Broker.Approve(r.As("kim"), q.ID, "")
				if before == "the second yes" {
					r.Says("kim", status)
				}
				if _, err2 := r.Broker.Approve(r.As("ren"), q.ID, ""); err != nil || err2 != nil && status != org.StatusUnknown {
					t.Fatal(err, err2)
				}
				if before == "the start" {
					r.Says("kim", status)
				}
				r.Pass(90 * time.Minute)
				where := fmt.Sprintf("%s before %s", status, before)
				switch l := r.Request(q.ID).Lines[0]; before {
				case "the second yes":
					if l.State != access.Pending {
						t.Errorf("%s: the line is %s", where, l.State)
					}
				case "the start":
					if g := r.Grant(l.Grant); l.State != access.Approved || g.State != access.Failed || !g.BegunAt.IsZero() {
						t.Errorf("%s: %s", where, rig.Story(g))
					}
				}
				if slices.Contains(r.Calls(), "CreateAccountAssignment") {
					t.Errorf("%s: access was given", where)
				}
			}
		}
	})
}
