package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/org"
)

// extending is a book whose approved access its holder may make longer by 30 minutes without anybody.
func extending() string {
	b := strings.Replace(rig.BookOf(access.Assignment), "for: 8h", "for: 8h\n    extend: 30m", 1)
	return strings.Replace(b, "approval: {automatic: true}", "approval: {need: 1, groups: [approvers]}", 1)
}

// Whoever approved access sees what its holder made of it, and ends all of it.
func TestAnExtensionDoesNotOutliveTheEndOfWhatItExtends(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		r.Ruled(extending())
		l := r.Live()
		if _, err := r.Broker.Approve(r.As("kim"), l.Request, "", 0); err != nil {
			t.Fatal(err)
		}
		first := r.Become(l.ID, access.Active, time.Minute)
		x, err := r.Broker.Ask(r.As("dana"), broker.Wish{Duration: time.Minute, Extends: first.ID, Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		second := r.Become(x.Lines[0].Grant, access.Active, time.Minute)
		if len(second.Approvals) > 0 {
			t.Fatalf("somebody approved the extension: %+v", second.Approvals)
		}
		seen, _, err := r.Broker.Grants(r.As("kim"), broker.GrantFilter{All: true, Most: 100})
		if err != nil || len(seen) != 2 {
			t.Errorf("kim sees %d grants, %v", len(seen), err)
		}
		if _, err := r.Broker.End(r.As("kim"), first.ID, "stop"); err != nil {
			t.Fatal(err)
		}
		r.Become(first.ID, access.Ended, time.Minute)
		r.Become(second.ID, access.Ended, 5*time.Minute)
		if r.Box.Assigned(l.Assignment) {
			t.Error("the assignment outlived the end")
		}
	})
}

// An extension is ended like any other grant once what it extends is over.
func TestAnExtensionEndsWhenTheFirstIsOver(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		r.Ruled(extending())
		l := r.Live()
		if _, err := r.Broker.Approve(r.As("kim"), l.Request, "", 0); err != nil {
			t.Fatal(err)
		}
		first := r.Become(l.ID, access.Active, time.Minute)
		x, err := r.Broker.Ask(r.As("dana"), broker.Wish{Duration: 20 * time.Minute, Extends: first.ID, Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		second := r.Become(x.Lines[0].Grant, access.Active, time.Minute)
		r.Become(first.ID, access.Ended, first.EndsAt.Sub(r.Clock.Now())+5*time.Minute)
		if _, err := r.Broker.End(r.As("kim"), second.ID, "stop"); err != nil {
			t.Fatal(err)
		}
		r.Become(second.ID, access.Ended, 5*time.Minute)
		if r.Box.Assigned(l.Assignment) {
			t.Error("the assignment outlived the end")
		}
	})
}

// What an approver gave for less time than was asked for is made longer by an approver only.
func TestAnApproversShorterTimeIsNotExtendedFreely(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		r.Ruled(extending())
		l := r.Live()
		if _, err := r.Broker.Approve(r.As("kim"), l.Request, "", 15); err != nil {
			t.Fatal(err)
		}
		first := r.Become(l.ID, access.Active, time.Minute)
		x, err := r.Broker.Ask(r.As("dana"), broker.Wish{Duration: time.Minute, Extends: first.ID, Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		if x.Lines[0].State != access.Pending {
			t.Errorf("the extension is %s", x.Lines[0].State)
		}
	})
}

// Access that is used and ended before it was confirmed is reviewed like any other.
func TestAQuickEndDoesNotDodgeTheReview(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		r.Ruled("sensitive:\n  accounts: [\"100000000003\"]\n  review: {groups: [approvers], within: 24h, ladder: {after: 24h, groups: [auditors]}}\n" + rig.Book)
		r.Sandboxed(sandbox.Behaviour{})
		id := r.Ask("kim", "play PowerUser").Lines[0].Grant
		ended := false
		r.Before(func(string) {
			if !ended && r.Box.Assigned(r.Assignment("kim", "play", "PowerUser")) {
				ended = true
				if _, err := r.Broker.End(r.As("kim"), id, ""); err != nil {
					t.Error(err)
				}
			}
		})
		r.Work()
		r.Pass(30 * time.Minute)
		r.Before(nil)
		g := r.Grant(id)
		if !ended || !g.ActiveAt.IsZero() || g.Live() {
			t.Fatalf("the grant was confirmed or never ended: %s, active since %s", g.State, g.ActiveAt)
		}
		reviews, _, err := r.Broker.Reviews(r.As("amy"), broker.Page{}, 10)
		if err != nil || len(reviews) != 1 || !reviews[0].DueAt.After(g.EndedAt) {
			t.Errorf("reviews %+v, %v", reviews, err)
		}
	})
}

// desertedRota answers whoever still waits.
type desertedRota struct{ desk }

