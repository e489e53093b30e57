package broker_test

import (
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/store"
	"sparekey/org"
)

// TestTheLastMinuteFollowsThePermissionSet lengthens the sessions of a permission set while a grant of it lives.
func TestTheLastMinuteFollowsThePermissionSet(t *testing.T) {
	t.Parallel()
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		q := r.Ask("dana", "play PowerUser")
		id := q.Lines[0].Grant
		g := r.Become(id, access.Active, time.Minute)
		sessions := func(length time.Duration) {
			t.Helper()
			var o org.Organization
			err := r.Store.View(t.Context(), func(tx *store.Tx) (err error) { o, _, err = tx.Mirror(); return err })
			if err != nil {
				t.Fatal(err)
			}
			for i := range o.PermissionSets {
				o.PermissionSets[i].Session = length
			}
			if err := r.Store.Update(t.Context(), func(tx *store.Tx) error { _, err := tx.PutMirror(o); return err }); err != nil {
				t.Fatal(err)
			}
			if err := r.Broker.Follow(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for length, want := range map[time.Duration]time.Duration{12 * time.Hour: 12 * time.Hour, time.Hour: 2 * time.Hour} {
			sessions(length)
			shown := func(how string, shown access.Grant) {
				t.Helper()
				if last, sure := shown.LastMinute(r.Clock.Now()); !sure || !last.Equal(g.EndsAt.Add(want)) {
					t.Errorf("%s, with sessions of %s now: %s, %v", how, length, last, sure)
				}
			}
			grants, err := r.Broker.Grants(r.As("dana"), broker.GrantFilter{Most: 10})
			if err != nil || len(grants) != 1 {
				t.Fatal(grants, err)
			}
			shown("grants", grants[0])
			one, err := r.Broker.Request(r.As("dana"), q.ID)
			if err != nil {
				t.Fatal(err)
			}
			shown("the request", one.Grants[0])
			all, err := r.Broker.Requests(r.As("dana"), 10)
			if err != nil {
				t.Fatal(err)
			}
			shown("requests", all[0].Grants[0])
		}
		sessions(12 * time.Hour)
		ended, err := r.Broker.End(r.As("dana"), id, "done")
		if last, _ := ended.LastMinute(r.Clock.Now()); err != nil || !last.Equal(r.Clock.Now().Add(12*time.Hour).Truncate(time.Millisecond)) {
			t.Errorf("after the end: %s, %v", last, err)
		}
	})
}

func TestWhoHasApprovedIsNotAmongThoseWhoCan(t *testing.T) {
	t.Parallel()
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		r.Ruled(strings.Replace(rig.Book, "need: 1", "need: 2", 1))
		q := r.Ask("dana", "payments-prod PowerUser")
		able := func(want int) {
			t.Helper()
			asked, err := r.Broker.Request(r.As("dana"), q.ID)
			if err != nil || asked.Able[1] != want {
				t.Errorf("%d can, want %d: %v", asked.Able[1], want, err)
			}
			pending, err := r.Broker.Approvals(r.As("ren"))
			if err != nil || len(pending) != 1 || pending[0].Able[1] != want {
				t.Errorf("in approvals: %+v, want %d: %v", pending, want, err)
			}
		}
		able(2)
		if _, err := r.Broker.Approve(r.As("kim"), q.ID, ""); err != nil {
			t.Fatal(err)
		}
		able(1)
	})
}
