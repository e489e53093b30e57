package broker_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/aws"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/org"
)

// A fault of each kind at each call of AWS in a grant's whole life, on both engines. After each: no access outlives its end
// unless the grant is marked stuck; nothing is in AWS without a recorded intent; nothing is removed that Sparekey did not
// give; no clock starts before AWS has confirmed; nothing is created for somebody whom AWS did not just call enabled; every
// change has its event. What is watched is in package rig.

// kinds are the faults that can befall a call. Faults come in pairs: failed, and failed but happened.
var kinds = []sandbox.Fault{
	{Kind: sandbox.Throttle}, {Kind: sandbox.Denied}, {Kind: sandbox.Conflict}, {Kind: sandbox.ServerError}, {Kind: sandbox.Drop}, {Kind: sandbox.Hang},
}

// changing are the faults of calls that change something.
var changing = []sandbox.Fault{
	{Kind: sandbox.ServerErrorAfter}, {Kind: sandbox.DropAfter}, {Kind: sandbox.AsyncFailed}, {Kind: sandbox.AsyncFailedAfter},
	{Kind: sandbox.Late, Delay: sandbox.Duration(8 * time.Minute)}, {Kind: sandbox.Slow, Delay: sandbox.Duration(30 * time.Second)},
	{Kind: sandbox.DropAfter, Hidden: true, Delay: sandbox.Duration(40 * time.Second)},
}

// absent are the operations that answer with an error where there is nothing.
var absent = []string{"GetPermissionsBoundaryForPermissionSet", "GetGroupMembershipId"}

// lifeCalls are the calls of a life without faults: operation and how many of the same went before.
func lifeCalls(t *testing.T, r *rig.Rig) []sandbox.Fault {
	t.Helper()
	r.Live().Through() // the first life also reads for the first time what the permission set permits
	r.Sandboxed(sandbox.Behaviour{})
	l := r.Live()
	l.Through()
	if l.Grant.State != access.Verified {
		t.Fatalf("without faults it becomes %s: %s", l.Grant.State, rig.Story(l.Grant))
	}
	seen := map[string]int{}
	var calls []sandbox.Fault
	for _, c := range r.Box.Calls() {
		if c.Status != http.StatusOK && !slices.Contains(absent, c.Operation) {
			t.Fatalf("without faults %s fails: %s", c.Operation, c.Code)
		}
		if n := seen[c.Operation]; !strings.HasPrefix(c.Operation, "Describe") || n < 2 { // polls beyond the second are like the second
			calls = append(calls, sandbox.Fault{Service: c.Service, Operation: c.Operation, Skip: n})
		}
		seen[c.Operation]++
	}
	return calls
}

// befallen are the faults of a way's calls that change something, beside those that befall any call.
var befallen = map[access.Way][]sandbox.Fault{
	access.Assignment: changing,
	access.Membership: {{Kind: sandbox.ServerErrorAfter}, {Kind: sandbox.DropAfter}},
	access.Session:    {{Kind: sandbox.ServerErrorAfter}, {Kind: sandbox.DropAfter}},
}

// Requirement S2-17.
func TestAFaultOfEachKindAtEachCallOfEachWay(t *testing.T) {
	t.Parallel()
	for name, address := range rig.Engines {
		for how, way := range map[string]access.Way{
			"assignment": access.Assignment, "membership": access.Membership, "session": access.Session, "the management account's own": access.Assignment,
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				r := rig.New(t, address(t), sandbox.Behaviour{})
				if how != string(way) { // play stands in for the management account: everything in it goes over the second way
					second := func() broker.Way {
						return aws.NewAssignments(r.Connection, aws.NewCenter(r.Connection, r.O.Instance, r.O.IdentityStore))
					}
					r.Broker.Ways[way] = aws.Split(second(), second(), func() org.AccountID { return r.Target("play", "PowerUser").Account })
				}
				r.Lends(way)
				r.Sandboxed(sandbox.Behaviour{}, r.Foreign()...)
				calls := lifeCalls(t, r)
				if least := map[access.Way]int{access.Assignment: 10, access.Membership: 10, access.Session: 5}[way]; len(calls) < least {
					t.Fatalf("only %d calls in a life", len(calls))
				}
				for _, call := range calls {
					faults := kinds
					if slices.Contains(rig.Changing(way), call.Operation) {
						faults = append(append([]sandbox.Fault{}, kinds...), befallen[way]...)
					}
					for _, f := range faults {
						if way == access.Session && call.Operation == "AssumeRole" && f.Kind == sandbox.Conflict {
							continue // STS knows none
						}
						f.Service, f.Operation, f.Skip, f.Times = call.Service, call.Operation, call.Skip, 1
						fault(t, r, f)
					}
				}
			})
		}
	}
}

