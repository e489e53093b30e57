package jobs

import (
	"slices"
	"testing"

	"sparekey/access"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
)

// TestNothingIsChangedWithoutTheLane carries a grant in a process whose hold on the lane is over, as it is in one that was
// stopped for a while in the middle of it.
func TestNothingIsChangedWithoutTheLane(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		k, err := New(r.Broker, r.Store, r.Clock, r.Broker.Log, "one", Options{})
		if err != nil {
			t.Fatal(err)
		}
		carry := func(id string) {
			t.Helper()
			if _, err := r.Broker.Carry(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		changed := func() bool { return slices.ContainsFunc(r.Box.Calls(), func(c sandbox.Call) bool { return c.Changed }) }
		id := r.Ask("dana", "play ReadOnly").Lines[0].Grant
		if !k.lane.renew(t.Context()) || !k.Holds() {
			t.Fatal("the lane is not ours")
		}
		r.Clock.Advance(laneLease)
		if carry(id); changed() || k.Holds() {
			t.Fatal("AWS was called after the hold on the lane was over")
		}
		if g := r.Grant(id); g.State != access.Granting {
			t.Errorf("it is %s: the intent is recorded, and whoever has the lane goes on with it", g.State)
		}
		if !k.lane.renew(t.Context()) {
			t.Fatal("the lane is not taken again")
		}
		for range 3 {
			carry(id)
			r.Clock.Advance(laneRenewal)
			k.lane.renew(t.Context())
		}
		if !changed() {
			t.Errorf("it does not go on: %s", rig.Story(r.Grant(id)))
		}
	})
}
