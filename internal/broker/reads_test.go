package broker_test

import (
	"slices"
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
			grants, _, err := r.Broker.Grants(r.As("dana"), broker.GrantFilter{Most: 10})
			if err != nil || len(grants) != 1 {
				t.Fatal(grants, err)
			}
			shown("grants", grants[0])
			one, err := r.Broker.Request(r.As("dana"), q.ID)
			if err != nil {
				t.Fatal(err)
			}
			shown("the request", one.Grants[0])
			all, err := r.Broker.Requests(r.As("dana"), broker.Page{}, 10)
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
		if _, err := r.Broker.Approve(r.As("kim"), q.ID, "", 0); err != nil {
			t.Fatal(err)
		}
		able(1)
	})
}

func TestLiveGrantsAndOpenReviewsComeInPages(t *testing.T) {
	t.Parallel()
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		r.Ruled("sensitive:\n  accounts: [\"100000000003\", \"100000000004\"]\n  review: {groups: [approvers], within: 24h}\n" + rig.Book)
		var ids []string
		for _, who := range []string{"dana", "eli"} {
			for _, target := range []string{"play PowerUser", "play ReadOnly", "play-two PowerUser", "play-two ReadOnly"} {
				ids = append(ids, r.Ask(who, target).Lines[0].Grant)
			}
		}
		for _, id := range ids {
			r.Become(id, access.Active, time.Minute)
		}
		if _, err := r.Broker.End(r.As("dana"), ids[1], "done"); err != nil {
			t.Fatal(err)
		}
		r.Become(ids[1], access.Verified, time.Hour)
		live := slices.Concat(ids[:1], ids[2:])
		seen := func(most int, page func(from broker.Page) ([]string, broker.Page)) []string {
			var all []string
			for from := (broker.Page{}); ; {
				some, next := page(from)
				if all = append(all, some...); len(some) > most {
					t.Errorf("%d on a page of %d", len(some), most)
				}
				if from = next; from == (broker.Page{}) {
					slices.Sort(all)
					return all
				}
			}
		}
		slices.Sort(live)
		for _, most := range []int{1, 3, 7, 50} {
			got := seen(most, func(from broker.Page) (some []string, next broker.Page) {
				grants, next, err := r.Broker.Grants(r.As("amy"), broker.GrantFilter{All: true, From: from, Most: most})
				if err != nil {
					t.Fatal(err)
				}
				for _, g := range grants {
					some = append(some, g.ID)
				}
				return some, next
			})
			if !slices.Equal(got, live) {
				t.Errorf("pages of %d: %v, not %v", most, got, live)
			}
			reviews := seen(most, func(from broker.Page) (some []string, next broker.Page) {
				duties, next, err := r.Broker.Reviews(r.As("ren"), from, most)
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range duties {
					some = append(some, d.ID)
				}
				return some, next
			})
			if len(slices.Compact(reviews)) != len(ids) {
				t.Errorf("pages of %d: %v", most, reviews)
			}
		}
	})
}
