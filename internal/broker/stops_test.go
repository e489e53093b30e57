package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
)

func TestAStopEndsWhatItReachesAndNothingElse(t *testing.T) {
	t.Parallel()
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		for name, c := range map[string]struct {
			scope broker.Scope
			ends  []string
		}{
			"a person":                 {broker.Scope{Person: "dana"}, []string{"dana play PowerUser", "dana play ReadOnly", "dana play-two PowerUser"}},
			"an account":               {broker.Scope{Account: "play"}, []string{"dana play PowerUser", "dana play ReadOnly", "eli play PowerUser"}},
			"an account by its id":     {broker.Scope{Account: "100000000004"}, []string{"dana play-two PowerUser", "eli play-two ReadOnly"}},
			"a permission set":         {broker.Scope{PermissionSet: "ReadOnly"}, []string{"dana play ReadOnly", "eli play-two ReadOnly"}},
			"a rule":                   {broker.Scope{Rule: "play"}, []string{"dana play PowerUser", "dana play ReadOnly", "dana play-two PowerUser", "eli play PowerUser", "eli play-two ReadOnly"}},
			"a person in an account":   {broker.Scope{Person: "dana", Account: "play"}, []string{"dana play PowerUser", "dana play ReadOnly"}},
			"one access":               {broker.Scope{Person: "eli", Account: "play", PermissionSet: "PowerUser", Rule: "play"}, []string{"eli play PowerUser"}},
			"what nobody holds":        {broker.Scope{Rule: "prod"}, nil},
			"everything":               {broker.Scope{Everything: true}, []string{"dana play PowerUser", "dana play ReadOnly", "dana play-two PowerUser", "eli play PowerUser", "eli play-two ReadOnly"}},
			"somebody with everything": {broker.Scope{Person: "ren"}, nil},
		} {
			r.Sandboxed(sandbox.Behaviour{})
			ids := map[string]string{}
			for _, who := range []string{"dana play PowerUser", "dana play ReadOnly", "dana play-two PowerUser", "eli play PowerUser", "eli play-two ReadOnly"} {
				user, target, _ := strings.Cut(who, " ")
				ids[who] = r.Ask(user, target).Lines[0].Grant
				r.Become(ids[who], access.Active, time.Minute)
			}
			_, want, err := r.Broker.EstimateStop(r.As("amy"), c.scope)
			if err != nil || want.Grants != len(c.ends) || want.Operations != len(c.ends) || (want.Takes > 0) != (len(c.ends) > 0) {
				t.Fatalf("%s: %+v, %v", name, want, err)
			}
			done, err := r.Broker.Stop(r.As("amy"), broker.Button{Scope: c.scope, Why: "an exercise"})
			stop := done.Stop
			if err != nil || done.Estimate != want || stop.State != access.StopDone {
				t.Fatalf("%s: %+v, %v", name, done, err)
			}
			for who, id := range ids {
				g := r.Grant(id)
				if ended := g.End != nil; ended != slices.Contains(c.ends, who) {
					t.Errorf("%s: %s ended: %v", name, who, ended)
				} else if ended && (g.End.By.Name != "amy" || g.End.Why != stop.ID+": an exercise") {
					t.Errorf("%s: %+v", name, g.End)
				}
			}
			for _, who := range c.ends {
				r.Become(ids[who], access.Ended, 5*time.Minute)
			}
			for who := range ids {
				user, target, _ := strings.Cut(who, " ")
				account, set, _ := strings.Cut(target, " ")
				if there := r.Box.Assigned(r.Assignment(user, account, set)); there == slices.Contains(c.ends, who) {
					t.Errorf("%s: AWS lists %s: %v", name, who, there)
				}
			}
			if _, err := r.Broker.Stop(r.As("amy"), broker.Button{Scope: broker.Scope{Everything: true}, Why: "clean up"}); err != nil {
				t.Fatal(err)
			}
			r.Pass(20 * time.Minute)
		}
	})
}

