package broker_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
)

// anchors makes what is being made, until it is ready.
func anchors(r *rig.Rig, user string) broker.Anchored {
	r.Helper()
	for range 60 {
		if err := r.Broker.MakeAnchors(r.As("sparekey")); err != nil {
			r.Fatal(err)
		}
		v, err := r.Broker.Anchors(r.As(user))
		if err != nil {
			r.Fatal(err)
		}
		if !slices.ContainsFunc(v.Anchors, func(g access.LentGroup) bool { return !g.Ready }) {
			return v
		}
		r.Clock.Advance(time.Second)
	}
	r.Fatal("the anchors are not ready")
	return broker.Anchored{}
}

func roleIn(r *rig.Rig, account, set string) string {
	r.Helper()
	t := r.Target(account, set)
	for _, role := range r.Box.Roles(t.Account) {
		if role.Target == t {
			return role.Name
		}
	}
	return ""
}

// TestAnAnchorKeepsTheRole lends the same twice: without an anchor the role has another name the second time.
func TestAnAnchorKeepsTheRole(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		lend := func() (role string) {
			id := r.Ask("dana", "play ReadOnly").Lines[0].Grant
			r.Become(id, access.Active, time.Minute)
			role = roleIn(r, "play", "ReadOnly")
			r.Become(id, access.Verified, 2*time.Hour)
			return role
		}
		if first, second := lend(), lend(); first == second || roleIn(r, "play", "ReadOnly") != "" {
			t.Errorf("the role stays by itself: %s", first)
		}
		g, err := r.Broker.Anchor(r.As("amy"), broker.Names{Account: "play", PermissionSet: "ReadOnly"})
		if err != nil || g.Ready || !g.Anchor || g.Name != "sparekey anchor 100000000003 ReadOnly" {
			t.Fatalf("%+v %v", g, err)
		}
		v := anchors(r, "ana")
		if len(v.Anchors) != 1 || slices.ContainsFunc(v.Missing, func(p access.Place) bool { return p.Target == g.Target.Target }) || len(v.Missing) != 5 {
			t.Errorf("%+v", v)
		}
		role := roleIn(r, "play", "ReadOnly")
		if first, second := lend(), lend(); role == "" || first != role || second != role || roleIn(r, "play", "ReadOnly") != role {
			t.Errorf("%s, %s, %s", role, first, second)
		}
		again, err := r.Broker.Anchor(r.As("amy"), broker.Names{Account: "play", PermissionSet: "ReadOnly"})
		if err != nil || !again.Ready {
			t.Errorf("the same again: %+v %v", again, err)
		}
	})
}

func TestEverythingThatIsLentByAssignmentIsAnchored(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		r.Ruled(rig.BookOf(access.Membership)) // the play accounts are lent by membership: that takes no anchor
		made, err := r.Broker.AnchorAll(r.As("amy"))
		if err != nil || len(made) != 2 {
			t.Fatalf("%+v %v", made, err)
		}
		r.Ruled(rig.Book)
		if made, err = r.Broker.AnchorAll(r.As("amy")); err != nil || len(made) != 6 { // those that are being made count as missing, and are not made twice
			t.Fatalf("%+v %v", made, err)
		}
		v := anchors(r, "amy")
		if len(v.Anchors) != 6 || len(v.Missing) != 0 || len(v.Members) != 0 {
			t.Errorf("%+v", v)
		}
		most, calls := 0, 0
		for _, one := range r.Box.State().Operations {
			in := 0
			for _, other := range r.Box.State().Operations {
				if !other.Accepted.After(one.Accepted) && other.Ended.After(one.Accepted) {
					in++
				}
			}
			most, calls = max(most, in), calls+1
		}
		if most > 2 || calls != 6 {
			t.Errorf("%d operations, %d at once", calls, most)
		}
		if made, err = r.Broker.AnchorAll(r.As("amy")); err != nil || len(made) != 0 {
			t.Errorf("again: %+v %v", made, err)
		}
	})
}

func TestSomebodyInAnAnchorIsReportedLoudly(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		if _, err := r.Broker.Anchor(r.As("amy"), broker.Names{Account: "play", PermissionSet: "ReadOnly"}); err != nil {
			t.Fatal(err)
		}
		a := anchors(r, "amy").Anchors[0]
		if err := r.Box.Change(func(d *sandbox.Directory) error { return d.Join(r.Person("eli").ID, a.Group) }); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.Broker.Refresh(r.As("sparekey")), r.Broker.MakeAnchors(r.As("sparekey")), r.Broker.MakeAnchors(r.As("sparekey"))); err != nil {
			t.Fatal(err)
		}
		v := anchors(r, "amy")
		if len(v.Members) != 1 || v.Members[0].People[0].User != "eli" {
			t.Errorf("%+v", v)
		}
		if n := strings.Count(r.Log.String(), "a group that must have no members"); n != 1 || !strings.Contains(r.Log.String(), "people=eli") {
			t.Errorf("it is logged %d times: %s", n, r.Log)
		}
		// No grant can put anybody into an anchor: its description is none of a group that lends.
		k := access.Key{Way: access.Membership, Person: r.Person("dana").ID, Target: a.Target.Target, Group: a.Group}
		if _, err := r.Broker.Ways[access.Membership].Create(t.Context(), k); !errors.Is(err, access.ErrRejected) {
			t.Error(err)
		}
	})
}

func TestWhoMayAnchorWhat(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		play := broker.Names{Account: "play", PermissionSet: "ReadOnly"}
		_, err := r.Broker.Anchor(r.As("dana"), play)
		refusedWith(t, err, access.ErrRefused, "only administrators")
		_, err = r.Broker.AnchorAll(r.As("ana"))
		refusedWith(t, err, access.ErrRefused, "only administrators")
		_, err = r.Broker.Anchors(r.As("dana"))
		refusedWith(t, err, access.ErrRefused, "administrators and auditors")
		_, err = r.Broker.Anchor(r.As("amy"), broker.Names{Account: "management", PermissionSet: "ReadOnly"})
		refusedWith(t, err, access.ErrRefused, "management account")
		_, err = r.Broker.Anchor(r.As("amy"), broker.Names{Account: "play", PermissionSet: "role/ops/Deployer"})
		refusedWith(t, err, access.ErrInvalid, "stays as it is")
		_, err = r.Broker.Anchor(r.As("amy"), broker.Names{Account: "nowhere", PermissionSet: "ReadOnly"})
		refusedWith(t, err, access.ErrUnknown, "nowhere")
		r.Broker.Groups = nil
		_, err = r.Broker.Anchor(r.As("amy"), play)
		refusedWith(t, err, access.ErrUnavailable, "makes no groups")
	})
}
