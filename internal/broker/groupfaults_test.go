package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
	"sparekey/org"
)

// making has a group made, and passes time until it is ready or an hour has gone.
func making(t *testing.T, r *rig.Rig) access.LentGroup {
	t.Helper()
	prepare := func() error {
		_, err := r.Broker.PrepareGroup(r.As("amy"), broker.Names{Account: "play", PermissionSet: "ReadOnly"})
		return err
	}
	err := prepare()
	if errors.Is(err, access.ErrUnavailable) { // AWS did not say whether amy is still there
		err = prepare()
	}
	if err != nil {
		t.Fatal(err)
	}
	var g access.LentGroup
	for end := r.Clock.Now().Add(time.Hour); !g.Ready && r.Clock.Now().Before(end); r.Clock.Advance(15 * time.Second) {
		_ = r.Broker.MakeGroups(r.As("sparekey")) // what hinders it is in the row, and it is tried again
		if err := r.Store.View(t.Context(), func(tx *store.Tx) (err error) { g, err = tx.LentGroup(r.Target("play", "ReadOnly")); return err }); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// A fault of each kind at each call with which a group is made: in the end there is one group, and it is assigned.
func TestAFaultOfEachKindAtEachCallOfMakingAGroup(t *testing.T) {
	t.Parallel()
	for name, address := range rig.Engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rig.New(t, address(t), sandbox.Behaviour{})
			before := len(r.Box.Calls())
			making(t, r)
			var calls []sandbox.Fault
			seen := map[string]int{}
			for _, c := range r.Box.Calls()[before:] {
				calls = append(calls, sandbox.Fault{Service: c.Service, Operation: c.Operation, Skip: seen[c.Operation], Times: 1})
				seen[c.Operation]++
			}
			for _, operation := range []string{"CreateGroup", "CreateAccountAssignment"} {
				if seen[operation] == 0 {
					t.Fatalf("%s is not called: %v", operation, seen)
				}
			}
			for _, call := range calls {
				faults := slices.Clone(kinds)
				switch call.Operation {
				case "CreateGroup":
					faults = append(faults, sandbox.Fault{Kind: sandbox.ServerErrorAfter}, sandbox.Fault{Kind: sandbox.DropAfter})
				case "CreateAccountAssignment":
					faults = append(faults, changing...)
				}
				for _, f := range faults {
					f.Service, f.Operation, f.Skip, f.Times = call.Service, call.Operation, call.Skip, 1
					t.Run(fmt.Sprintf("%s at %s %d", f.Kind, f.Operation, f.Skip+1), func(t *testing.T) { groupFault(t, address(t), f) })
				}
			}
		})
	}
}

func groupFault(t *testing.T, address string, f sandbox.Fault) {
	r := rig.New(t, address, sandbox.Behaviour{})
	r.Box.Script(f)
	g := making(t, r)
	if !strings.Contains(fmt.Sprint(r.Box.Calls()), string(f.Kind)) {
		t.Errorf("the fault befell nothing: %s", strings.Join(r.Calls(), " "))
	}
	if !g.Ready || g.Group == "" {
		t.Fatalf("it is not ready after an hour: %+v: %s", g, strings.Join(r.Calls(), " "))
	}
	made := 0
	o, err := r.Broker.Directory.Organization(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range o.Groups {
		if o.Name == g.Name {
			made++
		}
	}
	target := r.Target("play", "ReadOnly")
	if made != 1 || !r.Box.Assigned(org.Assignment{Target: target, Kind: org.GroupOfAWS, Principal: string(g.Group)}) {
		t.Errorf("%d groups, assigned: %v", made, r.Box.Assignments())
	}
}
