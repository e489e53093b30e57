package broker_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/org"
)

// A fault of each kind at each call of AWS in a grant's whole life, on both engines. After each: no access outlives its end
// unless the grant is marked stuck; nothing is in AWS without a recorded intent; nothing is removed that Sparekey did not
// give; no clock starts before AWS has confirmed; every change has its event.

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

// life is one grant from its request to the listings after its end.
type life struct {
	*rig.Rig
	id         string
	assignment org.Assignment
	grant      access.Grant
}

func live(r *rig.Rig) *life {
	q := r.Ask("dana", "play PowerUser")
	return &life{Rig: r, id: q.Lines[0].Grant, assignment: r.Assignment("dana", "play", "PowerUser")}
}

// watch checks what must hold at every moment.
func (l *life) watch() {
	l.Helper()
	was := l.grant
	l.grant = l.Rig.Grant(l.id)
	g, now, there := l.grant, l.Clock.Now(), l.Box.Assigned(l.assignment)
	if there && g.BegunAt.IsZero() {
		l.Fatalf("there is access without a recorded intent: %s", rig.Story(g))
	}
	if g.State == access.Active && was.State != access.Active && !there {
		l.Fatalf("the clock started before AWS gave access: %s", rig.Story(g))
	}
	if !g.EndsAt.IsZero() && (g.EndsAt.After(g.HardEnd) || !g.ActiveAt.IsZero() && g.EndsAt.After(g.ActiveAt.Add(g.Duration()))) {
		l.Fatalf("its end is too late: %s", rig.Story(g))
	}
	end := g.HardEnd
	if !g.EndsAt.IsZero() {
		end = g.EndsAt
	}
	if g.End != nil && g.EndingAt.After(end) { // it came back, and is being ended again
		end = g.EndingAt
	}
	if there && !g.BegunAt.IsZero() && now.After(end.Add(access.StuckAfter+time.Second)) && g.State != access.Stuck && !landing(g) {
		l.Fatalf("access outlives its end of %s, and the grant is %s: %s", end, g.State, rig.Story(g))
	}
}

// landing reports whether a create without a certain outcome may just have landed, which the listings after the end find.
func landing(g access.Grant) bool {
	return g.Unsure && (g.State == access.Ended || g.State == access.Failed) && g.Checks < 2
}

// through passes the grant's whole life, and then some.
func (l *life) through() {
	l.Helper()
	l.Work()
	l.watch()
	l.Pass(2*time.Hour, l.watch)
	g := l.grant
	if !g.Over() || l.Box.Assigned(l.assignment) {
		l.Fatalf("two hours later it is %s, assigned %v: %s\n%s", g.State, l.Box.Assigned(l.assignment), rig.Story(g), strings.Join(l.Calls(), " "))
	}
	l.Chained(l.id, g)
}

// lifeCalls are the calls of a life without faults: operation and how many of the same went before.
func lifeCalls(t *testing.T, r *rig.Rig) []sandbox.Fault {
	t.Helper()
	live(r).through() // the first life also reads for the first time what the permission set permits
	r.Sandboxed(sandbox.Behaviour{})
	l := live(r)
	l.through()
	if l.grant.State != access.Verified {
		t.Fatalf("without faults it becomes %s: %s", l.grant.State, rig.Story(l.grant))
	}
	seen := map[string]int{}
	var calls []sandbox.Fault
	for _, c := range r.Box.Calls() {
		if c.Status != http.StatusOK && c.Operation != "GetPermissionsBoundaryForPermissionSet" { // which answers so where there is none
			t.Fatalf("without faults %s fails: %s", c.Operation, c.Code)
		}
		if n := seen[c.Operation]; !strings.HasPrefix(c.Operation, "Describe") || n < 2 { // polls beyond the second are like the second
			calls = append(calls, sandbox.Fault{Service: c.Service, Operation: c.Operation, Skip: n})
		}
		seen[c.Operation]++
	}
	return calls
}

// Requirement S2-17.
func TestAFaultOfEachKindAtEachCall(t *testing.T) {
	t.Parallel()
	for name, address := range rig.Engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rig.New(t, address(t), sandbox.Behaviour{})
			r.Sandboxed(sandbox.Behaviour{})
			calls := lifeCalls(t, r)
			if len(calls) < 10 {
				t.Fatalf("only %d calls in a life", len(calls))
			}
			for _, call := range calls {
				faults := kinds
				if call.Operation == "CreateAccountAssignment" || call.Operation == "DeleteAccountAssignment" {
					faults = append(append([]sandbox.Fault{}, kinds...), changing...)
				}
				for _, f := range faults {
					if f.Kind == sandbox.Hang && call.Skip > 0 {
						continue // half a second each, and no other than the first
					}
					f.Service, f.Operation, f.Skip, f.Times = call.Service, call.Operation, call.Skip, 1
					fault(t, r, f)
				}
			}
		})
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
		r.Sandboxed(sandbox.Behaviour{})
		r.Box.Script(f)
		live(r).through()
		if !strings.Contains(fmt.Sprint(r.Box.Calls()), string(f.Kind)) {
			t.Errorf("the fault befell nothing: %s", strings.Join(r.Calls(), " "))
		}
	})
}