func (*desertedRota) OnCall(ctx context.Context, _ string, _ time.Time) ([]string, time.Time, error) {
	return []string{"ren@example.com"}, time.Time{}, ctx.Err()
}

// A caller who leaves does not make the service that says who is on call look down for others.
func TestWhoLeavesEarlyDoesNotWidenWhoMayApprove(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		r.Broker.Rota = &desertedRota{}
		r.Ruled(strings.Replace(rig.Book, "approval: {need: 1, groups: [approvers]}", "approval: {need: 1, groups: [approvers], on-call: {schedule: payments}}", 1))
		q := r.Ask("dana", "payments-prod ReadOnly")
		gone, cancel := context.WithCancel(r.As("kim"))
		cancel()
		_, _ = r.Broker.Approvals(gone)
		if _, err := r.Broker.Approve(r.As("kim"), q.ID, "", 0); err == nil || !strings.Contains(err.Error(), "not on call") {
			t.Errorf("kim, who is not on call, approves: %v", err)
		}
	})
}

// Rules are changed by two people who are administrators when it happens, whatever the mirror says.
func TestOnlyAdministratorsWhoAreLeftChangeRules(t *testing.T) {
	for _, leaver := range []string{"amy", "lee"} {
		t.Run(leaver, func(t *testing.T) {
			rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
				p := propose(t, r, "amy", longer)
				before := longest(t, r.Broker, r.As("dana"))
				r.Says(leaver, org.StatusDisabled)
				if _, err := r.Broker.AgreeRules(r.As("lee"), p.Digest); !errors.Is(err, access.ErrRefused) {
					t.Errorf("%s is disabled, and lee agrees: %v", leaver, err)
				}
				if now := longest(t, r.Broker, r.As("dana")); now != before {
					t.Errorf("dana gets %s, before %s", now, before)
				}
			})
		})
	}
}

// An absence that a stolen token declared is ended by an administrator, and by nobody else.
func TestAdministratorsEndAbsences(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		if _, err := r.Broker.Away(r.As("kim"), r.Clock.Now().Add(89*24*time.Hour), "eli", ""); err != nil {
			t.Fatal(err)
		}
		if err := r.Broker.EndAbsence(r.As("eli"), "kim"); !errors.Is(err, access.ErrRefused) {
			t.Errorf("eli ends it: %v", err)
		}
		if err := r.Broker.EndAbsence(r.As("amy"), "nobody"); !errors.Is(err, access.ErrUnknown) {
			t.Errorf("the absence of nobody: %v", err)
		}
		if err := r.Broker.EndAbsence(r.As("amy"), "kim"); err != nil {
			t.Fatal(err)
		}
		q := r.Ask("dana", "payments-prod PowerUser")
		if _, err := r.Broker.Approve(r.As("eli"), q.ID, "", 0); err == nil {
			t.Error("eli still has kim's say")
		}
	})
}

// Nobody wears a ticket service out.
func TestQuestionsAboutTicketsAreLimited(t *testing.T) {
	r := rig.New(t, rig.Engines["SQLite"](t), sandbox.Behaviour{})
	var err error
	asked := 0
	for ; err == nil && asked < 100; asked++ {
		_, err = r.Broker.Why(r.As("dana"), broker.Question{Person: "dana", Names: broker.Names{Account: "payments-prod", PermissionSet: "ReadOnly"}, Ticket: fmt.Sprintf("INC-%d", asked)})
	}
	if !errors.Is(err, access.ErrTooMany) || asked != 31 {
		t.Errorf("the %dth question: %v", asked, err)
	}
	if _, err := r.Broker.Why(r.As("amy"), broker.Question{Person: "dana", Names: broker.Names{Account: "payments-prod", PermissionSet: "ReadOnly"}, Ticket: "INC-1"}); err != nil {
		t.Errorf("amy has not asked: %v", err)
	}
}

// Nobody fills the record by being refused.
func TestWhoIsRefusedTooOftenIsNotHeard(t *testing.T) {
	r := rig.New(t, rig.Engines["SQLite"](t), sandbox.Behaviour{})
	ask := func(i int) error {
		_, err := r.Broker.Ask(r.As("dana"), broker.Wish{Targets: []broker.Names{{Account: "nowhere", PermissionSet: "ReadOnly"}}, Duration: time.Minute, Reason: "x", Key: fmt.Sprint(i)})
		return err
	}
	for i := range 100 {
		if err := ask(i); err == nil || errors.Is(err, access.ErrTooMany) {
			t.Fatalf("request %d: %v", i+1, err)
		}
	}
	if err := ask(100); !errors.Is(err, access.ErrTooMany) {
		t.Errorf("the 101st: %v", err)
	}
	r.Clock.Advance(time.Hour)
	if err := ask(101); err == nil || errors.Is(err, access.ErrTooMany) {
		t.Errorf("an hour later: %v", err)
	}
}
