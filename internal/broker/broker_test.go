package broker_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sparekey/access"
	"sparekey/audit"
	"sparekey/internal/broker"
	"sparekey/internal/rig"
	"sparekey/internal/sandbox"
	"sparekey/internal/store"
	"sparekey/org"
)

// refusedWith checks an error's kind and words.
func refusedWith(t *testing.T, err, kind error, words string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want %v: %s", err, kind, words)
	}
}

func kindsOf(records []store.Record) (all []string) {
	for _, e := range records {
		all = append(all, e.Kind)
	}
	return all
}

// Requirements S1-31, S2-10, S2-15, partly S2-16, S2-17.
func TestFromTheRequestToTheListingsAfterTheEnd(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		before := r.Head()
		q := r.Ask("dana", "payments-prod PowerUser", "play ReadOnly")
		prod, play := q.Lines[0].Grant, q.Lines[1].Grant
		r.Become(play, access.Active, time.Minute)
		if _, err := r.Broker.Approve(r.As("kim"), q.ID, "go", 0); err != nil {
			t.Fatal(err)
		}
		g := r.Become(prod, access.Active, time.Minute)
		if !g.EndsAt.Equal(g.ActiveAt.Add(30*time.Minute)) || !r.Box.Assigned(r.Assignment("dana", "payments-prod", "PowerUser")) {
			t.Error(rig.Story(g))
		}
		if last, sure := g.LastMinute(r.Clock.Now()); !sure || !last.Equal(g.EndsAt.Add(2*time.Hour)) {
			t.Errorf("last minute %s, %v", last, sure)
		}
		r.Become(prod, access.Verified, time.Hour)
		r.Become(play, access.Verified, time.Hour)
		if len(r.Box.Roles(r.Target("payments-prod", "PowerUser").Account)) != 0 {
			t.Error("the role is still there")
		}
		r.Chained(q.ID, r.Request(q.ID))
		r.Chained(prod, r.Grant(prod))
		want := []string{"grant.approved", "grant.begun", "grant.creating", "grant.create-accepted", "grant.create-settled", "grant.active", "grant.ending", "grant.removing", "grant.delete-accepted", "grant.delete-settled", "grant.ended", "grant.checked", "grant.verified"}
		var got []string
		for _, e := range r.Events(before) {
			if e.Subject.ID == prod {
				got = append(got, e.Kind)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("events\n%v\nwant\n%v", got, want)
		}
	})
}

// Requirement partly S1-20.
func TestTheEventSaysWhoAskedAndWithWhat(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		before := r.Head()
		q := r.Ask("dana", "payments-prod PowerUser")
		if _, err := r.Broker.Approve(r.As("dana"), q.ID, "", 0); !errors.Is(err, access.ErrRefused) {
			t.Errorf("dana approves her own: %v", err)
		}
		if _, err := r.Broker.Approve(r.As("kim"), q.ID, "", 0); err != nil {
			t.Error(err)
		}
		events := r.Events(before)
		if got := kindsOf(events); !slices.Equal(got, []string{"permission-set.read", "request.asked", "request.refused", "request.approved", "grant.approved"}) {
			t.Fatal(got)
		}
		asked, refused, approved := events[1], events[2], events[3]
		if asked.Actor.ID != string(r.Person("dana").ID) || asked.Actor.Key != "key-of-dana" || asked.Request != "sha256:of-dana" {
			t.Errorf("%+v", asked.Actor)
		}
		if refused.Actor.Name != "dana" || refused.Detail["command"] != "approve" || !strings.Contains(refused.Detail["why"], "nobody approves what they asked for themselves") || refused.Subject.ID != q.ID {
			t.Errorf("%+v", refused)
		}
		if approved.Actor.Name != "kim" || approved.Actor.Key != "key-of-kim" || approved.Before == nil || approved.After == nil {
			t.Errorf("%+v", approved)
		}
		if g := events[4]; g.Actor.Kind != audit.Sparekey || g.Actor.Key != "" || g.Request != "sha256:of-kim" {
			t.Errorf("the grant is Sparekey's doing, caused by kim's request: %+v", g)
		}
	})
}