func TestAStopHoldsUntilItsTimeOrUntilItIsLifted(t *testing.T) {
	t.Parallel()
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		later := wish("play ReadOnly")
		later.Start = r.Clock.Now().Add(90 * time.Minute)
		planned, err := r.Broker.Ask(r.As("dana"), later)
		if err != nil {
			t.Fatal(err)
		}
		pending := r.Ask("dana", "payments-prod ReadOnly")
		done, err := r.Broker.Stop(r.As("lee"), broker.Button{Scope: broker.Scope{Person: "dana"}, Why: "her laptop was stolen", Holds: time.Hour})
		stop := done.Stop
		if err != nil || done.Estimate.Unbegun != 1 || done.Estimate.Operations != 0 {
			t.Fatal(done, err)
		}
		if g := r.Grant(planned.Lines[0].Grant); g.Live() || g.State != access.Ended {
			t.Errorf("what was planned is %s", g.State)
		}
		until := stop.ID + " holds it until 2026-11-22T04:00:00Z"
		_, err = r.Broker.Ask(r.As("dana"), wish("play PowerUser"))
		refusedWith(t, err, access.ErrRefused, until)
		if strings.Contains(err.Error(), "stolen") {
			t.Error("she is told what is suspected")
		}
		why, err := r.Broker.Why(r.As("dana"), broker.Question{Person: "dana", Names: broker.Names{Account: "play", PermissionSet: "PowerUser"}})
		if err != nil || why.Decision.Allowed || !strings.Contains(fmt.Sprint(why.Decision.Why), until) {
			t.Errorf("%+v, %v", why.Decision, err)
		}
		_, err = r.Broker.Approve(r.As("kim"), pending.ID, "", 0)
		refusedWith(t, err, access.ErrRefused, until)
		if q := r.Request(pending.ID); q.Lines[0].State != access.Pending {
			t.Errorf("it is %s", q.Lines[0].State)
		}
		r.Ask("eli", "play PowerUser")
		_, err = r.Broker.LiftStop(r.As("dana"), stop.ID, "I am fine")
		refusedWith(t, err, access.ErrRefused, "only administrators")
		lifted, err := r.Broker.LiftStop(r.As("amy"), stop.ID, "found")
		if err != nil || lifted.State != access.StopLifted || lifted.Lifted.By.Name != "amy" {
			t.Fatal(lifted, err)
		}
		_, err = r.Broker.LiftStop(r.As("amy"), stop.ID, "found")
		refusedWith(t, err, access.ErrOver, "was lifted by amy")
		r.Ask("dana", "play PowerUser")
		r.Clock.Advance(time.Second)

		done, err = r.Broker.Stop(r.As("amy"), broker.Button{Scope: broker.Scope{Account: "play"}, Why: "an exercise", Holds: 30 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		stop = done.Stop
		_, err = r.Broker.Ask(r.As("eli"), wish("play ReadOnly"))
		refusedWith(t, err, access.ErrRefused, stop.ID)
		r.Clock.Advance(30 * time.Minute)
		r.Ask("eli", "play ReadOnly")
		_, err = r.Broker.LiftStop(r.As("amy"), stop.ID, "late")
		refusedWith(t, err, access.ErrOver, "it holds nothing any more")
		all, _, err := r.Broker.Stops(r.As("ana"), broker.Page{}, 10)
		if err != nil || len(all) != 2 || all[0].ID != stop.ID {
			t.Error(all, err)
		}
	})
}

func TestWhoMayStopWhat(t *testing.T) {
	t.Parallel()
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		for _, who := range []string{"dana", "kim", "ana"} {
			_, err := r.Broker.Stop(r.As(who), broker.Button{Scope: broker.Scope{Person: "dana"}, Why: "because"})
			refusedWith(t, err, access.ErrRefused, who+" may not stop what others hold")
			if _, _, err := r.Broker.EstimateStop(r.As(who), broker.Scope{Person: "dana"}); err == nil {
				t.Errorf("%s may look", who)
			}
		}
		for text, c := range map[string]struct {
			scope broker.Scope
			why   string
			holds time.Duration
			kind  error
		}{
			"it is not said what is to be stopped": {why: "w", kind: access.ErrInvalid},
			"everything is named, and more than":   {scope: broker.Scope{Everything: true, Rule: "play"}, why: "w", kind: access.ErrInvalid},
			"the reason is missing":                {scope: broker.Scope{Everything: true}, why: " ", kind: access.ErrInvalid},
			"at most 30 days":                      {scope: broker.Scope{Everything: true}, why: "w", holds: access.LongestStop + time.Minute, kind: access.ErrInvalid},
			`there is no person called "danna"`:    {scope: broker.Scope{Person: "danna"}, why: "w", kind: access.ErrUnknown},
			`there is no account called "plai"`:    {scope: broker.Scope{Account: "plai"}, why: "w", kind: access.ErrUnknown},
			`there is no permission set called "X`: {scope: broker.Scope{PermissionSet: "X"}, why: "w", kind: access.ErrUnknown},
			`there is no rule called "plya"`:       {scope: broker.Scope{Rule: "plya"}, why: "w", kind: access.ErrUnknown},
		} {
			_, err := r.Broker.Stop(r.As("amy"), broker.Button{Scope: c.scope, Why: c.why, Holds: c.holds})
			refusedWith(t, err, c.kind, text)
		}
	})
}

