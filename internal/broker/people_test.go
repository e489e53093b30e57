package broker_test

import (
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/org"
)

// leaving are the ways in which the directory says that a person is gone.
var leaving = []org.Status{org.StatusDisabled, org.StatusRemoved}

// Requirement partly S2-45.
func TestWhoLeavesLosesWhatTheyAskedForHoldAndApprove(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		for _, status := range leaving {
			r.Sandboxed(sandbox.Behaviour{})
			if err := r.Broker.Refresh(r.As("sparekey")); err != nil {
				t.Fatal(err)
			}
			q := r.Ask("dana", "payments-prod PowerUser", "play ReadOnly")
			r.Become(q.Lines[1].Grant, access.Active, time.Minute)
			held := r.Ask("eli", "play PowerUser")
			r.Become(held.Lines[0].Grant, access.Active, time.Minute)
			r.Says("dana", status)
			if err := r.Broker.LetGo(r.As("sparekey")); err != nil {
				t.Fatal(err)
			}
			if s := r.Request(q.ID).Lines[0].State; s != access.Withdrawn {
				t.Errorf("%s: the request is %s", status, s)
			}
			r.Become(q.Lines[1].Grant, access.Ended, time.Minute)
			if r.Box.Assigned(r.Assignment("dana", "play", "ReadOnly")) {
				t.Errorf("%s: the access is still there", status)
			}
			if g := r.Grant(held.Lines[0].Grant); g.State != access.Active {
				t.Errorf("%s: eli lost access with dana: %s", status, g.State)
			}
			_, err := r.Broker.Ask(r.As("dana"), broker.Wish{Targets: []broker.Names{{Account: "play", PermissionSet: "ReadOnly"}}, Duration: time.Hour, Key: "after"})
			refusedWith(t, err, access.ErrRefused, "dana is "+string(status))
		}
	})
}

// Requirement partly S2-45.
func TestAnApproverWhoLeftApprovesNothingFromThatMoment(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		for _, status := range leaving {
			r.Sandboxed(sandbox.Behaviour{})
			if err := r.Broker.Refresh(r.As("sparekey")); err != nil {
				t.Fatal(err)
			}
			q := r.Ask("dana", "payments-prod PowerUser")
			r.Says("kim", status) // and the mirror does not know it yet
			_, err := r.Broker.Approve(r.As("kim"), q.ID, "")
			refusedWith(t, err, access.ErrRefused, "kim is "+string(status))
			if list, err := r.Broker.Approvals(r.As("kim")); err == nil {
				t.Errorf("kim still sees %d approvals", len(list))
			}
		}
	})
}

func TestGroupsCountAsTheyAreAtTheClick(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		q := r.Ask("dana", "payments-prod PowerUser")
		approvers := r.Group("approvers")
		change := func(fn func(d *sandbox.Directory) error) {
			t.Helper()
			if err := r.Box.Change(fn); err != nil {
				t.Fatal(err)
			}
		}
		change(func(d *sandbox.Directory) error { return d.Leave(r.Person("kim").ID, approvers) })
		_, err := r.Broker.Approve(r.As("kim"), q.ID, "")
		refusedWith(t, err, access.ErrRefused, "kim is none of them")
		change(func(d *sandbox.Directory) error { return d.Join(r.Person("eli").ID, approvers) })
		if err := r.Broker.Refresh(r.As("sparekey")); err != nil { // a request is shown to those who may decide it
			t.Fatal(err)
		}
		if q, err := r.Broker.Approve(r.As("eli"), q.ID, ""); err != nil || q.Open() {
			t.Errorf("eli joined the approvers: %v", err)
		}
	})
}

func TestUnknownStatusBlocksStartsAndEndsNothing(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		active := r.Ask("dana", "play ReadOnly").Lines[0].Grant
		r.Become(active, access.Active, time.Minute)
		r.Says("dana", org.StatusUnknown)
		if err := r.Broker.Refresh(r.As("sparekey")); err != nil {
			t.Fatal(err)
		}
		waits := r.Ask("dana", "play PowerUser").Lines[0].Grant
		r.Pass(10 * time.Minute)
		if g := r.Grant(waits); g.State != access.Waiting || g.Trouble != "AWS does not say whether dana is enabled" {
			t.Error(rig.Story(g))
		}
		if g := r.Grant(active); g.State != access.Active {
			t.Error(rig.Story(g))
		}
		r.Says("dana", org.StatusEnabled)
		r.Become(waits, access.Active, time.Minute)
		r.Says("dana", org.StatusUnknown)
		never := r.Ask("dana", "play-two PowerUser").Lines[0].Grant
		g := r.Become(never, access.Failed, 2*time.Hour)
		if !strings.Contains(g.Failure, "it could not begin within 1h: AWS does not say whether dana is enabled") {
			t.Error(g.Failure)
		}
	})
}

func TestWhatWasApprovedIsJudgedAgainBeforeItStarts(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		for name, change := range map[string]func(){
			"the rule is gone":       func() { r.Ruled(strings.Replace(rig.Book, "ous: [Workloads]", "ous: [Sandbox]", 1)) },
			"the rule asks for more": func() { r.Ruled(strings.Replace(rig.Book, "need: 1", "need: 2", 1)) },
			"the approver is none":   func() { r.Ruled(strings.Replace(rig.Book, "groups: [approvers]}", "groups: [admins]}", 1)) },
			"the requester left the group": func() {
				id := r.Person("dana").ID
				if err := r.Box.Change(func(d *sandbox.Directory) error { return d.Leave(id, r.Group("developers")) }); err != nil {
					t.Fatal(err)
				}
			},
		} {
			r.Sandboxed(sandbox.Behaviour{})
			r.Ruled(rig.Book)
			q := r.Ask("dana", "payments-prod ReadOnly")
			if _, err := r.Broker.Approve(r.As("ren"), q.ID, ""); err != nil {
				t.Fatal(err)
			}
			change()
			r.Work()
			g := r.Grant(q.Lines[0].Grant)
			if g.State != access.Failed || !strings.HasPrefix(g.Failure, "the rules no longer allow it") {
				t.Errorf("%s: %s: %s", name, g.State, g.Failure)
			}
			if r.Box.Assigned(r.Assignment("dana", "payments-prod", "ReadOnly")) {
				t.Errorf("%s: access was given", name)
			}
		}
	})
}

func TestWhoMayEndAGrant(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		for user, may := range map[string]bool{"dana": true, "kim": true, "ren": true, "amy": true, "eli": false, "ana": false, "finn": false} {
			q := r.Ask("dana", "payments-prod PowerUser")
			if _, err := r.Broker.Approve(r.As("kim"), q.ID, ""); err != nil {
				t.Fatal(err)
			}
			id := q.Lines[0].Grant
			r.Become(id, access.Active, time.Minute)
			_, err := r.Broker.End(r.As(user), id, "enough")
			if (err == nil) != may {
				t.Errorf("%s: %v", user, err)
			}
			if !may {
				_, err = r.Broker.End(r.As("dana"), id, "enough")
			}
			g := r.Become(id, access.Ended, time.Minute)
			if err != nil || g.End.Why != "enough" {
				t.Errorf("%s: %v %s", user, err, rig.Story(g))
			}
			_, err = r.Broker.End(r.As("dana"), id, "again")
			refusedWith(t, err, access.ErrOver, "is over")
		}
	})
}