// fault runs a life with a fault. The store stays the same; AWS is new.
func fault(t *testing.T, r *rig.Rig, f sandbox.Fault) {
	name := fmt.Sprintf("%s at %s %d", f.Kind, f.Operation, f.Skip+1)
	if f.Hidden {
		name += " hidden"
	}
	t.Run(name, func(t *testing.T) {
		outer := r.TB
		r.TB = t
		defer func() { r.TB = outer }()
		r.Sandboxed(sandbox.Behaviour{}, r.Foreign()...)
		r.Box.Script(f)
		r.Live().Through()
		if !strings.Contains(fmt.Sprint(r.Box.Calls()), string(f.Kind)) {
			t.Errorf("the fault befell nothing: %s", strings.Join(r.Calls(), " "))
		}
	})
}

// TestAWSThatDoesNotDoItMakesAStuckGrantThatIsStillTried shows that what is not mended is said, and mended when it can be.
func TestAWSThatDoesNotDoItMakesAStuckGrantThatIsStillTried(t *testing.T) {
	t.Parallel()
	for name, address := range rig.Engines {
		for way, kinds := range map[access.Way][]sandbox.FaultKind{
			access.Assignment: {sandbox.Denied, sandbox.AsyncFailed, sandbox.ServerError, sandbox.Throttle, sandbox.Conflict},
			access.Membership: {sandbox.Denied, sandbox.ServerError, sandbox.Throttle, sandbox.Conflict},
		} {
			t.Run(name+" "+string(way), func(t *testing.T) {
				t.Parallel()
				r := rig.New(t, address(t), sandbox.Behaviour{})
				r.Lends(way)
				for _, kind := range kinds {
					stick(t, r, way, kind)
				}
			})
		}
	}
}

func stick(t *testing.T, r *rig.Rig, way access.Way, kind sandbox.FaultKind) {
	l := r.Live()
	r.Become(l.ID, access.Active, time.Minute, l.Watch)
	r.Box.Script(sandbox.Fault{Operation: rig.Changing(way)[1], Kind: kind})
	g := r.Become(l.ID, access.Stuck, 45*time.Minute, l.Watch)
	if !l.There() || g.Trouble == "" || g.End == nil {
		t.Fatalf("%s: %s", kind, rig.Story(g))
	}
	if !strings.Contains(r.Log.String(), "grant="+l.ID) {
		t.Errorf("%s: nothing in the log: %s", kind, r.Log)
	}
	before := len(r.Box.Calls())
	r.Pass(6*time.Hour, l.Watch)
	if tries := len(r.Box.Calls()) - before; tries < 200 {
		t.Errorf("%s: only %d calls in six hours", kind, tries)
	}
	r.Box.ClearFaults()
	r.Become(l.ID, access.Ended, 10*time.Minute, l.Watch)
	l.Through()
}

func TestAnEndAtEveryMomentOfTheStartEndsIt(t *testing.T) {
	t.Parallel()
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		r.Sandboxed(sandbox.Behaviour{})
		calls := lifeCalls(t, r)
		for moment := range len(calls) {
			for _, kind := range []sandbox.FaultKind{"", sandbox.DropAfter, sandbox.Hang, sandbox.Late} {
				r.Sandboxed(sandbox.Behaviour{}, r.Foreign()...)
				if kind != "" {
					f := sandbox.Fault{Operation: "CreateAccountAssignment", Kind: kind, Times: 1}
					if kind == sandbox.Late {
						f.Delay = sandbox.Duration(4 * time.Minute)
					}
					r.Box.Script(f)
				}
				l := r.Live()
				for range moment { // each step is one task of the lane
					if g := r.Grant(l.ID); g.State == access.Active || !g.Live() {
						break
					}
					wait, err := r.Broker.Carry(t.Context(), l.ID)
					if err != nil {
						t.Fatal(err)
					}
					r.Clock.Advance(max(wait, time.Millisecond))
					l.Watch()
				}
				if _, err := r.Broker.End(r.As("dana"), l.ID, "done"); err != nil {
					t.Fatalf("moment %d: %v", moment, err)
				}
				l.Through()
			}
		}
	})
}