func TestTheSameKeyMakesOneRequest(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		wish := broker.Wish{Targets: []broker.Names{{Account: "payments-prod", PermissionSet: "PowerUser"}}, Duration: time.Hour, Reason: "INC-1", Key: "the same key"}
		var all sync.WaitGroup
		made := make([]string, 8)
		for i := range made {
			all.Go(func() {
				q, err := r.Broker.Ask(r.As("dana"), wish)
				if err != nil {
					t.Error(err)
				}
				made[i] = q.ID
			})
		}
		all.Wait()
		if slices.Sort(made); made[0] != made[len(made)-1] {
			t.Errorf("several requests: %v", made)
		}
		other := wish
		other.Reason = "another"
		_, err := r.Broker.Ask(r.As("dana"), other)
		refusedWith(t, err, access.ErrOver, "this idempotency key was used for another request")
		if q, err := r.Broker.Ask(r.As("eli"), wish); err != nil || q.ID == made[0] {
			t.Errorf("eli's key is eli's: %v", err)
		}
		r.Clock.Advance(25 * time.Hour)
		if err := r.Broker.Forget(r.As("sparekey")); err != nil {
			t.Fatal(err)
		}
		if q, err := r.Broker.Ask(r.As("dana"), wish); err != nil || q.ID == made[0] {
			t.Errorf("a day later the key is new: %v", err)
		}
		wish.Key = ""
		_, err = r.Broker.Ask(r.As("dana"), wish)
		refusedWith(t, err, access.ErrInvalid, "the idempotency key is missing")
	})
}

func TestNamesThatFindNothingAreAnswered(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		for want, n := range map[string]broker.Names{
			`there is no account called "playy"`:            {Account: "playy", PermissionSet: "ReadOnly"},
			`there is no permission set called "Readonly"`:  {Account: "play", PermissionSet: "Readonly"},
			`there is no account called "123456789012"`:     {Account: "123456789012", PermissionSet: "ReadOnly"},
			"no rule lends PowerUser in management (100000": {Account: "management", PermissionSet: "PowerUser"},
		} {
			_, err := r.Broker.Ask(r.As("dana"), broker.Wish{Targets: []broker.Names{n}, Duration: time.Hour, Key: "k-" + want})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		}
	})
}

func TestOnlyOneBrokerChangesAnAccessAtATime(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		id := r.Ask("dana", "play ReadOnly").Lines[0].Grant
		g := r.Grant(id)
		lease := "grant " + string(g.Way) + " " + string(g.Person.ID) + " " + string(g.Target.Account) + " " + g.Target.PermissionSet
		if _, ok, err := r.Store.TakeLease(t.Context(), lease, "another replica", r.Clock.Now(), r.Clock.Now().Add(30*time.Second)); !ok || err != nil {
			t.Fatal(ok, err)
		}
		before := len(r.Box.Calls())
		if wait, err := r.Broker.Carry(t.Context(), id); err != nil || wait <= 0 {
			t.Errorf("wait %s, %v", wait, err)
		}
		if len(r.Box.Calls()) != before || r.Grant(id).State != access.Waiting {
			t.Error("it was worked on by two")
		}
		r.Clock.Advance(31 * time.Second)
		r.Become(id, access.Active, time.Minute)
	})
}