// TestAStopWhoseProcessDiedGoesOn makes a stop as if its process had died right after it was recorded.
func TestAStopWhoseProcessDiedGoesOn(t *testing.T) {
	t.Parallel()
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		var ids []string
		for _, who := range []string{"dana", "eli"} {
			id := r.Ask(who, "play PowerUser").Lines[0].Grant
			r.Become(id, access.Active, time.Minute)
			ids = append(ids, id)
		}
		amy := r.Person("amy")
		err := r.Store.Update(t.Context(), func(tx *store.Tx) error {
			c, err := access.NewStop("stop-000000", access.Reach{Everything: true}, audit.Actor{Kind: audit.APerson, ID: string(amy.ID), Name: "amy"}, "an exercise", 0, r.Clock.Now())
			if err != nil {
				return err
			}
			return tx.Apply(c, audit.Cause{})
		})
		if err != nil {
			t.Fatal(err)
		}
		r.Clock.Advance(time.Second)
		late := r.Ask("dana", "play ReadOnly").Lines[0].Grant
		if err := r.Broker.Watch(r.As("sparekey")); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			if g := r.Grant(id); g.End == nil || g.End.By.Name != "amy" {
				t.Errorf("%s: %+v", id, g.End)
			}
		}
		if g := r.Grant(late); g.End != nil {
			t.Error("what was approved after a stop that holds nothing was ended")
		}
		if stops, _, err := r.Broker.Stops(r.As("amy"), broker.Page{}, 10); err != nil || stops[0].State != access.StopDone {
			t.Error(stops, err)
		}
	})
}

// TestAStopOfOneKeepsWhatAnotherNeeds stops a rule under which one of two overlapping grants was given.
func TestAStopOfOneKeepsWhatAnotherNeeds(t *testing.T) {
	t.Parallel()
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		r.Ruled(rig.Book + `
  - name: longer
    who: {people: [dana]}
    what: {permission-sets: [PowerUser]}
    where: {ous: [Sandbox]}
    for: 12h
    approval: {need: 1, groups: [approvers]}
`)
		first := r.Ask("dana", "play PowerUser").Lines[0].Grant
		r.Become(first, access.Active, time.Minute)
		w := wish("play PowerUser")
		w.Duration = 10 * time.Hour
		q, err := r.Broker.Ask(r.As("dana"), w)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Broker.Approve(r.As("kim"), q.ID, "", 0); err != nil {
			t.Fatal(err)
		}
		second := q.Lines[0].Grant
		r.Become(second, access.Active, time.Minute)
		done, err := r.Broker.Stop(r.As("amy"), broker.Button{Scope: broker.Scope{Rule: "play"}, Why: "an exercise"})
		if e := done.Estimate; err != nil || e.Grants != 1 || e.Kept != 1 || e.Operations != 0 {
			t.Fatal(e, err)
		}
		r.Become(first, access.Ended, 5*time.Minute)
		if !r.Box.Assigned(r.Assignment("dana", "play", "PowerUser")) || r.Grant(second).State != access.Active {
			t.Error("the access is gone")
		}
	})
}

// TestAStopOfAPersonKillsTheirSessions looks at what is wanted; that kills are sent, kills_test shows.
func TestAStopOfAPersonKillsTheirSessions(t *testing.T) {
	t.Parallel()
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		id := r.Ask("dana", "play PowerUser").Lines[0].Grant
		r.Become(id, access.Active, time.Minute)
		done, err := r.Broker.Stop(r.As("amy"), broker.Button{Scope: broker.Scope{Person: "dana"}, Why: "stolen", Kill: true})
		if err != nil || done.Killed.Kill != nil || !strings.Contains(done.Killed.WhyNot, "session kills are not set up") || r.Grant(id).End == nil {
			t.Fatal(done, err)
		}
		for _, scope := range []broker.Scope{{Account: "play"}, {Person: "dana", Account: "play"}, {Everything: true}} {
			_, err := r.Broker.Stop(r.As("amy"), broker.Button{Scope: scope, Why: "stolen", Kill: true})
			refusedWith(t, err, access.ErrInvalid, "a stop kills the sessions of one person")
		}
		r.Become(id, access.Ended, 10*time.Minute)
		id = r.Ask("dana", "play ReadOnly").Lines[0].Grant
		r.Become(id, access.Active, time.Minute)
		r.Broker.KillPolicy.Policy = kept{}
		done, err = r.Broker.Stop(r.As("amy"), broker.Button{Scope: broker.Scope{Person: "dana"}, Why: "stolen", Kill: true})
		if k := done.Killed.Kill; err != nil || k == nil || k.Person.User != "dana" || k.Target != nil || !slices.Contains(k.Grants, id) {
			t.Fatal(done.Killed, err)
		}
		again, err := r.Broker.Stop(r.As("amy"), broker.Button{Scope: broker.Scope{Person: "dana"}, Why: "stolen", Kill: true})
		if err != nil || again.Killed.Kill == nil {
			t.Error(again.Killed, err)
		}
	})
}

// kept is a policy that nobody reads.
type kept struct{ broker.KillPolicy }