func TestWhatSomebodyElseGaveStays(t *testing.T) {
	t.Parallel()
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		standing := r.Assignment("dana", "play", "PowerUser")
		others := r.Foreign()
		for _, f := range append(append([]sandbox.Fault{{}}, kinds...), changing...) {
			r.Sandboxed(sandbox.Behaviour{}, append(others, standing)...)
			if f.Kind != "" {
				f.Service, f.Operation = "sso-admin", "ListAccountAssignments"
				if f.Kind != sandbox.Hang && len(f.Kind) > 0 && contains(changing, f) {
					continue // a listing changes nothing
				}
				f.Times = 2
				r.Box.Script(f)
			}
			l := r.Live()
			r.Work()
			r.Pass(2 * time.Hour)
			g := r.Grant(l.ID)
			if !g.Over() || g.Held != access.PreExisting || !r.Box.Assigned(standing) {
				t.Fatalf("%s: the standing access is there: %v: %s", f.Kind, r.Box.Assigned(standing), rig.Story(g))
			}
			for _, o := range others {
				if !r.Box.Assigned(o) {
					t.Fatalf("%s: %+v is gone", f.Kind, o)
				}
			}
			for _, c := range r.Box.Calls() {
				if c.Changed {
					t.Fatalf("%s: %s changed something", f.Kind, c.Operation)
				}
			}
		}
	})
}

func contains(list []sandbox.Fault, f sandbox.Fault) bool {
	for _, o := range list {
		if o.Kind == f.Kind {
			return true
		}
	}
	return false
}

// TestOverlappingGrantsKeepTheAccessUntilTheLastEnds lets every fault befall the end of the first of two grants of the same
// access, in whatever way it is given; the second was asked for apart, or extends the first.
func TestOverlappingGrantsKeepTheAccessUntilTheLastEnds(t *testing.T) {
	t.Parallel()
	for name, address := range rig.Engines {
		for way, removal := range map[access.Way]string{access.Assignment: "DeleteAccountAssignment", access.Membership: "DeleteGroupMembership", access.Session: ""} {
			t.Run(name+" "+string(way), func(t *testing.T) {
				t.Parallel()
				r := rig.New(t, address(t), sandbox.Behaviour{})
				r.Lends(way)
				for _, f := range append(append([]sandbox.Fault{{}}, kinds...), befallen[way]...) {
					if f.Kind == sandbox.Late || f.Kind != "" && removal == "" {
						continue // a delete that lands eight minutes late takes what was given anew: AWS's own affair; a session has none
					}
					f.Operation, f.Times = removal, 1
					overlap(t, r, f, false)
					overlap(t, r, f, true)
				}
			})
		}
	}
}

func overlap(t *testing.T, r *rig.Rig, f sandbox.Fault, extends bool) {
	r.Sandboxed(sandbox.Behaviour{})
	first := r.Live()
	r.Become(first.ID, access.Active, time.Minute, first.Watch)
	r.Pass(10 * time.Minute)
	var second *rig.Life
	if extends {
		q, err := r.Broker.Ask(r.As("dana"), broker.Wish{Duration: 30 * time.Minute, Extends: first.ID, Key: first.ID + " longer"})
		if err != nil {
			t.Fatal(err)
		}
		second = &rig.Life{Rig: r, ID: q.Lines[0].Grant, Request: q.ID, Assignment: first.Assignment}
	} else {
		second = r.Live()
	}
	r.Become(second.ID, access.Active, time.Minute)
	if g := r.Grant(second.ID); g.Way != access.Session && g.Held != access.Shared {
		t.Fatalf("the second is %s: %s", g.Held, rig.Story(g))
	}
	if f.Kind != "" {
		r.Box.Script(f)
	}
	r.Become(first.ID, access.Ended, 25*time.Minute)
	if !second.There() || r.Grant(second.ID).State != access.Active {
		t.Fatalf("%s: the first end took the access away: %s", f.Kind, rig.Story(r.Grant(second.ID)))
	}
	second.Through()
	if r.Grant(second.ID).Way != access.Session && second.There() {
		t.Fatalf("%s: the access outlives the last end: %s", f.Kind, rig.Story(r.Grant(second.ID)))
	}
}