func TestTheServerDecidesNothingBeforeTheOrganizationWasRead(t *testing.T) {
	for name, address := range rig.Engines {
		t.Run(name, func(t *testing.T) {
			r := rig.New(t, address(t), sandbox.Behaviour{})
			fresh, err := broker.New(broker.Parts{Store: r.Store, Directory: deaf{}, Now: r.Clock.Now, Random: zeros{}, Log: r.Broker.Log})
			if err != nil {
				t.Fatal(err)
			}
			_, err = fresh.Ask(r.As("dana"), broker.Wish{Key: "12345678"})
			refusedWith(t, err, access.ErrUnavailable, "the organization has not been read from AWS yet")
			if s, err := fresh.Status(r.As("dana")); err != nil || s.Ready {
				t.Errorf("%+v, %v", s, err)
			}
			if err := fresh.Refresh(t.Context()); err == nil {
				t.Error("no error")
			}
			if s, _ := fresh.Status(r.As("dana")); s.MirrorError != "nobody answers" {
				t.Errorf("%+v", s)
			}
			if got := kindsOf(r.Events(0)); got[len(got)-1] != "mirror.failed" {
				t.Error(got)
			}
			// What another replica has read is taken over.
			if err := fresh.Begin(r.As("sparekey"), rig.Files(rig.Book), nil); err != nil {
				t.Fatal(err)
			}
			if err := fresh.Follow(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s, err := fresh.Status(r.As("dana")); err != nil || !s.Ready || s.Accounts != 4 || !s.MirrorReadAt.Equal(rig.Start) {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}

// deaf is a directory that does not answer.
type deaf struct{}

func (deaf) Person(context.Context, org.PersonID) (org.Person, error) {
	return org.Person{}, errors.New("nobody answers")
}

func (deaf) Organization(context.Context) (org.Organization, error) {
	return org.Organization{}, errors.New("nobody answers")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestAFailedReadOfTheOrganizationChangesNothingAndIsSaidOnce(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		id := r.Ask("dana", "play ReadOnly").Lines[0].Grant
		r.Become(id, access.Active, time.Minute)
		before := r.Head()
		r.Box.Script(sandbox.Fault{Service: "organizations", Operation: "ListRoots", Kind: sandbox.Denied})
		for range 3 {
			if err := r.Broker.Refresh(r.As("sparekey")); err == nil {
				t.Error("no error")
			}
		}
		if g := r.Grant(id); g.State != access.Active {
			t.Error(rig.Story(g))
		}
		if s, err := r.Broker.Status(r.As("dana")); err != nil || !s.Ready || s.MirrorError == "" {
			t.Errorf("%+v, %v", s, err)
		}
		r.Box.ClearFaults()
		if err := r.Broker.Refresh(r.As("sparekey")); err != nil {
			t.Fatal(err)
		}
		if got := kindsOf(r.Events(before)); !slices.Equal(got, []string{"mirror.failed", "mirror.recovered"}) {
			t.Error(got)
		}
	})
}

func TestRefusalsOfNobodyAreSummedByTheMinute(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		before := r.Head()
		for range 1000 {
			r.Broker.Unproven(t.Context(), "unknown token")
		}
		r.Broker.Unproven(t.Context(), "no token")
		if r.Head() != before {
			t.Error("each is an event")
		}
		r.Clock.Advance(time.Minute)
		r.Broker.Unproven(t.Context(), "no token")
		events := r.Events(before)
		if len(events) != 1 || events[0].Kind != "api.refused" || events[0].Actor.Kind != audit.Anonymous || events[0].Detail["unknown token"] != "1000" || events[0].Detail["no token"] != "2" {
			t.Errorf("%+v", events)
		}
		r.Broker.RecordUnproven(t.Context())
		if len(r.Events(before)) != 1 {
			t.Error("nothing was recorded as something")
		}
	})
}

// TestARequestLapsesWithoutItsJob is a database that was restored, in which there are no jobs.
func TestARequestLapsesWithoutItsJob(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		q := r.Ask("dana", "payments-prod ReadOnly")
		r.Clock.Advance(access.LapseAfter - time.Second)
		if err := r.Broker.Watch(t.Context()); err != nil || !r.Request(q.ID).Open() {
			t.Fatal(err)
		}
		r.Clock.Advance(time.Second)
		if err := r.Broker.Watch(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now := r.Request(q.ID); now.Open() || now.Lines[0].State != access.Lapsed {
			t.Errorf("%+v", now.Lines)
		}
	})
}

func TestARequestLapses(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		q := r.Ask("dana", "payments-prod ReadOnly")
		if later, err := r.Broker.Lapse(t.Context(), q.ID); err != nil || later != access.LapseAfter {
			t.Errorf("%s, %v", later, err)
		}
		r.Clock.Advance(access.LapseAfter)
		if later, err := r.Broker.Lapse(t.Context(), q.ID); err != nil || later != 0 || r.Request(q.ID).Lines[0].State != access.Lapsed {
			t.Errorf("%s, %v: %+v", later, err, r.Request(q.ID).Lines[0])
		}
		if later, err := r.Broker.Lapse(t.Context(), q.ID); err != nil || later != 0 {
			t.Errorf("again: %s, %v", later, err)
		}
	})
}

// TestSparekeyChangesNothingButAssignments looks at everything that AWS was asked for. Requirements partly S2-18, S2-22,
// partly S2-25.
func TestSparekeyChangesNothingButAssignments(t *testing.T) {
	rig.OnBoth(t, func(t *testing.T, r *rig.Rig) {
		r.Box.Script(sandbox.Fault{Operation: "CreateAccountAssignment", Kind: sandbox.DropAfter, Times: 1}) // so that it is looked for
		id := r.Ask("dana", "play PowerUser").Lines[0].Grant
		r.Become(id, access.Verified, time.Hour)
		_, foreign := r.Broker.Foreign(t.Context())
		if err := errors.Join(r.Broker.LetGo(r.As("sparekey")), r.Broker.Reconcile(t.Context()), foreign); err != nil {
			t.Fatal(err)
		}
		listed := documented(t)
		asked := map[string]bool{}
		for _, c := range r.Box.Calls() {
			if asked[c.Operation] = true; !listed[c.Operation] {
				t.Errorf("%s is not among the actions that docs/running.md lists", c.Operation)
			}
			if c.Changed && c.Operation != "CreateAccountAssignment" && c.Operation != "DeleteAccountAssignment" {
				t.Errorf("%s changed something", c.Operation)
			}
		}
		for operation := range listed {
			if !asked[operation] && operation != "ListInstances" { // asked for only when the configuration names no instance
				t.Errorf("docs/running.md lists %s, which is not needed", operation)
			}
		}
	})
}

// documented are the actions that docs/running.md says are needed.
func documented(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../../docs/running.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) == 4 && slices.Contains([]string{"sso", "identitystore", "organizations"}, strings.TrimSpace(cells[1])) {
			for action := range strings.SplitSeq(cells[2], ",") {
				listed[strings.TrimSpace(action)] = true
			}
		}
	}
	return listed
}