// TestAWSThatDoesNotDoItMakesAStuckGrantThatIsStillTried shows that what is not mended is said, and mended when it can be.
func TestAWSThatDoesNotDoItMakesAStuckGrantThatIsStillTried(t *testing.T) {
	t.Parallel()
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		for _, kind := range []sandbox.FaultKind{sandbox.Denied, sandbox.AsyncFailed, sandbox.ServerError, sandbox.Throttle, sandbox.Conflict} {
			l := live(r)
			r.Become(l.id, access.Active, time.Minute, l.watch)
			r.Box.Script(sandbox.Fault{Operation: "DeleteAccountAssignment", Kind: kind})
			g := r.Become(l.id, access.Stuck, 45*time.Minute, l.watch)
			if !r.Box.Assigned(l.assignment) || g.Trouble == "" || g.End == nil {
				t.Fatalf("%s: %s", kind, rig.Story(g))
			}
			if !strings.Contains(r.Log.String(), "grant="+l.id) {
				t.Errorf("%s: nothing in the log: %s", kind, r.Log)
			}
			before := len(r.Box.Calls())
			r.Pass(6*time.Hour, l.watch)
			if tries := len(r.Box.Calls()) - before; tries < 200 {
				t.Errorf("%s: only %d calls in six hours", kind, tries)
			}
			r.Box.ClearFaults()
			r.Become(l.id, access.Ended, 10*time.Minute, l.watch)
			l.through()
		}
	})
}

func TestAnEndAtEveryMomentOfTheStartEndsIt(t *testing.T) {
	t.Parallel()
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		r.Sandboxed(sandbox.Behaviour{})
		calls := lifeCalls(t, r)
		for moment := range len(calls) {
			for _, kind := range []sandbox.FaultKind{"", sandbox.DropAfter, sandbox.Hang, sandbox.Late} {
				r.Sandboxed(sandbox.Behaviour{})
				if kind != "" {
					f := sandbox.Fault{Operation: "CreateAccountAssignment", Kind: kind, Times: 1}
					if kind == sandbox.Late {
						f.Delay = sandbox.Duration(4 * time.Minute)
					}
					r.Box.Script(f)
				}
				l := live(r)
				for range moment { // each step is one task of the lane
					if g := r.Grant(l.id); g.State == access.Active || !g.Live() {
						break
					}
					wait, err := r.Broker.Carry(t.Context(), l.id)
					if err != nil {
						t.Fatal(err)
					}
					r.Clock.Advance(max(wait, time.Millisecond))
					l.watch()
				}
				if _, err := r.Broker.End(r.As("dana"), l.id, "done"); err != nil {
					t.Fatalf("moment %d: %v", moment, err)
				}
				l.through()
			}
		}
	})
}

func TestWhatSomebodyElseGaveStays(t *testing.T) {
	t.Parallel()
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		standing := r.Assignment("dana", "play", "PowerUser")
		others := []org.Assignment{r.Assignment("eli", "play", "PowerUser"), r.Assignment("dana", "play", "ReadOnly"), r.Assignment("dana", "play-two", "PowerUser")}
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
			l := live(r)
			r.Work()
			r.Pass(2 * time.Hour)
			g := r.Grant(l.id)
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

func TestOverlappingGrantsKeepTheAccessUntilTheLastEnds(t *testing.T) {
	t.Parallel()
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		for _, f := range append(append([]sandbox.Fault{{}}, kinds...), changing...) {
			r.Sandboxed(sandbox.Behaviour{})
			first := live(r)
			r.Become(first.id, access.Active, time.Minute, first.watch)
			r.Pass(10 * time.Minute)
			second := live(r)
			r.Become(second.id, access.Active, time.Minute)
			if g := r.Grant(second.id); g.Held != access.Shared {
				t.Fatalf("the second is %s: %s", g.Held, rig.Story(g))
			}
			if f.Kind != "" {
				f.Operation, f.Times = "DeleteAccountAssignment", 1
				if f.Kind == sandbox.Late {
					continue // a delete that lands eight minutes late takes what was given anew: AWS's own affair
				}
				r.Box.Script(f)
			}
			r.Become(first.id, access.Ended, 25*time.Minute)
			if !r.Box.Assigned(first.assignment) || r.Grant(second.id).State != access.Active {
				t.Fatalf("%s: the first end took the access away: %s", f.Kind, rig.Story(r.Grant(second.id)))
			}
			second.through()
		}
	})
}
