package jobs

import (
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
)

// TestTheLaneSaysWhatItUses follows one start: while AWS works on it a slot is in use, afterwards none; and who has given the
// lane back does not hold it.
func TestTheLaneSaysWhatItUses(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Engines["SQLite"](t), sandbox.Behaviour{AssignmentTakes: 20 * time.Second})
	k := keep(t, r, "one", Options{Limits: Limits{Outstanding: 5}})
	id := r.Ask("dana", "play ReadOnly").Lines[0].Grant
	k.until("a slot is in use", time.Minute, func() bool {
		u := k.keeper.Lane()
		return u.InUse == 1 && u.Slots == 4 && r.Clock.Now().Before(u.Until)
	})
	k.until("it is given back", 2*time.Minute, func() bool { return r.Grant(id).State == access.Active && k.keeper.Lane().InUse == 0 })
	k.stop()
	if u := k.keeper.Lane(); u.InUse != 0 || !u.Until.IsZero() || u.Slots != 4 || u.CallsPerSecond != 10000 {
		t.Errorf("%+v", u)
	}
}
